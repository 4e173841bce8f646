// Which two messages go in one frame. A worker asks for the weights of its next step right behind a push, and a shard
// mostly has them when it acknowledges that push; four messages a slice are so two frames.
//
// Joining is the business of the driver (protocol/node.h) and of the codec. To cores there are two messages, one after
// the other, as if the second had come in a frame of its own: it may, whenever the two cannot be joined, and each of
// them is sent again by itself. What is lost with one frame is lost twice, which is no other case than two lost frames.
//
//   push, pull               the pull is of the same slice, live, for the clock after the push's
//   acknowledgement, weights the weights are those of that pull, and of the version and floor that the acknowledgement
//                            tells. (A repeat of an older answer, and one in softsync, which tells no version, stand
//                            alone.)
//
// Thread-safety: pure functions.
#pragma once

#include <limits>

#include "protocol/messages.h"

namespace rubato::protocol {

// Clocks come from anyone: the largest one has none after it.
[[nodiscard]] constexpr bool has_next(Clock clock) { return clock >= 0 && clock < std::numeric_limits<Clock>::max(); }

[[nodiscard]] inline bool may_join(const Push& push, const Pull& pull) {
  return has_next(push.clock) && pull.slice == push.slice && pull.clock == push.clock + 1 && pull.snapshot == 0;
}
[[nodiscard]] inline bool may_join(const PushAck& ack, const Weights& weights) {
  return has_next(ack.clock) && weights.slice == ack.slice && weights.clock == ack.clock + 1 && weights.snapshot == 0 &&
         weights.version == ack.version && weights.floor == ack.floor && !weights.weights.empty();
}
[[nodiscard]] inline bool may_join(const Body& first, const Body& second) {
  if (const auto* push = std::get_if<Push>(&first))
    if (const auto* pull = std::get_if<Pull>(&second)) return may_join(*push, *pull);
  if (const auto* ack = std::get_if<PushAck>(&first))
    if (const auto* weights = std::get_if<Weights>(&second)) return may_join(*ack, *weights);
  return false;
}

}  // namespace rubato::protocol
