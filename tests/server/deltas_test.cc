// A shard whose workers take local steps (mode local:H): it applies an outer rule to their deltas.
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Commit;
using protocol::Fate;
using protocol::Push;
using protocol::PushAck;
using testing::ElementsAre;
using testing::IsEmpty;

Shard shard_of(const std::string& mode, const OuterConfig& outer) {
  Job job = job_of(mode);
  job.optimizer.weight_decay = 0.5;  // the workers' affair, as is the rate of a push
  job.optimizer.outer = outer;
  return Shard(job, 2, workers(3));
}

Push delta_of(Clock clock, const std::vector<float>& delta, Version version = 0, std::uint32_t samples = 1) {
  Push push = push_of(clock, delta, version, samples, {}, 0.125);
  push.local_steps = 4;
  return push;
}

TEST(Deltas, AreAveragedByTheirSamples) {
  Shard shard = shard_of("local:4", {});
  shard.receive(envelope_of(worker_node(0)), delta_of(0, {1, 8}, 0, 30));
  shard.receive(envelope_of(worker_node(1)), delta_of(0, {}, 0, 0));  // had no samples
  shard.receive(envelope_of(worker_node(2)), delta_of(0, {5, 16}, 0, 10));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kAccepted);
  shard.scheduler(Commit{1, {{0, 0}, {1, 0}, {2, 0}}, 0.125, 1});
  EXPECT_THAT(shard.weights(), ElementsAre(-2.0f, -10.0f));
  EXPECT_EQ(shard.look().version, 1u);
}

TEST(Deltas, OneAloneIsTakenAsItIs) {
  Shard shard = shard_of("local:4", {});
  shard.receive(envelope_of(worker_node(1)), delta_of(0, {0.1f, 0.3f}, 0, 7));
  shard.scheduler(Commit{1, {{1, 0}}, 0.125, 0});
  EXPECT_THAT(shard.weights(), ElementsAre(-0.1f, -0.3f));
}

TEST(Deltas, OnArrivalEachIsAnUpdateOfTheOuterRule) {
  Shard shard = shard_of("local:4+asp", {.name = "nesterov", .rate = 0.5, .momentum = 0.5});
  shard.receive(envelope_of(worker_node(0)), delta_of(0, {4, 0}, 0, 100));
  EXPECT_EQ(shard.only<PushAck>().version, 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-3.0f, 0.0f));  // v = 4; 0.5 (4 + 0.5 * 4)
  shard.receive(envelope_of(worker_node(1)), delta_of(0, {0, 8}, 0, 1));
  EXPECT_EQ(shard.only<PushAck>().age, 1u);
  EXPECT_THAT(shard.weights(), ElementsAre(-3.5f, -6.0f));  // v = 2, 8
}

// N = 3, of as many workers: the momentum moves with every third delta of a slice.
TEST(Deltas, OnArrivalMomentumIsDelayed) {
  Shard shard = shard_of("local:4+asp", {.name = "delayed_nesterov", .rate = 0.5, .momentum = 0.5});
  for (std::uint32_t rank = 0; rank < 2; ++rank) shard.receive(envelope_of(worker_node(rank)), delta_of(0, {3, 6}));
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -2.0f));
  shard.receive(envelope_of(worker_node(2)), delta_of(0, {3, 6}));
  EXPECT_THAT(shard.weights(), ElementsAre(-1.5f - 0.75f, -3.0f - 1.5f));  // m = 3, 6
}

TEST(Deltas, AreNoGradientsAndGradientsNoDeltas) {
  Shard local = shard_of("local:4+asp", {});
  local.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  EXPECT_THAT(local.out.messages, IsEmpty());
  Shard other = shard_of("asp", {});
  other.receive(envelope_of(worker_node(0)), delta_of(0, {1, 1}));
  EXPECT_THAT(other.out.messages, IsEmpty());
  for (Shard* shard : {&local, &other}) {
    EXPECT_EQ(shard->core.refused(), 1u);
    EXPECT_THAT(shard->weights(), ElementsAre(0.0f, 0.0f));
  }
}

TEST(Deltas, ThatAreNotFiniteAreDropped) {
  Shard shard = shard_of("local:4+asp", {.name = "nesterov"});
  shard.receive(envelope_of(worker_node(0)), delta_of(0, {std::numeric_limits<float>::infinity(), 1}));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kNonFinite);
  EXPECT_THAT(shard.weights(), ElementsAre(0.0f, 0.0f));
}

}  // namespace
}  // namespace rubato::server
