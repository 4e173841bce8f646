// A shard that makes up for the ages of gradients: the rate divided by them, delays compensated for.
#include <cmath>
#include <limits>

#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Commit;
using protocol::Contributor;
using protocol::Fate;
using protocol::Pull;
using protocol::PushAck;
using protocol::Weights;
using testing::ElementsAre;
using testing::FloatEq;
using testing::HasSubstr;
using testing::IsEmpty;

Job scaled(const std::string& mode) {
  Job job = job_of(mode);
  job.optimizer.age_scaling = "inverse";
  return job;
}

Job compensated(const std::string& mode, const std::string& name = "constant", double lambda = 0.25) {
  Job job = job_of(mode);
  job.optimizer.compensation = {name, lambda, 0.75};
  return job;
}

Shard shard_of(const Job& job) { return Shard(job, 2, workers(3)); }

void commit(Shard& shard, std::uint64_t number, std::vector<Contributor> contributors, Clock floor = 0) {
  shard.scheduler(Commit{number, std::move(contributors), 1.0, floor});
}

// The version that a worker is given.
Version pull(Shard& shard, std::uint32_t rank, Clock clock, Clock floor = 0) {
  shard.receive(envelope_of(worker_node(rank)), Pull{.slice = 0, .clock = clock, .floor = floor});
  return shard.only<Weights>().version;
}

Fate push(Shard& shard, std::uint32_t rank, const protocol::Push& push) {
  shard.receive(envelope_of(worker_node(rank)), push);
  return shard.only<PushAck>().fate;
}

// ---- the rate over the age ------------------------------------------------------------------------------

TEST(AgeScaling, APushHasTheRateThatItsAgeLeavesIt) {
  Shard shard = shard_of(scaled("asp"));
  push(shard, 0, push_of(0, {8, 0}, 0));
  EXPECT_THAT(shard.weights(), ElementsAre(-8.0f, 0.0f));
  push(shard, 1, push_of(0, {8, 0}, 0));
  EXPECT_THAT(shard.weights(), ElementsAre(-16.0f, 0.0f)) << "age 1 counts whole";
  push(shard, 2, push_of(0, {8, 4}, 0));
  EXPECT_THAT(shard.weights(), ElementsAre(-20.0f, -2.0f)) << "age 2 half";
}

// rate / c * sum(a g), as Zhang et al. have it, where all are of equally many samples.
TEST(AgeScaling, EveryPushOfACommitHasItsOwn) {
  Shard shard = shard_of(scaled("softsync:1"));
  push(shard, 0, push_of(0, {8, 8}, 0, 2));
  push(shard, 1, push_of(0, {0, 0}, 0, 2));
  for (std::uint64_t number = 1; number <= 2; ++number)
    commit(shard, number, {{static_cast<std::uint32_t>(number - 1), 0}});
  EXPECT_THAT(shard.weights(), ElementsAre(-4.0f, -4.0f));
  push(shard, 0, push_of(1, {6, 10}, 2, 2));  // age 0
  push(shard, 2, push_of(0, {12, 4}, 0, 2));  // age 2
  commit(shard, 3, {{0, 1}, {2, 0}});
  EXPECT_THAT(shard.weights(), ElementsAre(FloatEq(-4 - (6 + 12 / 2.0f) / 4), FloatEq(-4 - (10 + 4 / 2.0f) / 4)));
}

TEST(AgeScaling, ClipsTheMeanBeforeItIsScaled) {
  Job job = scaled("softsync:1");
  job.optimizer.clip_value = 2.0;
  Shard shard = shard_of(job);
  push(shard, 0, push_of(0, {0, 0}));
  push(shard, 1, push_of(0, {0, 0}));
  for (std::uint64_t number = 1; number <= 2; ++number)
    commit(shard, number, {{static_cast<std::uint32_t>(number - 1), 0}});
  push(shard, 2, push_of(0, {8, 1}));
  commit(shard, 3, {{2, 0}});
  EXPECT_THAT(shard.weights(), ElementsAre(-1.0f, -0.5f));
}

// A lease of 2 of the 4 samples of a batch counts half, whatever its age; what is compensated is its mean all the same.
TEST(AgeScaling, AndCompensationGoWithLeases) {
  Job job = compensated("asp");
  job.optimizer.age_scaling = "inverse";
  job.data.shards = "leased";
  job.train.batch = 4;
  Shard shard = shard_of(job);
  for (std::uint32_t rank : {0u, 1u, 2u}) pull(shard, rank, 0);
  push(shard, 0, push_of(0, {8, 0}, 0, 4));
  push(shard, 1, push_of(0, {0, 8}, 0, 4));
  EXPECT_EQ(shard.weights(), (std::vector<float>{-2, -2}));
  push(shard, 2, push_of(0, {8, 2}, 0, 2));  // age 2: means 4 and 1, halved for the lease and for the age
  EXPECT_THAT(shard.weights(),
              ElementsAre(FloatEq(-2 - (4 + 0.25f * 16 * -2) / 4), FloatEq(-2 - (1 + 0.25f * -2) / 4)));
}

