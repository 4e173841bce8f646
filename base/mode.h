// What a mode string of a job stands for: who may run ahead of whom, and how pushes become updates.
//
//   bsp           all take step c on the weights of clock c; one update from the leaf tree's mean
//   backup:B      the same, from the first N - B workers of a clock; what comes later is dropped
//   softsync:N    no bound; an update from every floor(workers / N) pushes
//   ssp:S         at most S steps ahead of the slowest; each push is an update
//   dssp:LO..HI   the same, with a bound that moves between the two
//   asp           no bound; each push is an update
//   local:H       each clock is H steps of a worker on its own copy of the weights; it pushes how far they took
//                 it (a delta), and an update is the outer rule on the mean of all workers' deltas of a clock:
//                 backup:0 with deltas. local:H+MODE makes updates of deltas as MODE makes them of gradients
//
// The papers and formulas stand with the policies (scheduler/policy.cc), those of outer rules with the rules
// (kernels/update_rule.h). ssp:0 is no bsp: it applies on arrival. backup:0 is none either: it sums whole
// pushes, and deals the data out in shares. local:H goes with all modes but bsp, whose leaves are parts of one
// gradient.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rubato {

struct Mode {
  enum class Kind : std::uint8_t { kBsp, kBackup, kSoftsync, kSsp, kDssp, kAsp };
  enum class Apply : std::uint8_t {
    kAggregate,  // one update a clock, from all leaves of its batch
    kOnArrival,  // each push is an update
    kCommitted   // one update from the pushes that the scheduler names
  };
  static constexpr std::int64_t kUnbounded = -1;

  Kind kind = Kind::kBsp;
  std::int64_t bound = 0;        // the largest staleness of a step; kUnbounded: none
  std::int64_t least = 0;        // dssp: the bound without extra credit
  std::int64_t backups = 0;      // backup: workers that nobody waits for
  std::int64_t splits = 0;       // softsync: updates while every worker pushes once
  std::int64_t local_steps = 0;  // local:H: of a clock; 0: a clock is one step, and pushes are gradients

  [[nodiscard]] bool local() const { return local_steps > 0; }
  [[nodiscard]] std::int64_t steps_per_clock() const { return local() ? local_steps : 1; }
  [[nodiscard]] Apply apply() const;
  // Whether the weights may move between the version that a gradient is computed on and its update. Those of local
  // steps are used where they are computed; what is old there is a delta.
  [[nodiscard]] bool has_ages() const { return !local() && (apply() == Apply::kOnArrival || kind == Kind::kSoftsync); }
  friend bool operator==(const Mode&, const Mode&) = default;
};

// Errors: kUsage, with what is allowed.
[[nodiscard]] Result<Mode> parse_mode(const std::string& text);
// parse_mode(mode_name(m)) is m.
[[nodiscard]] std::string mode_name(const Mode& mode);

}  // namespace rubato
