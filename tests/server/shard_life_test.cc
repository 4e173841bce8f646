// A shard's part in the job: joining, heartbeats, silence, the end; and whatever strangers send.
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "kernels/initialize.h"
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Beat;
using protocol::Finish;
using protocol::Goodbye;
using protocol::Heartbeat;
using protocol::Ready;
using protocol::Register;
using protocol::Welcome;

const protocol::Timing kTiming;

Welcome welcome_of(protocol::Manifest manifest, std::vector<protocol::SliceSpec> slices) {
  Welcome welcome;
  welcome.incarnation = 1;
  welcome.generation = 4;
  welcome.manifest = std::move(manifest);
  welcome.routing = {2, std::move(slices), {"here", "there"}};
  welcome.active = workers(1);
  return welcome;
}

TEST(ShardLife, RegistersUntilItIsWelcomedThenIsReadyUntilThatIsKnown) {
  Shard shard(job_of("asp"));
  EXPECT_EQ(shard.only<Register>().nonce, 42u);
  EXPECT_EQ(shard.out.messages.front().to, kSchedulerNode);
  for (int again = 1; again <= 3; ++again) {
    EXPECT_EQ(shard.core.deadline(), again * kTiming.heartbeat);
    shard.wake_at(shard.core.deadline());
    EXPECT_EQ(shard.sent<Register>().size(), 1u);
  }
  const Welcome welcome = welcome_of({zeros("w", 6)}, {{0, {{0, 0, 3}}}, {1, {{0, 3, 3}}}});
  shard.scheduler(welcome);
  EXPECT_EQ(shard.sent<Ready>().size(), 1u);
  const auto identity = shard.core.identity();
  EXPECT_EQ(std::tuple(identity.node, identity.incarnation, identity.generation, identity.route),
            std::tuple(server_node(0), 1u, 4u, 2u));
  EXPECT_EQ(shard.traced(protocol::TraceKind::kActive).size(), 1u);
  const auto counters = shard.core.counters();
  EXPECT_EQ(std::tuple(counters.slices, counters.bytes), std::tuple(1u, 12u));

  shard.scheduler(welcome);  // said again: its answer was lost
  EXPECT_EQ(shard.core.counters().slices, 1u);
  shard.scheduler(Beat{false});
  shard.wake_at(shard.core.deadline());
  EXPECT_EQ(shard.sent<Ready>().size(), 1u);
  EXPECT_EQ(shard.only<Heartbeat>().generation, 4u);
  shard.scheduler(Beat{true});
  shard.scheduler(Beat{false});
  shard.wake_at(shard.now + kTiming.heartbeat);
  EXPECT_TRUE(shard.sent<Ready>().empty());
  EXPECT_EQ(shard.sent<Heartbeat>().size(), 1u);
}

// ---- alarms -----------------------------------------------------------------------------------------

class ShardAlarms : public testing::Test {
 protected:
  void spoil(Clock clock) {
    shard_.receive(envelope_of(worker_node(0)), push_of(clock, {std::numeric_limits<float>::infinity()}));
  }
  // What the next heartbeat says again.
  std::vector<std::uint64_t> said_again() {
    shard_.wake_at(shard_.core.deadline());
    std::vector<std::uint64_t> numbers;
    for (const protocol::Alarm& alarm : shard_.sent<protocol::Alarm>()) numbers.push_back(alarm.number);
    return numbers;
  }
  void know(std::uint64_t alarms) { shard_.scheduler(Beat{.ready_known = true, .clock = 0, .alarms = alarms}); }

  Shard shard_ = Shard(job_of("asp"), 1, workers(1));
};

