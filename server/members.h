// The workers as a shard knows them: who is counted in floors, whose pushes are taken, who is fenced.
//
// The scheduler alone says so, in Welcome, Membership and Seal. A rank lives several times; the newest
// life that the scheduler named is the only one that may be admitted, and only while it is active and not
// sealed. A life newer than that is one of which the word has not come yet: nothing of it is taken, and
// nothing is said to it, since it will ask again.
//
// Thread-safety: belongs to one shard.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "protocol/core.h"

namespace rubato::server {

enum class Admission : std::uint8_t { kAdmitted, kFenced, kEarly };

class Members {
 public:
  // From now on these and no others are active. Traces the changes.
  void set_active(const std::vector<protocol::ActiveWorker>& active, protocol::Outbox& out);
  void seal(std::uint32_t rank, Incarnation incarnation);

  [[nodiscard]] Admission admit(std::uint32_t rank, Incarnation incarnation) const;

  // The active ones, by rank, with the clock at which each started.
  [[nodiscard]] const std::map<std::uint32_t, protocol::ActiveWorker>& active() const { return active_; }
  [[nodiscard]] bool is_active(std::uint32_t rank) const { return active_.contains(rank); }
  // There were workers, and now there are none: nothing can change any more.
  [[nodiscard]] bool drained() const { return active_.empty() && !newest_.empty(); }

 private:
  struct Life {
    Incarnation incarnation = 0;
    bool sealed = false;
  };
  void heard_of(std::uint32_t rank, Incarnation incarnation);

  std::map<std::uint32_t, protocol::ActiveWorker> active_;
  std::map<std::uint32_t, Life> newest_;  // of every rank that the scheduler ever named
};

}  // namespace rubato::server
