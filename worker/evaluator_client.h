// The evaluator's side of the protocol: on an Evaluate it pulls every slice of that fixed snapshot,
// hands them to the trainer, and reports what comes out. It pushes nothing, has no clock, and stops
// nobody.
//
// Thread-safety: one owner.
#pragma once

#include <optional>
#include <vector>

#include "protocol/core.h"
#include "protocol/enrollment.h"
#include "worker/compute_port.h"

namespace rubato::worker {

class EvaluatorClient final : public protocol::Core {
 public:
  EvaluatorClient(NodeId self, protocol::Register details, protocol::Timing timing);

  [[nodiscard]] protocol::Identity identity() const override { return enrollment_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override;
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override;

  void report(TimeNs now, ComputeReport report, protocol::Outbox& out);
  template <typename Take>
  void hand_orders(Take&& take) {
    for (ComputeOrder& order : orders_) take(std::move(order));
    orders_.clear();
  }

  [[nodiscard]] const protocol::RoutingTable& routing() const { return routing_; }
  [[nodiscard]] const protocol::Manifest& manifest() const { return manifest_; }

 private:
  void on_evaluate(TimeNs now, const protocol::Evaluate& order, protocol::Outbox& out);
  void on_weights(TimeNs now, protocol::Weights weights);
  void pull_missing(TimeNs now, protocol::Outbox& out);

  const protocol::Timing timing_;
  protocol::Enrollment enrollment_;
  protocol::Manifest manifest_;
  protocol::RoutingTable routing_;

  std::optional<protocol::Evaluate> order_;  // under way: being pulled, or computed
  std::vector<std::optional<Payload>> slices_;
  std::size_t missing_ = 0;
  std::optional<protocol::EvaluationDone> done_;  // the newest, said again when asked again
  TimeNs next_pull_ = kNever;
  std::vector<ComputeOrder> orders_;
};

}  // namespace rubato::worker