TEST_F(ShardAlarms, AreSaidAgainUntilTheSchedulerKnowsThem) {
  EXPECT_THAT(said_again(), testing::IsEmpty());
  for (Clock clock = 0; clock < 3; ++clock) {
    spoil(clock);
    EXPECT_EQ(shard_.only<protocol::Alarm>().number, static_cast<std::uint64_t>(clock) + 1);
  }
  EXPECT_THAT(said_again(), testing::ElementsAre(1, 2, 3));
  know(2);
  know(1);  // late
  EXPECT_THAT(said_again(), testing::ElementsAre(3));
  know(3);
  EXPECT_THAT(said_again(), testing::IsEmpty());
  EXPECT_EQ(shard_.core.counters().nonfinite, 3u);
}

TEST_F(ShardAlarms, HoldBackWordOfTheSnapshotBehindThemAlone) {
  shard_.scheduler(protocol::Snapshot{1, 1});
  shard_.scheduler(protocol::Snapshot{2, 2});
  spoil(0);
  EXPECT_THAT(shard_.sent<protocol::SnapshotTaken>(), testing::IsEmpty());
  spoil(1);
  shard_.wake_at(shard_.core.deadline());
  EXPECT_THAT(shard_.sent<protocol::SnapshotTaken>(), testing::IsEmpty());
  know(1);
  EXPECT_EQ(shard_.only<protocol::SnapshotTaken>().id, 1u);
  know(2);
  EXPECT_EQ(shard_.only<protocol::SnapshotTaken>().id, 2u);
}

TEST_F(ShardAlarms, ThatNobodyAnswersAreBounded) {
  const auto all = static_cast<Clock>(kAlarmsMax);
  for (Clock clock = 0; clock < all + 2; ++clock) spoil(clock);
  EXPECT_THAT(said_again(), testing::SizeIs(kAlarmsAgain)) << "at a time";
  EXPECT_EQ(shard_.core.counters().nonfinite, kAlarmsMax + 2);
  know(kAlarmsMax);
  spoil(all + 2);
  EXPECT_EQ(shard_.only<protocol::Alarm>().number, kAlarmsMax + 1);
}

TEST(ShardLife, InitialWeightsDoNotDependOnTheCut) {
  ParameterSpec a = zeros("a", 100), b = zeros("b", 30);
  a.initializer = {InitializerKind::kNormal, 0.1f};
  b.initializer = {InitializerKind::kUniform, 0.2f};
  std::vector<float> expected(130);
  kernels::initialize(b, 7, 0, std::span(expected).first(30));
  kernels::initialize(a, 7, 0, std::span(expected).subspan(30));
  for (std::uint64_t cut : {1u, 17u, 64u, 99u}) {
    Shard shard(job_of("asp"));
    shard.welcome({a, b}, {{0, {{1, 0, 30}, {0, 0, cut}}}, {0, {{0, cut, 100 - cut}}}}, workers(1));
    std::vector<float> weights = shard.weights(0);
    const auto rest = shard.weights(1);
    weights.insert(weights.end(), rest.begin(), rest.end());
    EXPECT_EQ(weights, expected);
  }
}

TEST(ShardLife, InitialWeightsThatAreGivenDoNotDependOnTheCut) {
  Job job = job_of("asp");
  job.model.pretrained = "weights.safetensors";
  std::vector<float> given(130);
  for (std::size_t i = 0; i < given.size(); ++i) given[i] = static_cast<float>(i);
  std::vector<float> expected(given.begin() + 100, given.end());  // b, which is behind a
  expected.insert(expected.end(), given.begin(), given.begin() + 100);
  for (std::uint64_t cut : {1u, 17u, 64u, 99u}) {
    Shard shard(job, std::uint64_t{1} << 40, protocol::InitialWeights::of(given));
    shard.welcome({zeros("a", 100), zeros("b", 30)}, {{0, {{1, 0, 30}, {0, 0, cut}}}, {0, {{0, cut, 100 - cut}}}},
                  workers(1));
    std::vector<float> weights = shard.weights(0);
    const auto rest = shard.weights(1);
    weights.insert(weights.end(), rest.begin(), rest.end());
    EXPECT_EQ(weights, expected);
  }
}

