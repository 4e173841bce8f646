#include "bench/pusher.h"

#include <algorithm>
#include <utility>

#include "bench/touch.h"

namespace rubato::bench {

using protocol::Outbox;

Pusher::Pusher(NodeId self, protocol::Register details, PusherOptions options, std::shared_ptr<Memory> memory,
               Hooks hooks)
    : self_(self),
      options_(options),
      memory_(std::move(memory)),
      hooks_(std::move(hooks)),
      // Limits are measured on this thread meanwhile, for as long as they take.
      enrollment_(self, std::move(details), {.lost_after = 3600 * kSecond}) {}

std::vector<std::span<float>> Pusher::gradients() const {
  std::vector<std::span<float>> all;
  for (const Slice& slice : slices_) all.emplace_back(slice.gradient.get(), slice.floats);
  return all;
}

void Pusher::receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, Outbox& out) {
  if (enrollment_.receive(now, envelope, body, out)) return;
  if (const auto* welcome = std::get_if<protocol::Welcome>(&body)) return on_welcome(now, *welcome, out);
  if (const auto* ack = std::get_if<protocol::PushAck>(&body)) {
    Slice& slice = slices_.at(ack->slice);
    RUBATO_CHECK(ack->fate == protocol::Fate::kApplied, "a push was not applied");
    slice.acknowledged = true;
    return complete(slice, out);
  }
  if (const auto* weights = std::get_if<protocol::Weights>(&body)) {
    Slice& slice = slices_.at(weights->slice);
    slice.version = weights->version;
    if (options_.read) touched_ ^= touch(weights->weights.floats());
    slice.arrived = true;
    body = protocol::Pull{};  // the weights are let go of before anything else
    return complete(slice, out);
  }
}

void Pusher::on_welcome(TimeNs now, const protocol::Welcome& welcome, Outbox& out) {
  if (!enrollment_.welcomed(welcome)) return;
  for (const protocol::SliceSpec& spec : welcome.routing.slices) {
    Slice slice;
    slice.floats = spec.elements();
    slice.gradient = memory_->floats(slice.floats);
    slice.shard = spec.shard;
    std::fill_n(slice.gradient.get(), slice.floats, 1e-3f);
    slices_.push_back(std::move(slice));
  }
  for (std::uint32_t shard = 0; shard < welcome.routing.shards(); ++shard)
    out.connect(server_node(shard), welcome.routing.addresses[shard]);
  enrollment_.ready(now, out);
  begin_round(out);
}

void Pusher::begin_round(Outbox& out) {
  ++round_;
  hooks_.before_round(*this);
  next_ = done_ = 0;
  trips_.clear();
  round_began_ = steady_now();
  for (std::size_t i = 0; i < std::min(options_.window, slices_.size()); ++i) push_next(out);
}

void Pusher::wake(TimeNs now, Outbox& out) {
  enrollment_.wake(now, {}, out);
  if (now < resume_at_) return;
  resume_at_ = kNever;
  push_next(out);
}

void Pusher::push_next(Outbox& out) {
  const auto id = static_cast<SliceId>(next_++);
  Slice& slice = slices_[id];
  slice.acknowledged = slice.arrived = false;
  slice.sent = steady_now();
  if (options_.write) std::fill_n(slice.gradient.get(), slice.floats, 1e-3f * static_cast<float>(round_ + 1));
  protocol::Push push;
  push.slice = id;
  push.clock = round_;
  push.samples = push.rule_epoch = 1;
  push.node = {0, options_.is_leaf ? self_.rank : 0};
  push.version = slice.version;
  push.rate = 1e-3;
  push.gradient = {slice.gradient, std::as_bytes(std::span(slice.gradient.get(), slice.floats))};
  out.send(server_node(slice.shard), std::move(push));
  out.send(server_node(slice.shard), protocol::Pull{.slice = id, .clock = round_ + 1});
}

void Pusher::complete(Slice& slice, Outbox& out) {
  if (!slice.acknowledged || !slice.arrived) return;
  trips_.push_back(steady_now() - slice.sent);
  ++done_;
  if (next_ < slices_.size()) {
    if (options_.pause == 0) return push_next(out);
    resume_at_ = steady_now() + options_.pause;
    return;
  }
  if (done_ < slices_.size()) return;
  hooks_.round_done(steady_now() - round_began_, std::exchange(trips_, {}));
  if (round_ + 1 < options_.rounds) return begin_round(out);
  hooks_.all_done();
}

}  // namespace rubato::bench
