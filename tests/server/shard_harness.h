// A shard under test: fed by hand, with everything it says collected.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "server/shard_core.h"
#include "tests/server/device_under_test.h"

namespace rubato::server {

inline Job job_of(const std::string& mode, std::int64_t leaves = 1) {
  Job job;
  job.optimizer.name = "sgd";
  job.consistency.mode = mode;
  job.cluster.workers = 3;
  job.train.micro_batches = leaves;
  job.train.seed = 7;
  return job;
}

inline ParameterSpec zeros(std::string name, std::int64_t elements) {
  ParameterSpec spec;
  spec.name = std::move(name);
  spec.shape = {elements};
  return spec;
}

// Workers 0 to count - 1, in their first life, from clock 0.
inline std::vector<protocol::ActiveWorker> workers(std::uint32_t count) {
  std::vector<protocol::ActiveWorker> active;
  for (std::uint32_t rank = 0; rank < count; ++rank) active.push_back({rank, 1, 0});
  return active;
}

inline protocol::Envelope envelope_of(NodeId from, Incarnation incarnation = 1, std::uint64_t via = 0) {
  return {.from = from, .to = server_node(0), .incarnation = incarnation, .generation = 1, .route = 1, .via = via};
}

inline std::vector<float> floats_of(const Payload& payload) {
  const auto values = payload.floats();
  return {values.begin(), values.end()};
}

class Shard {
 public:
  explicit Shard(const Job& job, std::uint64_t memory_bytes = std::uint64_t{1} << 40,
                 protocol::InitialWeights initial = {})
      : core(server_node(0), job, registration(), protocol::Timing{}, memory_bytes, nullptr, {}, std::move(initial),
             device_under_test()) {
    out.tracing = true;
    core.start(now, out);
  }

  // One parameter "w" of zeros, one slice of it.
  Shard(const Job& job, std::int64_t elements, std::vector<protocol::ActiveWorker> active)
      : Shard(job, {zeros("w", elements)}, {{0, {{0, 0, static_cast<std::uint64_t>(elements)}}}}, std::move(active)) {}

  Shard(const Job& job, protocol::Manifest manifest, std::vector<protocol::SliceSpec> slices,
        std::vector<protocol::ActiveWorker> active)
      : Shard(job) {
    welcome(std::move(manifest), std::move(slices), std::move(active));
  }

  static protocol::Register registration() {
    protocol::Register message;
    message.nonce = 42;
    message.host = "here";
    return message;
  }

  void welcome(protocol::Manifest manifest, std::vector<protocol::SliceSpec> slices,
               std::vector<protocol::ActiveWorker> active) {
    protocol::Welcome message;
    message.incarnation = 1;
    message.generation = 1;
    message.manifest = std::move(manifest);
    message.routing = {1, std::move(slices), {"here"}};
    message.active = std::move(active);
    scheduler(message);
    out.clear();
  }

  void receive(const protocol::Envelope& envelope, protocol::Body body) {
    out.clear();
    core.receive(now, envelope, std::move(body), out);
  }
  void scheduler(protocol::Body body) { receive(envelope_of(kSchedulerNode), std::move(body)); }
  void membership(std::uint32_t generation, std::vector<protocol::ActiveWorker> active) {
    scheduler(protocol::Membership{generation, std::move(active)});
  }
  void wake_at(TimeNs time) {
    out.clear();
    now = time;
    core.wake(now, out);
  }

  // Asks for the live weights, as an evaluator: out of everybody's way.
  protocol::Weights look(SliceId slice = 0) {
    receive(envelope_of(evaluator_node(0)), protocol::Pull{.slice = slice});
    const auto answers = sent<protocol::Weights>();
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? protocol::Weights{} : answers.front();
  }
  std::vector<float> weights(SliceId slice = 0) { return floats_of(look(slice).weights); }

  // What the last call sent, of one type.
  template <typename M>
  [[nodiscard]] std::vector<M> sent() const {
    std::vector<M> found;
    for (const auto& message : out.messages) {
      if (const M* body = std::get_if<M>(&message.body)) found.push_back(*body);
    }
    return found;
  }
  // Its one message of that type.
  template <typename M>
  [[nodiscard]] M only() const {
    const auto found = sent<M>();
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? M{} : found.front();
  }
  [[nodiscard]] std::vector<protocol::TraceEvent> traced(protocol::TraceKind kind) const {
    std::vector<protocol::TraceEvent> found;
    for (const auto& event : out.traces) {
      if (event.kind == kind) found.push_back(event);
    }
    return found;
  }

  TimeNs now = 0;
  protocol::Outbox out;
  ShardCore core;
};

// A push of one slice, with what tests rarely change at the end.
inline protocol::Push push_of(Clock clock, const std::vector<float>& gradient, Version version = 0,
                              std::uint32_t samples = 1, protocol::LeafNode node = {}, double rate = 1.0,
                              SliceId slice = 0) {
  protocol::Push push;
  push.slice = slice;
  push.clock = clock;
  push.node = node;
  push.samples = samples;
  push.version = version;
  push.rate = rate;
  if (!gradient.empty()) push.gradient = Payload::of_floats(gradient);
  return push;
}

inline void expect_same(const protocol::PushAck& a, const protocol::PushAck& b) {
  EXPECT_EQ(std::tie(a.slice, a.clock, a.node, a.fate, a.version, a.age, a.floor),
            std::tie(b.slice, b.clock, b.node, b.fate, b.version, b.age, b.floor));
}

}  // namespace rubato::server
