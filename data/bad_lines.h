// The lines of a file, or the images of a folder, that could not be read, and whether they are too many.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace rubato::data {

class BadLines {
 public:
  // `what` one of them is called.
  explicit BadLines(std::int64_t skip_max, std::string what = "line") : skip_max_(skip_max), what_(std::move(what)) {}

  // `message` says file, line and what is wrong. Errors: kData: one more than data.skip_max.
  [[nodiscard]] Status add(const std::string& message);

  [[nodiscard]] std::int64_t count() const { return count_; }
  // "2 of 1,000 lines left out: FILE:17: ...; FILE:203: ...", the first of them; empty if there are none.
  [[nodiscard]] std::string text(std::uint64_t all) const;

 private:
  std::int64_t skip_max_, count_ = 0;
  std::string what_;
  std::vector<std::string> first_;  // a few
};

}  // namespace rubato::data