TEST(AgeScaling, ChangesNothingWhereNothingIsOld) {
  for (const char* mode : {"bsp", "backup:1"}) EXPECT_FALSE(rule_of(scaled(mode)).age_scaling) << mode;
  for (const char* mode : {"asp", "ssp:0", "softsync:1"}) EXPECT_TRUE(rule_of(scaled(mode)).age_scaling) << mode;
  EXPECT_FALSE(rule_of(compensated("bsp")).compensates());
}

// ---- delay compensation ---------------------------------------------------------------------------------

TEST(Compensation, AddsWhatTheWeightsHaveMovedSince) {
  Shard shard = shard_of(compensated("asp"));
  for (std::uint32_t rank : {0u, 1u}) EXPECT_EQ(pull(shard, rank, 0), 0u);
  EXPECT_EQ(push(shard, 0, push_of(0, {2, -4})), Fate::kApplied);
  EXPECT_THAT(shard.weights(), ElementsAre(-2.0f, 4.0f)) << "nothing had moved";
  EXPECT_EQ(push(shard, 1, push_of(0, {2, 6}, 0, 2)), Fate::kApplied);
  EXPECT_THAT(shard.weights(), ElementsAre(FloatEq(-2 - (1 + 0.25f * 1 * -2)), FloatEq(4 - (3 + 0.25f * 9 * 4))));
}

TEST(Compensation, KeepsTheMeanSquareInItsSlots) {
  Shard shard = shard_of(compensated("asp", "adaptive"));
  for (std::uint32_t rank : {0u, 1u}) pull(shard, rank, 0);
  push(shard, 0, push_of(0, {2, -4}));
  push(shard, 1, push_of(0, {1, 3}));
  const float square0 = 0.75f * (0.25f * 4) + 0.25f * 1, square1 = 0.75f * (0.25f * 16) + 0.25f * 9;
  EXPECT_THAT(shard.weights(), ElementsAre(FloatEq(-2 - (1 + 0.25f / std::sqrt(square0) * 1 * -2)),
                                           FloatEq(4 - (3 + 0.25f / std::sqrt(square1) * 9 * 4))));
}

// The version that was read outlives the push, and others' commits, until it is in one.
TEST(Compensation, OfACommitIsOfEachOfItsPushes) {
  Shard shard = shard_of(compensated("softsync:1"));
  for (std::uint32_t rank : {0u, 1u, 2u}) pull(shard, rank, 0);
  for (std::uint32_t rank : {0u, 1u}) EXPECT_EQ(push(shard, rank, push_of(0, {2, 2})), Fate::kAccepted);
  commit(shard, 1, {{0, 0}});
  EXPECT_EQ(pull(shard, 0, 1), 1u);
  EXPECT_EQ(push(shard, 0, push_of(1, {4, 4}, 1)), Fate::kAccepted);
  commit(shard, 2, {{0, 1}, {1, 0}});
  const float compensated = 2 + 0.25f * 4 * -2;
  EXPECT_THAT(shard.weights(), ElementsAre(FloatEq(-2 - (4 + compensated) / 2), FloatEq(-2 - (4 + compensated) / 2)));
}

TEST(Compensation, APullThatComesAgainIsAnsweredWithTheSameVersion) {
  Shard shard = shard_of(compensated("ssp:3"));
  for (std::uint32_t rank : {0u, 1u, 2u}) EXPECT_EQ(pull(shard, rank, 0), 0u);
  for (std::uint32_t rank : {0u, 1u}) push(shard, rank, push_of(0, {2, 2}));
  EXPECT_EQ(pull(shard, 2, 0), 0u);
  EXPECT_EQ(push(shard, 2, push_of(0, {2, 2})), Fate::kApplied);
  EXPECT_EQ(pull(shard, 2, 1, 1), 3u);
  EXPECT_EQ(pull(shard, 2, 0), 3u) << "late, and of no use";
  EXPECT_EQ(shard.core.refused(), 0u);
}

// What a worker asked for ahead of its grant comes late, with a floor that the grant does not ask for any more.
TEST(Compensation, AnAnswerToAnotherFloorTakesNothingAway) {
  Shard shard = shard_of(compensated("dssp:0..3"));
  for (std::uint32_t rank : {0u, 1u, 2u}) pull(shard, rank, 0);
  push(shard, 2, push_of(0, {2, 2}));
  EXPECT_EQ(pull(shard, 2, 1, 0), 1u);
  for (std::uint32_t rank : {0u, 1u}) push(shard, rank, push_of(0, {2, 2}));
  EXPECT_EQ(pull(shard, 2, 1, 1), 3u);
  EXPECT_EQ(push(shard, 2, push_of(1, {2, 2}, 1)), Fate::kApplied);
}

