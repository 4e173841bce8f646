// How the samples of a clock are cut into local steps (mode local:H): runs of train.batch of them, in order. The
// clock has at most H of these, and its last one may be shorter.
//
// Thread-safety: pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "protocol/messages.h"

namespace rubato::worker {

[[nodiscard]] inline std::uint64_t local_step_count(const protocol::BatchRange& clock, std::uint64_t batch) {
  return (clock.count + batch - 1) / batch;
}

// Below local_step_count.
[[nodiscard]] inline protocol::BatchRange local_step(const protocol::BatchRange& clock, std::uint64_t batch,
                                                     std::uint64_t step) {
  return {clock.epoch, clock.first + step * batch, std::min(batch, clock.count - step * batch)};
}

}  // namespace rubato::worker
