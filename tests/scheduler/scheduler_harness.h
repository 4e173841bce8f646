// A scheduler under test: fed by hand, with everything it says collected.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

inline Job job_of(const std::string& mode, std::int64_t workers = 2, std::int64_t servers = 1) {
  Job job;
  job.model.name = "quadratic";
  job.data.kind = "synthetic";
  job.consistency.mode = mode;
  job.cluster.workers = workers;
  job.cluster.servers = servers;
  job.train.batch = 10;
  job.train.steps = 100;
  job.evaluation.enabled = false;
  return job;
}

class Scheduler {
 public:
  explicit Scheduler(Job job_file, const protocol::Timing& patience = {})
      : job(std::move(job_file)), timing(patience), core(job, timing) {
    out.tracing = true;
    core.start(now, out);
  }

  [[nodiscard]] protocol::Register registration(NodeId node) const {
    protocol::Register message;
    message.nonce = 100 * static_cast<std::uint64_t>(node.role) + node.rank + 1;
    message.pid = 4000 + node.rank;
    message.host = "here";
    message.address = "at " + node.name();
    message.job_hash = job_hash(job);
    if (node.role == Role::kServer) return message;
    message.data_fingerprint = "data";
    message.train_samples = 100;
    ParameterSpec parameter;
    parameter.name = "w";
    parameter.shape = {32};
    message.manifest = {parameter};
    return message;
  }

  // The next call's messages are the only ones in `out`.
  void receive(NodeId from, protocol::Body body, Incarnation incarnation = 1) {
    out.clear();
    core.receive(now, {from, kSchedulerNode, incarnation, 1, 1, 7}, std::move(body), out);
  }
  void enroll(NodeId node) { receive(node, registration(node), 0); }
  // It sweeps in time until then.
  void wake_at(TimeNs time) {
    out.clear();
    for (TimeNs due = core.deadline(); due > now && due < time; due = core.deadline()) {
      now = due;
      core.wake(now, out);
    }
    now = time;
    core.wake(now, out);
  }
  // It was stopped, and sees nothing before.
  void sleep_until(TimeNs time) {
    out.clear();
    now = time;
    core.wake(now, out);
  }

  [[nodiscard]] std::vector<NodeId> members() const {
    std::vector<NodeId> nodes;
    for (std::uint32_t rank = 0; rank < job.cluster.servers; ++rank) nodes.push_back(server_node(rank));
    for (std::uint32_t rank = 0; rank < job.cluster.workers; ++rank) nodes.push_back(worker_node(rank));
    nodes.push_back(evaluator_node(0));
    return nodes;
  }
  // Everybody joins and is ready: training begins.
  void begin() {
    for (const NodeId node : members()) enroll(node);
    for (const NodeId node : members()) receive(node, protocol::Ready{});
    ASSERT_EQ(core.phase(), Phase::kTraining);
  }

  void tick(std::uint32_t worker, Clock clock, std::uint64_t samples = 10) {
    protocol::Tick message;
    message.clock = clock;
    message.samples = samples;
    message.step_ns = kMillisecond;
    receive(worker_node(worker), message);
  }
  void beat(NodeId node, protocol::Waiting waiting = {}) {
    protocol::Heartbeat message;
    message.waiting = waiting;
    receive(node, message);
  }

  // What the last call sent to `to`, of one type.
  template <typename M>
  [[nodiscard]] std::vector<M> sent(NodeId to) const {
    std::vector<M> found;
    for (const auto& message : out.messages)
      if (const M* body = std::get_if<M>(&message.body); body && message.to == to) found.push_back(*body);
    return found;
  }
  // Clocks that the last call granted, oldest first, as the trace says.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, Clock>> granted() const {
    std::vector<std::pair<std::uint32_t, Clock>> found;
    for (const auto& event : out.traces)
      if (event.kind == protocol::TraceKind::kGrant) found.emplace_back(event.worker, event.clock);
    return found;
  }
  [[nodiscard]] std::optional<std::string> refusal(NodeId node) const {
    const auto refusals = sent<protocol::Refuse>(node);
    return refusals.empty() ? std::nullopt : std::optional(refusals.front().text);
  }

  TimeNs now = kSecond;
  const Job job;
  const protocol::Timing timing;
  protocol::Outbox out;
  SchedulerCore core;
};

}  // namespace rubato::scheduler
