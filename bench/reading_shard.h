// A shard without a rule: it reads every value of a push, answers it as a shard does, and gives back weights that
// nothing changes. What is left is what carrying them costs.
//
// Thread-safety: a core's.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "base/memory.h"
#include "bench/touch.h"
#include "protocol/core.h"
#include "protocol/enrollment.h"

namespace rubato::bench {

class ReadingShard final : public protocol::Core {
 public:
  ReadingShard(NodeId self, protocol::Register details, std::shared_ptr<Memory> memory)
      : rank_(self.rank), memory_(std::move(memory)), enrollment_(self, std::move(details), {}) {}

  [[nodiscard]] protocol::Identity identity() const override { return enrollment_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override { enrollment_.start(now, out); }
  void wake(TimeNs now, protocol::Outbox& out) override { enrollment_.wake(now, {}, out); }
  [[nodiscard]] TimeNs deadline() const override { return enrollment_.deadline(); }

  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override {
    if (enrollment_.receive(now, envelope, body, out)) return;
    if (const auto* push = std::get_if<protocol::Push>(&body)) {
      Slice& slice = slices_.at(push->slice);
      touched_ ^= touch(push->gradient.floats());
      ++slice.version;
      out.reply(envelope, protocol::PushAck{.slice = push->slice,
                                            .clock = push->clock,
                                            .node = push->node,
                                            .fate = protocol::Fate::kApplied,
                                            .version = slice.version,
                                            .floor = push->clock + 1});
    } else if (const auto* pull = std::get_if<protocol::Pull>(&body)) {
      const Slice& slice = slices_.at(pull->slice);
      out.reply(envelope, protocol::Weights{.slice = pull->slice,
                                            .clock = pull->clock,
                                            .version = slice.version,
                                            .floor = pull->clock,
                                            .weights = slice.weights});
    } else if (const auto* welcome = std::get_if<protocol::Welcome>(&body)) {
      if (!enrollment_.welcomed(*welcome)) return;
      make_slices(welcome->routing);
      enrollment_.ready(now, out);
    }
  }

 private:
  struct Slice {
    Payload weights;
    Version version = 0;
  };
  void make_slices(const protocol::RoutingTable& routing) {
    for (SliceId id = 0; id < routing.slices.size(); ++id) {
      if (routing.slices[id].shard != rank_) continue;
      const std::size_t count = routing.slices[id].elements();
      std::shared_ptr<float[]> values = memory_->floats(count);
      std::fill_n(values.get(), count, 1e-3f);
      const auto bytes = std::as_bytes(std::span(values.get(), count));
      slices_[id] = {Payload(std::move(values), bytes), 0};
    }
  }

  const std::uint32_t rank_;
  const std::shared_ptr<Memory> memory_;
  protocol::Enrollment enrollment_;
  std::map<SliceId, Slice> slices_;
  std::uint32_t touched_ = 0;  // of all pushes: nobody may leave the reading out
};

}  // namespace rubato::bench