TEST(ShardLife, EndsWhereGivenWeightsAreNotTheModels) {
  Job job = job_of("asp");
  job.model.pretrained = "weights.safetensors";
  for (const std::size_t count : {0u, 9u, 11u}) {
    Shard shard(job, std::uint64_t{1} << 40, protocol::InitialWeights::of(std::vector<float>(count)));
    protocol::Welcome message;
    message.incarnation = message.generation = 1;
    message.manifest = {zeros("a", 10)};
    message.routing = {1, {{0, {{0, 0, 10}}}}, {"here"}};
    message.active = workers(1);
    shard.scheduler(message);
    ASSERT_TRUE(shard.out.end.has_value());
    EXPECT_EQ(shard.out.end->exit_code, static_cast<int>(Cause::kData));
    EXPECT_THAT(shard.out.end->text, testing::HasSubstr("initial weights were given, and the model has 10"));
  }
}

TEST(ShardLife, EndsWhenItIsNotWelcomedInTime) {
  Shard shard(job_of("asp"));
  while (!shard.out.end && shard.now < 5 * kTiming.start_timeout) shard.wake_at(shard.core.deadline());
  ASSERT_TRUE(shard.out.end.has_value());
  EXPECT_GE(shard.now, 2 * kTiming.start_timeout);
  EXPECT_EQ(shard.out.end->exit_code, static_cast<int>(Cause::kPeerLost));
  EXPECT_THAT(shard.out.end->text, testing::HasSubstr("has not let server-0 in for 62."));
  EXPECT_EQ(shard.core.deadline(), kNever);
}

TEST(ShardLife, EndsWhenTheSchedulerFallsSilent) {
  Shard shard(job_of("asp"), 1, workers(1));
  for (int i = 0; i < 20; ++i) {
    shard.wake_at(shard.core.deadline());
    shard.scheduler(Beat{true});
  }
  ASSERT_FALSE(shard.out.end.has_value());
  const TimeNs heard = shard.now;
  while (!shard.out.end && shard.now < heard + kSecond * 60) {
    shard.receive(envelope_of(worker_node(0)), protocol::Pull{});  // others do not count
    shard.wake_at(shard.core.deadline());
  }
  ASSERT_TRUE(shard.out.end.has_value());
  EXPECT_GE(shard.now, heard + kTiming.lost_after);
  EXPECT_LE(shard.now, heard + kTiming.lost_after + 2 * kTiming.heartbeat);
  EXPECT_EQ(shard.out.end->exit_code, static_cast<int>(Cause::kPeerLost));
  EXPECT_THAT(shard.out.end->text, testing::HasSubstr("has not answered for 2."));
}

TEST(ShardLife, FinishIsAnsweredAndEndsIt) {
  for (const bool welcomed : {false, true}) {
    Shard shard(job_of("asp"));
    if (welcomed) shard.welcome({zeros("w", 1)}, {{0, {{0, 0, 1}}}}, workers(1));
    shard.scheduler(Finish{6, "diverged"});
    EXPECT_EQ(shard.only<Goodbye>().exit_code, 0) << "nothing is wrong with the shard";
    ASSERT_TRUE(shard.out.end.has_value());
    EXPECT_EQ(shard.out.end->exit_code, 6);
    EXPECT_EQ(shard.out.end->text, "diverged");
    shard.receive(envelope_of(worker_node(0)), push_of(0, {1}));
    EXPECT_TRUE(shard.out.messages.empty());
    EXPECT_EQ(shard.core.deadline(), kNever);
  }
}

TEST(ShardLife, ARefusalEndsItOnlyBeforeItIsIn) {
  Shard shard(job_of("asp"));
  shard.scheduler(protocol::Refuse{Cause::kRefused, "another job"});
  ASSERT_TRUE(shard.out.end.has_value());
  EXPECT_EQ(shard.out.end->exit_code, 9);
  EXPECT_EQ(shard.out.end->text, "another job");
  Shard in(job_of("asp"), 1, workers(1));
  in.scheduler(protocol::Refuse{Cause::kRefused, "late"});
  EXPECT_FALSE(in.out.end.has_value());
}

