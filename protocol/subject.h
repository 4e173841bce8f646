// What a message is about, for a timeline (base/timeline.h): its kind, the step and the slice. Messages that are
// about no step have no clock, and so do not stand on one.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <variant>

#include "base/timeline.h"
#include "protocol/messages.h"

namespace rubato::protocol {

struct Subject {
  const char* kind = "";  // a literal
  Clock clock = kNoClock;
  std::int64_t slice = timeline::Span::kNoSlice;
};

[[nodiscard]] inline Subject subject_of(const Body& body) {
  if (const auto* push = std::get_if<Push>(&body)) return {"push", push->clock, push->slice};
  if (const auto* ack = std::get_if<PushAck>(&body)) return {"ack", ack->clock, ack->slice};
  if (const auto* pull = std::get_if<Pull>(&body)) return {"pull", pull->clock, pull->slice};
  if (const auto* weights = std::get_if<Weights>(&body)) return {"weights", weights->clock, weights->slice};
  if (const auto* tick = std::get_if<Tick>(&body)) return {.kind = "tick", .clock = tick->clock};
  if (const auto* grant = std::get_if<Grant>(&body); grant != nullptr && !grant->steps.empty())
    return {.kind = "grant", .clock = grant->steps.front().clock};
  if (const auto* commit = std::get_if<Commit>(&body); commit != nullptr && !commit->contributors.empty())
    return {.kind = "commit", .clock = commit->contributors.front().clock};
  return {};
}

// Whether a shard has made an update, if this is what it says.
[[nodiscard]] inline bool says_applied(const Body& body) {
  const auto* ack = std::get_if<PushAck>(&body);
  return (ack != nullptr && ack->fate == Fate::kApplied) || std::holds_alternative<Committed>(body);
}

}  // namespace rubato::protocol
