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
#include <set>
#include <vector>

#include "protocol/core.h"
#include "protocol/enrollment.h"
#include "worker/compute_port.h"

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
  // A request without an answer yet.
  struct Timer {
    TimeNs sent = 0, wait = 0, since = 0;
  };
  struct PendingPush {
    protocol::Push push;
    Timer timer;
  };
  using PushKey = std::pair<SliceId, protocol::LeafNode>;

  // One slice, as far as weights go.
  struct SliceState {
    std::optional<protocol::Pull> pull;  // under way
    Timer timer;
    std::optional<protocol::Weights> arrived;  // for a step that has not begun
    Version used_version = 0;                  // by the current step
    bool delivered = true;                     // to the current step
  };

  // A step between its order and its tick.
  struct OpenStep {
    protocol::StepGrant grant;  // with all nodes ordered so far
    TimeNs began = 0, computed = 0;
    std::uint32_t orders_open = 0;
    std::map<PushKey, PendingPush> pushes;        // not acknowledged
    std::vector<protocol::Push> held;             // computed before the step before it was settled
    std::map<SliceId, std::size_t> unpushed;      // nodes of the slice not pushed yet: then it is pulled again
    std::map<std::uint64_t, std::uint64_t> ages;  // of applied pushes
    std::map<Version, std::uint64_t> versions;    // under accepted pushes
    protocol::Tick tick;
  };

  void on_welcome(TimeNs now, const protocol::Welcome& welcome, protocol::Outbox& out);
  void on_grant(TimeNs now, const protocol::Grant& grant, protocol::Outbox& out);
  void on_weights(TimeNs now, protocol::Weights weights, protocol::Outbox& out);
  void on_push_ack(TimeNs now, const protocol::PushAck& ack, protocol::Outbox& out);
  void on_gradient(TimeNs now, SliceGradient gradient, protocol::Outbox& out);
  void on_computed(TimeNs now, const StepComputed& computed, protocol::Outbox& out);
  void begin_step_if_possible(TimeNs now, protocol::Outbox& out);
  void add_nodes(OpenStep& step, const protocol::StepGrant& grant, protocol::Outbox& out);
  void trace_begin(const protocol::StepGrant& step, protocol::Outbox& out) const;
  void deliver(SliceId slice, protocol::Weights weights, protocol::Outbox& out);
  void pull(TimeNs now, SliceId slice, Clock clock, std::int64_t floor, protocol::Outbox& out);
  void send_push(TimeNs now, OpenStep& step, protocol::Push push, protocol::Outbox& out);
  void settle_if_complete(TimeNs now, protocol::Outbox& out);
  void resend(TimeNs now, protocol::Outbox& out);
  void confirm(Clock clock);
  [[nodiscard]] bool due(TimeNs now, Timer& timer) const;
  [[nodiscard]] Timer timer_from(TimeNs now) const { return {now, timing_.resend_after, now}; }
  [[nodiscard]] protocol::Heartbeat heartbeat(TimeNs now) const;
  [[nodiscard]] protocol::Waiting waiting(TimeNs now) const;
  [[nodiscard]] NodeId owner(SliceId slice) const { return server_node(routing_.slices[slice].shard); }
  [[nodiscard]] OpenStep* find_step(Clock clock);

  const NodeId self_;
  const protocol::Timing timing_;
  protocol::Enrollment enrollment_;
  protocol::Manifest manifest_;
  protocol::RoutingTable routing_;

  std::vector<SliceState> slices_;
  std::map<Clock, protocol::StepGrant> granted_;  // and not begun
  protocol::BatchRange next_hint_;
  // At most two: the older settles while the newer computes.
  std::map<Clock, OpenStep> open_;
  Clock next_step_ = kNoClock;                   // the next to begin; none before the first grant
  Clock settled_ = 0;                            // this worker's clock
  std::map<Clock, protocol::Tick> unconfirmed_;  // ticks that the scheduler may not have
  Timer tick_timer_;
  TimeNs idle_since_ = 0;  // nothing to compute since then
  bool last_done_ = false;

  TimeNs next_resend_ = kNever;
  std::vector<ComputeOrder> orders_;
};

}  // namespace rubato::worker