// Its weights were trained, and it would begin with new ones.
TEST(ShardLife, ALaterLifeThatInheritsNothingLeaves) {
  Shard shard(job_of("asp"));
  Welcome welcome = welcome_of({zeros("w", 6)}, {{0, {{0, 0, 6}}}});
  welcome.incarnation = 2;
  shard.scheduler(welcome);
  EXPECT_TRUE(shard.sent<Ready>().empty());
  ASSERT_TRUE(shard.out.end);
  EXPECT_EQ(shard.out.end->exit_code, static_cast<int>(Cause::kPeerLost));
  EXPECT_EQ(shard.out.end->text, "has nothing of what it had before");
}

TEST(ShardLife, AWelcomeThatMakesNoSenseIsRefused) {
  ParameterSpec plain = zeros("w", 6), exempt = zeros("v", 6);
  exempt.decay = 0.0;
  ParameterSpec none = zeros("w", 0);
  constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();
  struct Case {
    const char* name;
    protocol::Manifest manifest;
    std::vector<protocol::SliceSpec> slices;
  };
  const Case cases[] = {{"no pieces", {plain}, {{0, {}}}},
                        {"a parameter that is not there", {plain}, {{0, {{1, 0, 1}}}}},
                        {"beyond its end", {plain}, {{0, {{0, 3, 4}}}}},
                        {"so long that it wraps", {plain}, {{0, {{0, 2, kHuge}}}}},
                        {"so far that it wraps", {plain}, {{0, {{0, kHuge, 2}}}}},
                        {"an empty piece", {plain}, {{0, {{0, 0, 0}}}}},
                        {"two rules", {plain, exempt}, {{0, {{0, 0, 6}, {1, 0, 6}}}}},
                        {"named twice", {plain, plain}, {{0, {{0, 0, 6}}}}},
                        {"no elements", {none}, {}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Shard shard(job_of("asp"));
    shard.scheduler(welcome_of(c.manifest, c.slices));
    EXPECT_EQ(shard.core.refused(), 1u);
    EXPECT_TRUE(shard.out.messages.empty());
    shard.scheduler(welcome_of({plain}, {{0, {{0, 0, 6}}}}));
    EXPECT_EQ(shard.sent<Ready>().size(), 1u);
  }
}

TEST(ShardLife, OnlyTheSchedulerIsHeardOnWhatIsItsBusiness) {
  Shard shard(job_of("asp"), 1, workers(1));
  const protocol::Body bodies[] = {protocol::Membership{9, {}}, protocol::Seal{0, 1}, Finish{0, ""},
                                   protocol::Snapshot{1, 0}, protocol::SnapshotRelease{9}};
  for (const protocol::Body& body : bodies) shard.receive(envelope_of(worker_node(0)), body);
  EXPECT_EQ(shard.core.refused(), std::size(bodies));
  EXPECT_FALSE(shard.out.end.has_value());
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1}));
  EXPECT_EQ(shard.only<protocol::PushAck>().fate, protocol::Fate::kApplied);
  shard.scheduler(protocol::Grant{});
  EXPECT_EQ(shard.core.refused(), std::size(bodies) + 1);
}

// Messages of anyone, in any order, with fields that make sense as often as not. Nothing may break, and what
// is true of weights and versions stays true. (Finish is left out: it would end the test as well.)
class Stranger {
 public:
  explicit Stranger(std::uint64_t seed) : random_(stream_key(seed, "strangers")) {}

  protocol::Envelope envelope() {
    const NodeId from{
        pick({Role::kScheduler, Role::kServer, Role::kWorker, Role::kWorker, Role::kWorker, Role::kEvaluator}),
        below(3)};
    return envelope_of(from, life());
  }

