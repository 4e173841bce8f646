// The moving average of a slice's weights (evaluation.average): what it comes to in every way to make updates, that
// snapshots give it and other pulls do not, and what leaves it alone.
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Commit;
using protocol::Fate;
using protocol::Pull;
using protocol::PushAck;
using protocol::Snapshot;
using protocol::SnapshotRelease;
using protocol::Weights;

constexpr double kDecay = 0.9;
constexpr Version kUpdates = 120;  // the decay itself from the 81st on
// More than the block in which contributions are added up.
constexpr std::int64_t kElements = 4200;

Job averaged(const std::string& mode, std::int64_t leaves = 1) {
  Job job = job_of(mode, leaves);
  job.optimizer.name = "adam";
  job.evaluation.average = kDecay;
  return job;
}

Shard shard_of(const Job& job) {
  ParameterSpec spec = zeros("w", kElements);
  spec.initializer = {InitializerKind::kNormal, 0.5f};
  return Shard(job, {spec}, {{0, {{0, 0, kElements}}}}, workers(2));
}

std::vector<float> snapshot(Shard& shard, std::uint64_t id, SliceId slice = 0) {
  shard.scheduler(Snapshot{id, 0});
  shard.receive(envelope_of(evaluator_node(0)), Pull{.slice = slice, .snapshot = id});
  std::vector<float> weights = floats_of(shard.only<Weights>().weights);
  shard.scheduler(SnapshotRelease{id});
  return weights;
}

// The average in float64, and how far one in float32 may be from it. Of an update with share s of weights and averages
// up to M in magnitude, with u = 2^-24: s rounded, the difference and the product each err by u 2 M s at most, the sum
// by u M. What was there before shrinks.
class Reference {
 public:
  explicit Reference(const std::vector<float>& weights) : average_(weights.begin(), weights.end()) { look_at(weights); }

  void update(const std::vector<float>& weights, Version t) {
    const double updates = static_cast<double>(t), decay = std::min(kDecay, (1.0 + updates) / (10.0 + updates));
    look_at(weights);
    for (std::size_t i = 0; i < average_.size(); ++i)
      average_[i] += (1.0 - decay) * (static_cast<double>(weights[i]) - average_[i]);
    bound_ = decay * bound_ + std::ldexp((6.0 * (1.0 - decay) + 1.0) * largest_, -24);
  }
  void expect_near(const std::vector<float>& average) const {
    ASSERT_EQ(average.size(), average_.size());
    for (std::size_t i = 0; i < average.size(); ++i) ASSERT_NEAR(average[i], average_[i], bound_) << i;
  }
  [[nodiscard]] double bound() const { return bound_; }

 private:
  void look_at(const std::vector<float>& weights) {
    for (const float weight : weights) largest_ = std::max(largest_, std::abs(static_cast<double>(weight)));
  }

  std::vector<double> average_;
  double largest_ = 0.0, bound_ = 0.0;
};

// Makes one update, of two workers' pushes where a mode takes more than one.
class Updates {
 public:
  Updates(Shard& shard, const Job& job) : shard_(shard), mode_(parse_mode(job.consistency.mode).value()) {}

  void make(Clock clock) {
    const bool aggregate = mode_.apply() == Mode::Apply::kAggregate, alone = mode_.apply() == Mode::Apply::kOnArrival;
    for (std::uint32_t rank = 0; rank < (alone ? 1u : 2u); ++rank) {
      shard_.receive(envelope_of(worker_node(rank)), Pull{.slice = 0, .clock = clock});  // compensation wants to know
      std::vector<float> gradient(kElements);
      for (float& value : gradient) value = static_cast<float>(random_.next_normal());
      protocol::Push push = push_of(clock, gradient, static_cast<Version>(clock), 4, {0, aggregate ? rank : 0}, 0.05);
      push.local_steps = static_cast<std::uint32_t>(mode_.local() ? 2 : 0);
      shard_.receive(envelope_of(worker_node(rank)), push);
    }
    if (mode_.apply() != Mode::Apply::kCommitted) return;
    shard_.scheduler(Commit{static_cast<std::uint64_t>(clock) + 1, {{0, clock}, {1, clock}}, 0.05, clock + 1});
  }

 private:
  Shard& shard_;
  Mode mode_;
  RandomStream random_{stream_key(3, "gradients")};
};

TEST(Averages, AreThoseOfTheFormulaHoweverUpdatesAreMade) {
  for (const std::string mode : {"asp", "asp compensated", "bsp", "softsync:1", "backup:0", "local:2", "local:2+asp"}) {
    SCOPED_TRACE(mode);
    Job job = averaged(mode.substr(0, mode.find(' ')), mode == "bsp" ? 2 : 1);
    if (mode.ends_with("compensated")) job.optimizer.compensation.name = "adaptive";
    Shard shard = shard_of(job);
    Updates updates(shard, job);
    Reference reference(shard.weights());
    EXPECT_EQ(snapshot(shard, 1), shard.weights()) << "before the first update the weights themselves";
    for (Version t = 1; t <= kUpdates; ++t) {
      updates.make(static_cast<Clock>(t) - 1);
      ASSERT_EQ(shard.look().version, t);
      reference.update(shard.weights(), t);
      if (t == 1 || t % 40 == 0) reference.expect_near(snapshot(shard, t + 1));
    }
    EXPECT_LT(reference.bound(), 1e-3);
    EXPECT_EQ(shard.core.refused(), 0u);
  }
}

