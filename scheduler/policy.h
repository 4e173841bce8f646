// How far a worker may run ahead: one small policy a mode. A policy sees clocks and nothing else.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "base/job.h"

namespace rubato::scheduler {

class Policy {
 public:
  virtual ~Policy() = default;

  // The highest step that a worker at clock `own` may be granted while the slowest active worker is at
  // clock `min` (min <= own). Below `own`: none. Never falls when either clock rises.
  [[nodiscard]] virtual Clock highest_grant(Clock own, Clock min) const = 0;

  // The bound that a step granted now carries; Mode::kUnbounded: none.
  [[nodiscard]] virtual std::int64_t bound() const = 0;

  // Whether servers apply one update from the mean of all pushes of a clock, or each push as it comes.
  [[nodiscard]] virtual Mode::Apply apply() const = 0;
};

[[nodiscard]] std::unique_ptr<Policy> make_policy(const Mode& mode);

}  // namespace rubato::scheduler
