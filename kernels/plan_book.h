// Which way each operation of a job's networks is computed, where a device has several: as it was measured once, so
// that all who compute for the job round alike. It is RUN/plan.json of a job with worker.plan (docs/running.md), a
// choice an entry:
//
//   {"operation": "3x3 convolution, stride 1, padding 1, of 64 to 64 channels of 32 x 32, rows to rows",
//    "call": "forward", "ways": [{"way": "blocks", "ms": 26.8}, {"way": "rows", "ms": 60.7}]}
//
// The first way is the one taken, whatever times are written beside them. An operation is named without the number of
// its samples: what is best for a leaf is taken for a short one too. What a device finds no entry for it decides by
// its rules; a way that it does not have is an error, since other members may have it.
//
// Invariants: no two entries have the same operation and call; an entry has at least one way.
// Thread-safety: a plain value.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace rubato::kernels {

struct TimedWay {
  std::string way;
  double ms = 0.0;  // of one call
};

struct PlanEntry {
  std::string operation, call;
  std::vector<TimedWay> ways;  // the one that is taken, then the others
};

class PlanBook {
 public:
  // `device`: whose times they are, for people.
  explicit PlanBook(std::string device = "") : device_(std::move(device)) {}

  // Errors: kUsage, saying what `origin` has wrong.
  [[nodiscard]] static Result<PlanBook> parse(std::string_view text, const std::string& origin);
  [[nodiscard]] std::string text() const;

  // The way to take; nothing where the book does not say.
  [[nodiscard]] const std::string* way_of(const std::string& operation, const std::string& call) const;
  // In place of an older entry.
  void add(PlanEntry entry);

  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  // As they were added.
  [[nodiscard]] const std::vector<PlanEntry>& entries() const { return entries_; }

 private:
  std::string device_;
  std::vector<PlanEntry> entries_;
  std::map<std::pair<std::string, std::string>, std::size_t> places_;  // of (operation, call)
};

}  // namespace rubato::kernels
