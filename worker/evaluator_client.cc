#include "worker/evaluator_client.h"

#include <algorithm>

namespace rubato::worker {

using protocol::Outbox;

EvaluatorClient::EvaluatorClient(NodeId self, protocol::Register details, protocol::Timing timing)
    : timing_(timing), enrollment_(self, std::move(details), timing) {}

void EvaluatorClient::start(TimeNs now, Outbox& out) { enrollment_.start(now, out); }

TimeNs EvaluatorClient::deadline() const {
  return enrollment_.over() ? kNever : std::min(enrollment_.deadline(), next_pull_);
}

void EvaluatorClient::receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, Outbox& out) {
  if (enrollment_.receive(now, envelope, body, out)) {
    if (enrollment_.over()) orders_.push_back(StopComputing{});
    return;
  }
  if (envelope.from == kSchedulerNode) {
    if (const auto* welcome = std::get_if<protocol::Welcome>(&body);
        welcome && enrollment_.moved(*welcome, routing_, out)) {
      if (order_ && missing_ > 0) pull_missing(now, out);  // a server has come back, and knows nothing of it
    } else if (welcome && enrollment_.welcomed(*welcome)) {
      manifest_ = welcome->manifest;
      routing_ = welcome->routing;
      for (std::uint32_t shard = 0; shard < routing_.shards(); ++shard)
        out.connect(server_node(shard), routing_.addresses[shard]);
      enrollment_.ready(now, out);
    }
    if (const auto* order = std::get_if<protocol::Evaluate>(&body)) on_evaluate(now, *order, out);
  } else if (auto* weights = std::get_if<protocol::Weights>(&body); weights && envelope.from.role == Role::kServer) {
    on_weights(now, std::move(*weights));
  }
}

void EvaluatorClient::on_evaluate(TimeNs now, const protocol::Evaluate& order, Outbox& out) {
  if (!enrollment_.joined()) return;  // it overtook the Welcome, and will be said again
  if (done_ && done_->snapshot == order.snapshot) {
    out.send(kSchedulerNode, *done_);
    return;
  }
  if (order_ && order_->snapshot >= order.snapshot) return;
  if (done_ && done_->snapshot > order.snapshot) return;  // a late repeat: that snapshot is released
  order_ = order;
  slices_.assign(routing_.slices.size(), std::nullopt);
  missing_ = slices_.size();
  pull_missing(now, out);
}

void EvaluatorClient::pull_missing(TimeNs now, Outbox& out) {
  for (SliceId slice = 0; slice < slices_.size(); ++slice)
    if (!slices_[slice])
      out.send(server_node(routing_.slices[slice].shard), protocol::Pull{slice, order_->clock, 0, order_->snapshot});
  next_pull_ = now + timing_.resend_after;
}

void EvaluatorClient::on_weights(TimeNs /*now*/, protocol::Weights weights) {
  if (!order_ || weights.snapshot != order_->snapshot || weights.slice >= slices_.size()) return;
  std::optional<Payload>& slot = slices_[weights.slice];
  if (slot || weights.weights.size() != routing_.slices[weights.slice].elements() * sizeof(float)) return;
  slot = std::move(weights.weights);
  if (--missing_ > 0) return;
  next_pull_ = kNever;
  EvaluateWeights job{*order_, {}};
  for (std::optional<Payload>& slice : slices_) job.slices.push_back(std::move(*slice));
  orders_.push_back(std::move(job));
}

void EvaluatorClient::report(TimeNs /*now*/, ComputeReport report, Outbox& out) {
  if (enrollment_.over()) return;
  if (const auto* evaluated = std::get_if<Evaluated>(&report)) {
    done_ = evaluated->done;
    out.send(kSchedulerNode, *done_);
    if (order_ && order_->snapshot > done_->snapshot) return;  // a newer one is being pulled already
    order_.reset();
    slices_.clear();
  } else if (const auto* failed = std::get_if<ComputeFailed>(&report)) {
    enrollment_.leave(failed->error, out);
  }
}

void EvaluatorClient::wake(TimeNs now, Outbox& out) {
  if (enrollment_.over()) return;
  if (order_ && now >= next_pull_) pull_missing(now, out);
  enrollment_.wake(now, {}, out);
  if (enrollment_.over()) orders_.push_back(StopComputing{});
}

}  // namespace rubato::worker
