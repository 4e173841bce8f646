// The worker's side of the protocol: takes grants, pulls weights, pushes gradients, ticks.
//
// One step, as this core sees it:
//   Grant c -> orders the trainer to compute it, and hands it each slice's weights as they come
//   SliceGradient -> Push to the shard that owns the slice, and at once the Pull for step c + 1
//   StepComputed, and every push acknowledged -> Tick c
//
// Invariants: pushes of one clock only are under way (those of c + 1 wait until c is settled); weights
// are used for step c only if their floor is at least c - bound and they were asked for after this
// worker's own pushes of c - 1; a request is sent again, the same bytes, until it is answered.
// (docs/protocol.md, rules 1 to 4.)
// Thread-safety: one owner.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "protocol/core.h"
#include "protocol/enrollment.h"
#include "worker/compute_port.h"
#include "worker/pending_pushes.h"

namespace rubato::worker {

class WorkerClient final : public protocol::Core {
 public:
  WorkerClient(NodeId self, protocol::Register details, protocol::Timing timing);

  [[nodiscard]] protocol::Identity identity() const override { return enrollment_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override;
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override;

  // What the trainer has to say.
  void report(TimeNs now, ComputeReport report, protocol::Outbox& out);
  // Gives `take` what the trainer is to do, in order, since the last call. The room for it is kept.
  template <typename Take>
  void hand_orders(Take&& take) {
    for (ComputeOrder& order : orders_) take(std::move(order));
    orders_.clear();
  }

  [[nodiscard]] const protocol::RoutingTable& routing() const { return routing_; }
  [[nodiscard]] const protocol::Manifest& manifest() const { return manifest_; }

 private:
  // One slice, as far as weights go.
  struct SliceState {
    std::optional<protocol::Pull> pull;  // under way
    RequestTimer timer;
    std::optional<protocol::Weights> arrived;  // for a step that has not begun
    Version used_version = 0;                  // by the current step
    bool delivered = true;                     // to the current step
  };

  // A step between its order and its tick. Those that are settled are kept, and opened again for later ones.
  struct OpenStep {
    protocol::StepGrant grant;  // with all nodes ordered so far
    TimeNs began = 0, computed = 0;
    std::uint32_t orders_open = 0;
    PendingPushes pushes;
    std::vector<protocol::Push> held;   // computed before the step before it was settled
    std::vector<std::size_t> unpushed;  // by slice, nodes not pushed yet: then it is pulled again
    protocol::Tick tick;
  };

  void on_welcome(TimeNs now, const protocol::Welcome& welcome, protocol::Outbox& out);
  void on_grant(TimeNs now, protocol::Grant grant, protocol::Outbox& out);
  void on_weights(TimeNs now, protocol::Weights weights, protocol::Outbox& out);
  void on_push_ack(TimeNs now, const protocol::PushAck& ack, protocol::Outbox& out);
  void on_gradient(TimeNs now, SliceGradient gradient, protocol::Outbox& out);
  void on_computed(TimeNs now, const StepComputed& computed, protocol::Outbox& out);
  void begin_step_if_possible(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] OpenStep& open_step(TimeNs now, protocol::StepGrant grant);
  void add_nodes(OpenStep& step, const protocol::StepGrant& grant, protocol::Outbox& out);
  void trace_begin(const protocol::StepGrant& step, protocol::Outbox& out) const;
  void deliver(SliceId slice, protocol::Weights weights, protocol::Outbox& out);
  void pull(TimeNs now, SliceId slice, Clock clock, std::int64_t floor, protocol::Outbox& out);
  void send_push(TimeNs now, OpenStep& step, protocol::Push push, protocol::Outbox& out);
  void settle_if_complete(TimeNs now, protocol::Outbox& out);
  void resend(TimeNs now, protocol::Outbox& out);
  void confirm(Clock clock);
  void send_all_again(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] bool due(TimeNs now, RequestTimer& timer, TimeNs answered) const;
  [[nodiscard]] RequestTimer timer_from(TimeNs now) const { return {now, timing_.resend_after, now}; }
  [[nodiscard]] protocol::Heartbeat heartbeat(TimeNs now) const;
  // Of who waits for nothing: since when nothing has come of it.
  [[nodiscard]] protocol::Waiting waiting(TimeNs now) const;
  [[nodiscard]] NodeId owner(SliceId slice) const { return server_node(routing_.slices[slice].shard); }
  void answered(TimeNs now, SliceId slice) { answered_[routing_.slices[slice].shard] = moved_ = now; }
  [[nodiscard]] TimeNs last_answer(SliceId slice) const { return answered_[routing_.slices[slice].shard]; }
  [[nodiscard]] OpenStep* find_step(Clock clock);

  const NodeId self_;
  const protocol::Timing timing_;
  protocol::Enrollment enrollment_;
  protocol::Manifest manifest_;
  protocol::RoutingTable routing_;

  std::vector<SliceState> slices_;
  std::vector<TimeNs> answered_;              // by shard, when a request of this worker was answered last
  std::vector<protocol::StepGrant> granted_;  // and not begun, by clock
  protocol::BatchRange next_hint_;
  // At most two: the older settles while the newer computes.
  std::map<Clock, OpenStep> open_;
  std::vector<std::map<Clock, OpenStep>::node_type> settled_steps_;
  Clock next_step_ = kNoClock;               // the next to begin; none before the first grant
  Clock settled_ = 0;                        // this worker's clock
  std::vector<protocol::Tick> unconfirmed_;  // that the scheduler may not have, by clock
  RequestTimer tick_timer_;
  TimeNs idle_since_ = 0;  // nothing to compute since then
  TimeNs moved_ = 0;       // a shard's answer came, or something of the trainer's
  bool last_done_ = false;

  TimeNs next_resend_ = kNever;
  std::vector<ComputeOrder> orders_;
};

}  // namespace rubato::worker