// The weights that others compute on are those of a job without averages, to the bit.
TEST(Averages, ChangeNoWeight) {
  for (const std::string mode : {"asp", "bsp", "softsync:1"}) {
    Job job = averaged(mode, mode == "bsp" ? 2 : 1), plain = job;
    plain.evaluation.average = 0.0;
    Shard with = shard_of(job), without = shard_of(plain);
    Updates make(with, job), make_plain(without, plain);
    for (Clock clock = 0; clock < 5; ++clock) {
      make.make(clock);
      make_plain.make(clock);
    }
    EXPECT_EQ(with.weights(), without.weights());
    EXPECT_EQ(snapshot(without, 1), without.weights());
    EXPECT_NE(snapshot(with, 1), with.weights());
  }
}

TEST(Averages, AreLeftAloneByWhatIsNoUpdate) {
  const Job job = averaged("softsync:1");
  Shard shard = shard_of(job);
  Updates updates(shard, job);
  updates.make(0);
  const std::vector<float> before = snapshot(shard, 1);
  std::vector<float> spoiled(kElements, 1.0f);
  spoiled.back() = std::numeric_limits<float>::infinity();
  shard.receive(envelope_of(worker_node(0)), push_of(1, spoiled, 1));
  EXPECT_EQ(shard.only<PushAck>().fate, Fate::kNonFinite);
  shard.scheduler(Commit{2, {{0, 1}}, 0.05, 2});
  EXPECT_EQ(shard.look().version, 2u) << "a commit of nothing counts";
  EXPECT_EQ(snapshot(shard, 2), before);

  const Job arriving = averaged("asp");
  Shard other = shard_of(arriving);
  const std::vector<float> initial = other.weights();
  other.receive(envelope_of(worker_node(0)), push_of(0, spoiled));
  EXPECT_EQ(other.only<PushAck>().fate, Fate::kNonFinite);
  EXPECT_EQ(snapshot(other, 1), initial);
}

TEST(Averages, OfWhatIsFrozenAreItsWeights) {
  ParameterSpec body = zeros("body", 2), head = zeros("head", 2);
  body.initializer = head.initializer = {InitializerKind::kOnes};
  body.frozen = true;
  Shard shard(averaged("asp"), {body, head}, {{0, {{1, 0, 2}}}, {0, {{0, 0, 2}}}}, workers(1));
  shard.receive(envelope_of(worker_node(0)), push_of(0, {1, 1}));
  EXPECT_EQ(snapshot(shard, 1, 1), (std::vector<float>{1, 1}));
  EXPECT_NE(snapshot(shard, 2, 0), (std::vector<float>{1, 1}));
}

// Under a rule of their own, which has no momenta; the plane lies behind those of the job's.
TEST(Averages, AreKeptOfRunningMeans) {
  ParameterSpec mean = zeros("mean", 2);
  mean.average = 0.5f;
  Shard shard(averaged("asp"), {mean}, {{0, {{0, 0, 2}}}}, workers(1));
  shard.receive(envelope_of(worker_node(0)), push_of(0, {2, 4}));
  EXPECT_EQ(shard.weights(), (std::vector<float>{1, 2}));
  const auto share = static_cast<float>(1.0 - 2.0 / 11.0);
  EXPECT_EQ(snapshot(shard, 1), (std::vector<float>{share, 2 * share}));
}

// As many snapshots as a shard holds, each read and kept by readers that never let go: updates go on, the pool keeps
// its bound, and nothing that was read changes. sgd on gradients of 1: after t updates the weights are -t.
TEST(Averages, InSnapshotsNeverStopUpdates) {
  Job job = averaged("asp");
  job.optimizer.name = "sgd";
  Shard shard(job, 1, workers(1));
  std::vector<Payload> kept;
  std::vector<float> averages{0.0f};
  for (Clock clock = 0; clock < 200; ++clock) {
    const auto id = static_cast<std::uint64_t>(clock) + 1;
    shard.scheduler(Snapshot{id, clock});
    shard.receive(envelope_of(evaluator_node(0)), Pull{.snapshot = id});
    kept.push_back(shard.only<Weights>().weights);
    if (id > kSnapshotsMax - 1) shard.scheduler(SnapshotRelease{id - kSnapshotsMax + 1});
    const protocol::Weights live = shard.look();
    EXPECT_EQ(live.weights.floats()[0], -static_cast<float>(clock));
    kept.push_back(live.weights);
    shard.receive(envelope_of(worker_node(0)), push_of(clock, {1}, static_cast<Version>(clock)));
    ASSERT_EQ(shard.only<PushAck>().fate, Fate::kApplied);
    const double t = static_cast<double>(id);
    const auto share = static_cast<float>(1.0 - std::min(kDecay, (1.0 + t) / (10.0 + t)));
    averages.push_back(averages.back() + share * (-static_cast<float>(id) - averages.back()));
  }
  for (std::size_t updates = 0; updates < 200; ++updates) {
    EXPECT_EQ(kept[2 * updates].floats()[0], averages[updates]);
    EXPECT_EQ(kept[2 * updates + 1].floats()[0], -static_cast<float>(updates));
  }
}

}  // namespace
}  // namespace rubato::server
