// Parameters that are no weights but running means (ParameterSpec::average), under whatever rule and mode.
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Commit;
using protocol::Pull;
using protocol::PushAck;
using testing::ElementsAre;

// A rule that would do something else with every number of it.
Job busy_job(const std::string& mode, std::int64_t leaves = 1) {
  Job job = job_of(mode, leaves);
  job.optimizer.name = "adamw";
  job.optimizer.weight_decay = 0.5;
  job.optimizer.clip_value = 0.25;
  return job;
}

Shard shard_of(const Job& job, std::uint32_t count) {
  ParameterSpec mean = zeros("bn.running_mean", 2);
  mean.average = 0.25f;
  return Shard(job, {mean}, {{0, {{0, 0, 2}}}}, workers(count));
}

TEST(RunningMeans, MoveTowardsThePushedMeanByTheirFraction) {
  for (const bool aged : {false, true}) {
    Job job = busy_job("asp");
    if (aged) {
      job.optimizer.age_scaling = "inverse";
      job.optimizer.compensation.name = "adaptive";
    }
    Shard shard = shard_of(job, 2);
    const auto pull = [&](std::uint32_t rank, Clock clock) {
      shard.receive(envelope_of(worker_node(rank)), Pull{.slice = 0, .clock = clock});
    };
    for (const std::uint32_t rank : {0u, 1u}) pull(rank, 0);
    shard.receive(envelope_of(worker_node(0)), push_of(0, {16, -8}, 0, 2));
    EXPECT_THAT(shard.weights(), ElementsAre(2.0f, -1.0f));
    pull(0, 1);
    shard.receive(envelope_of(worker_node(0)), push_of(1, {16, -8}, 1, 2));
    EXPECT_THAT(shard.weights(), ElementsAre(3.5f, -1.75f));
    shard.receive(envelope_of(worker_node(1)), push_of(0, {14, 0}, 0, 4));  // of an age of 2
    EXPECT_EQ(shard.only<PushAck>().age, 2u);
    EXPECT_THAT(shard.weights(), ElementsAre(3.5f, -1.3125f));
  }
}

TEST(RunningMeans, OfALeaseCountBySamplesLikeAnyOther) {
  Job job = busy_job("asp");
  job.data.shards = "leased";
  job.train.batch = 8;
  Shard shard = shard_of(job, 1);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {16, -8}, 0, 2));
  EXPECT_THAT(shard.weights(), ElementsAre(2.0f, -1.0f));
}

TEST(RunningMeans, TakeTheMeanOverAllSamplesOfAClock) {
  Shard shard = shard_of(busy_job("bsp", 4), 2);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {6, 0}, 0, 3, {1, 0}));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {2, 16}, 0, 1, {1, 1}));
  EXPECT_THAT(shard.weights(), ElementsAre(0.5f, 1.0f));
}

TEST(RunningMeans, TakeTheMeanOverAllSamplesOfACommit) {
  Job job = busy_job("softsync:1");
  job.optimizer.age_scaling = "inverse";
  Shard shard = shard_of(job, 3);
  shard.receive(envelope_of(worker_node(0)), push_of(0, {6, 0}, 0, 3));
  shard.receive(envelope_of(worker_node(1)), push_of(0, {2, 16}, 0, 1));
  shard.scheduler(Commit{1, {{0, 0}, {1, 0}}, 0.125, 1});
  EXPECT_THAT(shard.weights(), ElementsAre(0.5f, 1.0f));
}

TEST(RunningMeans, OfWorkersWithLocalStepsAreAveraged) {
  Job job = busy_job("local:4");
  job.optimizer.outer = {.name = "nesterov", .rate = 0.5, .momentum = 0.5};
  Shard shard = shard_of(job, 3);
  for (const auto& [rank, delta, samples] : {std::tuple(0u, 8.0f, 3u), std::tuple(1u, 4.0f, 1u)}) {
    protocol::Push push = push_of(0, {delta, 0}, 0, samples);
    push.local_steps = 4;
    shard.receive(envelope_of(worker_node(rank)), push);
  }
  shard.scheduler(Commit{1, {{0, 0}, {1, 0}}, 0.125, 1});
  EXPECT_THAT(shard.weights(), ElementsAre(-7.0f, 0.0f));
}

}  // namespace
}  // namespace rubato::server