TEST(Compensation, WhoPushesWhatItWasNotGivenIsRefused) {
  Shard shard = shard_of(compensated("asp"));
  const auto refused = [&](const protocol::Push& push) {
    const std::uint64_t before = shard.core.refused();
    shard.receive(envelope_of(worker_node(0)), push);
    return shard.out.messages.empty() && shard.core.refused() == before + 1;
  };
  EXPECT_TRUE(refused(push_of(0, {1, 1}))) << "nothing at all";
  pull(shard, 1, 0);
  push(shard, 1, push_of(0, {1, 1}));
  EXPECT_EQ(pull(shard, 0, 0), 1u);
  EXPECT_TRUE(refused(push_of(0, {1, 1}, 0))) << "another version";
  EXPECT_EQ(push(shard, 0, push_of(0, {1, 1}, 1)), Fate::kApplied);
  EXPECT_EQ(push(shard, 0, push_of(1, {}, 0, 0)), Fate::kEmpty) << "without a gradient nothing was read";
}

TEST(Compensation, NobodyFillsTheMemoryWithPulls) {
  Shard shard = shard_of(compensated("asp"));
  for (Clock clock : {0, 1, 2, 3}) pull(shard, 0, clock);
  shard.receive(envelope_of(worker_node(0)), Pull{.slice = 0, .clock = 4});
  EXPECT_THAT(shard.out.messages, IsEmpty());
  shard.receive(envelope_of(worker_node(99)), Pull{.slice = 0, .clock = 0});
  EXPECT_THAT(shard.out.messages, IsEmpty()) << "a rank that the job does not have";
  EXPECT_EQ(shard.core.refused(), 2u);
}

TEST(Compensation, ThatIsNotFiniteIsDroppedAsSuchAGradientIs) {
  for (const char* mode : {"asp", "softsync:1"}) {
    SCOPED_TRACE(mode);
    Shard shard = shard_of(compensated(mode));
    for (std::uint32_t rank : {0u, 1u}) pull(shard, rank, 0);
    push(shard, 0, push_of(0, {2, 2}));
    if (shard.core.counters().version_max == 0) commit(shard, 1, {{0, 0}});
    const Fate fate = push(shard, 1, push_of(0, {1, 1e25f}));
    if (fate == Fate::kAccepted) commit(shard, 2, {{1, 0}});
    EXPECT_EQ(shard.only<protocol::Alarm>().worker, 1u);
    EXPECT_THAT(shard.weights(), ElementsAre(-2.0f, -2.0f));
  }
}

// What is current and what is written, with state, and the weights that each of three workers reads: five versions of
// 64 floats.
TEST(Compensation, SaysWhatMemoryItTakesAndRefusesWhatThereIsNot) {
  constexpr std::uint64_t kNeeded = (2 * 2 + 3) * 64 * sizeof(float);
  const auto welcomed = [](const Job& job, std::uint64_t memory_bytes) {
    Shard shard(job, memory_bytes);
    protocol::Welcome message;
    message.incarnation = message.generation = 1;
    message.manifest = {zeros("w", 64)};
    message.routing = {1, {{0, {{0, 0, 64}}}}, {"here"}};
    message.active = workers(3);
    shard.scheduler(message);
    return shard.out;
  };
  const Job job = compensated("asp", "adaptive");
  const protocol::Outbox enough = welcomed(job, kNeeded), too_little = welcomed(job, kNeeded - 1);
  EXPECT_FALSE(enough.end.has_value());
  EXPECT_THAT(enough.notes.at(0).text, HasSubstr("for 5 versions of each of its slices"));
  ASSERT_TRUE(too_little.end.has_value());
  EXPECT_EQ(too_little.end->exit_code, static_cast<int>(Cause::kMemory));
  EXPECT_THAT(too_little.end->text, HasSubstr("optimizer.compensation.name"));
  EXPECT_THAT(too_little.end->text, testing::StartsWith("needs 0.0 MiB")) << "whoever passes it on names the server";
  // Without it, a slice and the one being written.
  EXPECT_FALSE(welcomed(job_of("asp"), 2 * 64 * sizeof(float)).end.has_value());
  const protocol::Outbox none = welcomed(job_of("asp"), 2 * 64 * sizeof(float) - 1);
  ASSERT_TRUE(none.end.has_value());
  EXPECT_EQ(none.end->exit_code, static_cast<int>(Cause::kMemory));
  EXPECT_THAT(none.end->text, testing::StartsWith("not enough memory: 0.0 MiB are wanted for its slices, and "));
  EXPECT_THAT(welcomed(compensated("bsp"), kNeeded).notes, IsEmpty());
}

}  // namespace
}  // namespace rubato::server
