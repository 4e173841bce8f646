// Every order of events on small spaces, against a model that could not be simpler: floors, versions, ages,
// when waiting pulls are answered, and when a snapshot is taken.
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>

#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Fate;
using protocol::Pull;
using protocol::PushAck;
using protocol::SnapshotTaken;
using protocol::Weights;

constexpr std::uint32_t kWorkers = 3;

// What a reader of docs/protocol.md would do by hand.
struct Model {
  std::array<Clock, kWorkers> clocks{};  // settled by each
  std::array<bool, kWorkers> active{true, true, true};
  Version version = 0;
  std::map<Clock, std::uint32_t> waiting;  // floor wanted -> rank of the evaluator that pulls

  [[nodiscard]] Clock floor() const {
    Clock least = std::numeric_limits<Clock>::max();
    for (std::uint32_t rank = 0; rank < kWorkers; ++rank) {
      if (active[rank]) least = std::min(least, clocks[rank]);
    }
    return least;
  }
};

// The pulls answered by the last call are those that the floor now allows, and no others.
void expect_answers(const Shard& shard, Model& model) {
  std::map<std::uint32_t, Weights> answers;
  for (const auto& message : shard.out.messages) {
    if (const auto* weights = std::get_if<Weights>(&message.body)) answers[message.to.rank] = *weights;
  }
  std::size_t expected = 0;
  while (!model.waiting.empty() && model.waiting.begin()->first <= model.floor()) {
    const auto answer = answers.find(model.waiting.begin()->second);
    ASSERT_NE(answer, answers.end());
    ASSERT_EQ(answer->second.floor, model.floor());
    ASSERT_EQ(answer->second.version, model.version);
    ASSERT_EQ(answer->second.weights.floats()[0], -static_cast<float>(model.version));
    model.waiting.erase(model.waiting.begin());
    ++expected;
  }
  ASSERT_EQ(answers.size(), expected);
}

// The worker's weights are those of its last answer, so its echoed version lags behind others' updates.
void push(Shard& shard, Model& model, std::uint32_t rank, Version echoed) {
  shard.receive(envelope_of(worker_node(rank)), push_of(model.clocks[rank], {1}, echoed));
  const PushAck ack = shard.only<PushAck>();
  if (!model.active[rank]) {
    ASSERT_EQ(ack.fate, Fate::kFenced);
    return;
  }
  ASSERT_EQ(ack.fate, Fate::kApplied);
  ASSERT_EQ(ack.clock, model.clocks[rank]);
  ASSERT_EQ(ack.age, model.version - echoed);
  ++model.clocks[rank];
  ++model.version;
  ASSERT_EQ(ack.version, model.version);
  ASSERT_EQ(ack.floor, model.floor());
}

TEST(Floors, EveryOrderOfThreeWorkersAndFourClocks) {
  constexpr Clock kClocks = 4;
  std::vector<std::uint32_t> order;
  for (std::uint32_t rank = 0; rank < kWorkers; ++rank) order.insert(order.end(), kClocks, rank);
  int orders = 0;
  do {
    Shard shard(job_of("ssp:3"), 1, workers(kWorkers));
    Model model;
    for (Clock floor = 1; floor <= kClocks; ++floor) {
      const auto evaluator = static_cast<std::uint32_t>(floor);
      shard.receive(envelope_of(evaluator_node(evaluator)), Pull{.slice = 0, .clock = floor, .floor = floor});
      model.waiting[floor] = evaluator;
    }
    std::array<Version, kWorkers> read{};
    for (std::uint32_t rank : order) {
      push(shard, model, rank, read[rank]);
      expect_answers(shard, model);
      read[rank] = model.version;
      if (testing::Test::HasFatalFailure()) FAIL() << "order " << testing::PrintToString(order);
    }
    ASSERT_TRUE(model.waiting.empty());
    ++orders;
  } while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(orders, 34650);
}

// Two clocks each, worker 2 leaves, and a marker for clock 1 comes: at every place among the others.
TEST(Floors, EveryOrderWithADeathAndASnapshot) {
  constexpr std::uint32_t kDeath = kWorkers, kMarker = kWorkers + 1;
  std::vector<std::uint32_t> order{0, 0, 1, 1, 2, 2, kDeath, kMarker};
  int orders = 0;
  do {
    Shard shard(job_of("asp"), 1, workers(kWorkers));
    Model model;
    for (Clock floor : {1, 2}) {
      const auto evaluator = static_cast<std::uint32_t>(floor);
      shard.receive(envelope_of(evaluator_node(evaluator)), Pull{.slice = 0, .clock = floor, .floor = floor});
      model.waiting[floor] = evaluator;
    }
    bool marked = false, exact = true;
    std::optional<Version> taken;
    for (std::uint32_t event : order) {
      if (event == kDeath) {
        model.active[2] = false;
        shard.membership(2, workers(2));
      } else if (event == kMarker) {
        marked = true;
        exact = model.floor() <= 1;
        shard.scheduler(protocol::Snapshot{1, 1});
      } else {
        push(shard, model, event, model.version);
      }
      expect_answers(shard, model);
      const bool due = marked && !taken && model.floor() >= 1;
      ASSERT_EQ(shard.sent<SnapshotTaken>().size(), due ? 1u : 0u);
      if (due) {
        ASSERT_EQ(shard.only<SnapshotTaken>().exact, exact);
        taken = model.version;
      }
      if (testing::Test::HasFatalFailure()) FAIL() << "order " << testing::PrintToString(order);
    }
    ASSERT_TRUE(taken.has_value());
    shard.receive(envelope_of(evaluator_node(0)), Pull{.slice = 0, .snapshot = 1});
    ASSERT_EQ(shard.only<Weights>().version, *taken);
    ASSERT_EQ(shard.only<Weights>().weights.floats()[0], -static_cast<float>(*taken));
    ++orders;
  } while (std::ranges::next_permutation(order).found);
  EXPECT_EQ(orders, 5040);
}

// bsp with one leaf a worker: every order in which three workers' pushes of three clocks can come, each
// clock's only after the one before was acknowledged to that worker.
TEST(Floors, EveryOrderOfThreeWorkersInBsp) {
  constexpr Clock kClocks = 3;
  std::array<std::uint32_t, kWorkers> order{0, 1, 2};
  std::vector<std::array<std::uint32_t, kWorkers>> rounds;
  do {
    rounds.push_back(order);
  } while (std::ranges::next_permutation(order).found);
  for (std::size_t choice = 0; choice < rounds.size() * rounds.size() * rounds.size(); ++choice) {
    Shard shard(job_of("bsp", kWorkers), 1, workers(kWorkers));
    std::size_t rest = choice;
    for (Clock clock = 0; clock < kClocks; ++clock, rest /= rounds.size()) {
      std::size_t came = 0;
      for (std::uint32_t rank : rounds[rest % rounds.size()]) {
        shard.receive(envelope_of(worker_node(rank)), push_of(clock, {1}, static_cast<Version>(clock), 1, {0, rank}));
        ASSERT_EQ(shard.sent<PushAck>().size(), ++came == kWorkers ? kWorkers : 0u);
        const Weights weights = shard.look();
        const Clock settled = clock + (came == kWorkers ? 1 : 0);
        ASSERT_EQ(weights.floor, settled);
        ASSERT_EQ(weights.version, static_cast<Version>(settled));
      }
    }
  }
}

}  // namespace
}  // namespace rubato::server
