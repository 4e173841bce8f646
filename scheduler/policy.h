// How far a worker may run ahead, and how many pushes make an update: one small policy a mode. A policy
// sees clocks, and the times that it is told, and nothing else.
//
// A worker is at clock `own` while it takes step `own`; the slowest active one is at `min` <= own.
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/ids.h"
#include "base/mode.h"
#include "base/time.h"

namespace rubato::scheduler {

// A worker has at most the step after its current one in hand: enough to hide the way from tick to
// grant, and little enough that a change of mode takes hold soon (docs/protocol.md, rule 16).
inline constexpr Clock kGrantAhead = 1;

class Policy {
 public:
  virtual ~Policy() = default;

  // From now on a worker counts, at this clock. / It does no more.
  virtual void joined(std::uint32_t /*worker*/, Clock /*clock*/) {}
  virtual void gone(std::uint32_t /*worker*/) {}
  // It has finished step `clock`; to be said before it is asked what that allows.
  virtual void ticked(std::uint32_t /*worker*/, Clock /*clock*/, TimeNs /*now*/) {}

  // The highest step that a worker may be granted. Below `own`: none. Never falls when a clock rises.
  [[nodiscard]] virtual Clock highest_grant(std::uint32_t worker, Clock own, Clock min) const = 0;

  // The bound under which a step is granted that highest_grant allows; Mode::kUnbounded: none.
  [[nodiscard]] virtual std::int64_t bound(std::uint32_t worker, Clock step, Clock min) const = 0;
};

// The mode is one of base/mode.h.
[[nodiscard]] std::unique_ptr<Policy> make_policy(const Mode& mode);

}  // namespace rubato::scheduler
