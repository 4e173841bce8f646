// The worker's client, with what its servers, scheduler and trainer would say.
#pragma once

#include "tests/worker/client_harness.h"

namespace rubato::worker {

class Worker : public Client<WorkerClient> {
 public:
  Worker() : Client(worker_node(1)) {}

  // On arrival; in bsp a step has leaves and nodes of them.
  [[nodiscard]] protocol::StepGrant step(Clock clock) const {
    protocol::StepGrant step;
    step.clock = clock;
    step.min_clock = clock;
    step.bound = bound;
    step.batch = {0, static_cast<std::uint64_t>(8 * clock), 8};
    step.nodes = {{0, 0}};
    step.rate = 0.5 + static_cast<double>(clock);
    step.rule_epoch = 1;
    return step;
  }
  void grant(protocol::StepGrants steps, Clock settled = 0) {
    scheduler(protocol::Grant{settled, std::move(steps), {}});
  }
  void grant(Clock clock, Clock settled = 0) { grant({step(clock)}, settled); }

  void weights(SliceId slice, Clock clock, std::int64_t floor, Version version = 0) {
    receive(server_node(slice % 2),
            protocol::Weights{slice, clock, version, floor, 0, floats_payload(static_cast<float>(version))});
  }
  void all_weights(Clock clock, std::int64_t floor, Version version = 0) {
    for (SliceId slice = 0; slice < kSlices; ++slice) weights(slice, clock, floor, version);
  }
  void gradient(SliceId slice, Clock clock, protocol::LeafNode node = {}) {
    report(SliceGradient{clock, slice, node, 8, floats_payload(static_cast<float>(100 * clock + slice))});
  }
  void computed(Clock clock) { report(StepComputed{clock, 8, 5, 2.5, 3}); }
  // All that the trainer does in a step of one node.
  void compute(Clock clock) {
    for (SliceId slice = 0; slice < kSlices; ++slice) gradient(slice, clock);
    computed(clock);
  }
  void acknowledge(SliceId slice, Clock clock, protocol::Fate fate = protocol::Fate::kApplied, std::uint64_t age = 0,
                   protocol::LeafNode node = {}) {
    receive(server_node(slice % 2), protocol::PushAck{slice, clock, node, fate, 1, age, 0});
  }
  void acknowledge_all(Clock clock) {
    for (SliceId slice = 0; slice < kSlices; ++slice) acknowledge(slice, clock);
  }
  // Joined, granted, the weights there, computed; only acknowledgements are missing.
  void up_to_acknowledgements(Clock clock = 0) {
    join();
    grant(clock, clock);
    all_weights(clock, clock);
    compute(clock);
  }

  [[nodiscard]] std::vector<protocol::Tick> ticks() const { return sent<protocol::Tick>(kSchedulerNode); }
  [[nodiscard]] protocol::Waiting waiting() {
    run_to(now + timing.heartbeat);
    const auto beats = sent<protocol::Heartbeat>(kSchedulerNode);
    EXPECT_FALSE(beats.empty());
    return beats.empty() ? protocol::Waiting{} : beats.back().waiting;
  }

  std::int64_t bound = protocol::StepGrant::kUnbounded;
};

}  // namespace rubato::worker