  protocol::Body body(std::uint32_t step) {
    switch (below(100)) {
      case 0:
      case 1:
        return protocol::Membership{maybe(step), active()};
      case 2:
        return protocol::Seal{below(3), life()};
      case 3:
      case 4:
        return protocol::Snapshot{maybe(step), maybe<Clock>(clock_)};
      case 5:
        return protocol::SnapshotRelease{maybe(step / 2)};
      case 6:
        return protocol::Weights{};
      case 7:
        return Welcome{};
      case 8:
        return Beat{};
      default:
        break;
    }
    const SliceId slice = below(4);
    if (below(4) == 0)
      return protocol::Pull{slice, maybe<Clock>(clock_), maybe<Clock>(clock_ / 2), maybe<std::uint64_t>(0)};
    std::vector<float> gradient(maybe(slice == 0 ? 4u : 2u) % 7, 1.0f);
    if (below(50) == 0 && !gradient.empty()) gradient[0] = std::numeric_limits<float>::infinity();
    return push_of(maybe<Clock>(clock_ - below(2)), gradient, maybe<Version>(0), maybe(1),
                   {static_cast<std::uint8_t>(maybe(0)), below(4)}, 0.5, slice);
  }

  // What came back tells which clock would make sense next.
  void hear(const Shard& shard) {
    for (const auto& ack : shard.sent<protocol::PushAck>()) {
      if (ack.fate != protocol::Fate::kFenced) clock_ = ack.clock + 1;
    }
    if (below(10) == 0) clock_ = 0;
  }

 private:
  std::uint32_t below(std::uint64_t bound) { return static_cast<std::uint32_t>(random_.below(bound)); }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }
  Incarnation life() { return pick<Incarnation>({0, 1, 1, 1, 1, 1, 1, 2, 3}); }
  // Mostly the value that makes sense.
  template <typename T>
  T maybe(T value) {
    if (below(8) != 0) return value;
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    return static_cast<T>(pick<std::int64_t>({0, 1, 2, 3, 4, 7, -1, kMax, -kMax, 1 << 20}));
  }
  std::vector<protocol::ActiveWorker> active() {
    std::vector<protocol::ActiveWorker> list(below(5));
    for (auto& worker : list) worker = {below(3), life(), maybe<Clock>(0)};
    return list;
  }

  RandomStream random_;
  Clock clock_ = 0;
};

class Strangers : public testing::TestWithParam<const char*> {};

TEST_P(Strangers, DoNoHarm) {
  std::uint64_t settled = 0, refused = 0, served = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Shard shard(job_of(GetParam(), 3), {zeros("w", 8)}, {{0, {{0, 0, 4}}}, {1, {{0, 4, 2}}}, {0, {{0, 6, 2}}}},
                workers(3));
    Stranger stranger(seed);
    std::vector<Payload> kept;
    for (std::uint32_t step = 0; step < 2000; ++step) {
      const protocol::Envelope envelope = stranger.envelope();
      shard.receive(envelope, stranger.body(step));
      stranger.hear(shard);
      for (const auto& weights : shard.sent<protocol::Weights>()) kept.push_back(weights.weights);
      ASSERT_FALSE(shard.out.end.has_value());
    }
    const auto counters = shard.core.counters();
    settled += counters.pushes;
    refused += shard.core.refused();
    served += kept.size();
    EXPECT_LE(counters.version_min, counters.version_max);
    EXPECT_LE(counters.version_max, counters.pushes);
    for (const Payload& weights : kept) {
      for (float value : weights.floats()) EXPECT_LE(std::abs(value), 2000.0f);
    }
  }
  EXPECT_GT(settled, 100u) << "some of it has to make sense";
  EXPECT_GT(refused, 100u);
  EXPECT_GT(served, 100u);
}

INSTANTIATE_TEST_SUITE_P(Modes, Strangers, testing::Values("bsp", "ssp:1", "asp"));

}  // namespace
}  // namespace rubato::server
