// Recorded runs, repeated: the same weights, bit for bit; and what is said where they are not.
#include <filesystem>

#include "base/rng.h"
#include "protocol/record_file.h"
#include "sim/replay/replayer.h"
#include "tests/base/temp_directory.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim_fixture.h"

namespace rubato::sim {
namespace {

using protocol::Fate;
using protocol::RecordedSettle;
using protocol::RecordedStep;
using protocol::RecordEntry;
using testing::HasSubstr;
using testing::IsEmpty;
using What = ReplayDifference::What;

std::vector<float> in_manifest_order(const std::vector<std::vector<float>>& slices,
                                     const protocol::RoutingTable& routing, const QuadraticWorkload& workload) {
  std::vector<float> all(workload.size());
  for (std::size_t slice = 0; slice < slices.size(); ++slice) {
    auto at = slices[slice].begin();
    for (const protocol::Piece& piece : routing.slices[slice].pieces) {
      const auto to = static_cast<std::ptrdiff_t>(workload.first_element(piece.parameter) + piece.first);
      std::copy_n(at, piece.count, all.begin() + to);
      at += static_cast<std::ptrdiff_t>(piece.count);
    }
  }
  return all;
}

class Replays : public testing::Test {
 protected:
  Ran record(const Job& job, SimOptions options = {}) {
    job_ = job;
    std::filesystem::remove_all(directory_.path());
    std::filesystem::create_directory(directory_.path());
    options.record_dir = directory_.path();
    return run_sim(job, std::move(options));
  }

  Result<ReplayOutcome> replay() {
    QuadraticWorkload workload(job_);
    const protocol::Manifest manifest = workload.manifest();
    const protocol::RoutingTable routing = routing_of(job_, manifest);
    RUBATO_ASSIGN(const RunRecord record, read_run_record(directory_.path(), recorded_job(job_, routing)));
    notes_ = record.notes;
    Replayer replayer(job_, manifest, routing, workload, record);
    RUBATO_ASSIGN(ReplayOutcome outcome, replayer.run());
    weights_ = in_manifest_order(outcome.weights, routing, workload);
    return outcome;
  }

  void expect_identical(const Ran& ran) {
    const auto outcome = replay();
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_FALSE(outcome->first_difference);
    EXPECT_THAT(outcome->unfinished, IsEmpty());
    EXPECT_GT(outcome->updates, 0u);
    EXPECT_EQ(weights_, ran.result.final_weights);
  }

  // Lets `change` see the entries of a member, and writes them anew, with checksums that fit.
  template <typename Change>
  void change(NodeId node, Change change) {
    const std::string path = directory_.file(node.name() + ".bin");
    auto reader = protocol::RecordReader::open(path);
    ASSERT_TRUE(reader.ok() && reader->has_value());
    std::vector<RecordEntry> entries;
    while (true) {
      auto entry = (*reader)->next();
      ASSERT_TRUE(entry.ok()) << entry.error().message;
      if (!*entry) break;
      entries.push_back(std::move(**entry));
    }
    change(entries);
    std::filesystem::remove(path);
    auto writer = protocol::RecordWriter::create(directory_.path(), node);
    ASSERT_TRUE(writer.ok() && writer->begin((*reader)->header()).ok());
    for (const RecordEntry& entry : entries) ASSERT_TRUE(writer->add(entry).ok());
    ASSERT_TRUE(writer->flush().ok());
  }

  // The settled push in the middle of a shard's record, to be changed.
  static RecordedSettle& middle(std::vector<RecordEntry>& entries) {
    std::size_t at = entries.size() / 2;
    while (!std::holds_alternative<RecordedSettle>(entries[at])) ++at;
    return std::get<RecordedSettle>(entries[at]);
  }

  test::TempDirectory directory_;
  Job job_;
  std::vector<std::string> notes_;
  std::vector<float> weights_;
};

TEST_F(Replays, EveryModeAndRule) {
  for (const char* mode :
       {"bsp", "backup:1", "softsync:2", "ssp:0", "ssp:2", "dssp:1..4", "asp", "asp leased", "ssp:2 leased",
        "softsync:2 leased", "local:3", "local:2+backup:1", "local:2+ssp:1", "local:3+asp"})
    for (const char* optimizer : {"sgd", "momentum", "nesterov", "adam", "adamw"}) {
      SCOPED_TRACE(fmt::format("{} {}", mode, optimizer));
      Job job = quadratic_job(mode, {4, 2});
      job.optimizer.name = optimizer;
      job.worker.stragglers = "persistent:3x + lognormal:1";
      const Ran ran = record(job);
      expect_success(ran);
      expect_identical(ran);
      EXPECT_THAT(notes_, IsEmpty());
    }
}

TEST_F(Replays, AgesAndTheWeightsThatGradientsWereComputedOn) {
  for (const char* mode : {"bsp", "backup:1", "softsync:2", "ssp:2", "asp"})
    for (const char* optimizer : {"sgd", "adam"})
      for (const char* compensation : {"none", "constant", "adaptive"}) {
        SCOPED_TRACE(fmt::format("{} {} {}", mode, optimizer, compensation));
        Job job = quadratic_job(mode, {4, 2});
        job.optimizer.name = optimizer;
        job.optimizer.age_scaling = "inverse";
        job.optimizer.compensation = {compensation, 0.5, 0.9};
        job.optimizer.weight_decay = 0.01;
        job.worker.stragglers = "persistent:3x + lognormal:1";
        const Ran ran = record(job);
        expect_success(ran);
        expect_promises_kept(job, ran);
        expect_identical(ran);
      }
}

TEST_F(Replays, AveragesOfTheWeights) {
  for (const char* mode :
       {"bsp", "backup:1", "softsync:2", "ssp:2", "asp", "asp leased", "local:3", "local:2+backup:1", "local:3+asp"})
    for (const char* optimizer : {"sgd", "adam"}) {
      SCOPED_TRACE(fmt::format("{} {}", mode, optimizer));
      Job job = quadratic_job(mode, {4, 2});
      job.optimizer.name = optimizer;
      job.optimizer.compensation.name = "adaptive";
      job.worker.stragglers = "persistent:3x + lognormal:1";
      const Ran plain = run_sim(job);
      job.evaluation.average = 0.9;
      const Ran ran = record(job);
      expect_success(ran);
      expect_identical(ran);
      EXPECT_NE(ran.result.final_weights, plain.result.final_weights);
    }
}

// Loss, repeats, reordering, deaths in mid-step, evictions, drains.
// A worker computes on what came, a shard adds what came: both are rounded on their way, and so they are in a replay.
TEST_F(Replays, NumbersThatTravelInSixteenBits) {
  for (const char* mode : {"bsp", "backup:1", "softsync:2", "ssp:2", "asp", "local:2"}) {
    std::vector<float> plain;
    for (const char* wire : {"float32", "float16", "bfloat16"}) {
      SCOPED_TRACE(std::string(mode) + " in " + wire);
      Job job = quadratic_job(mode, {.workers = 3});
      job.cluster.wire = wire;
      const Ran ran = record(job);
      expect_identical(ran);
      if (plain.empty())
        plain = ran.result.final_weights;
      else
        EXPECT_NE(ran.result.final_weights, plain);
    }
  }
}

TEST_F(Replays, WhateverHappensToARun) {
  int replayed = 0, killed = 0, drained = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    Scenario scenario = make_scenario(seed);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, scenario.what));
    // A job that is recorded ends when a server dies.
    std::erase_if(scenario.options.faults, [](const Fault& fault) { return fault.kind == Fault::Kind::kCrash; });
    const Ran ran = record(scenario.job, scenario.options);
    if (ran.result.final_weights.empty() || ran.result.shards.front().pushes == 0) continue;
    const auto outcome = replay();
    ASSERT_TRUE(outcome.ok()) << outcome.error().message;
    EXPECT_FALSE(outcome->first_difference);
    EXPECT_THAT(outcome->unfinished, IsEmpty());
    ASSERT_EQ(weights_, ran.result.final_weights);
    ++replayed;
    killed += !scenario.victim.empty();
    drained += scenario.drained;
  }
  EXPECT_GT(replayed, 100);
  EXPECT_GT(killed, 30);
  EXPECT_GT(drained, 0);
}

TEST_F(Replays, AGradientThatIsNotFinite) {
  for (const char* mode : {"bsp", "softsync:1", "asp"}) {
    SCOPED_TRACE(mode);
    Job job = quadratic_job(mode, {2, 1});
    job.debug.nonfinite_at = 3;
    expect_identical(record(job));
  }
}

TEST_F(Replays, KeepOldVersionsNoLongerThanTheyAreRead) {
  Job job = quadratic_job("ssp:1", {3, 2});
  job.train.epochs = 20;
  record(job);
  const auto outcome = replay();
  ASSERT_TRUE(outcome.ok());
  EXPECT_GT(outcome->updates, 200u);
  EXPECT_LE(outcome->versions_kept_max, 3u * (3 + 2));  // three slices; each worker, the newest, the final one
}

TEST_F(Replays, ADifferentGradientIsNamed) {
  record(quadratic_job("asp", {3, 2}));
  RecordedSettle changed;
  change(server_node(1), [&](auto& entries) {
    middle(entries).gradient_hash ^= 1;
    changed = middle(entries);
  });
  const auto outcome = replay();
  ASSERT_TRUE(outcome.ok());
  ASSERT_TRUE(outcome->first_difference);
  EXPECT_EQ(outcome->first_difference->what, What::kGradient);
  EXPECT_EQ(outcome->first_difference->slice, changed.slice);
  EXPECT_EQ(outcome->first_difference->worker, changed.worker);
  EXPECT_EQ(outcome->first_difference->clock, changed.clock);
  EXPECT_EQ(outcome->gradients_differing, 1u);
  EXPECT_EQ(outcome->updates_differing, 0u);
}

TEST_F(Replays, ADifferentUpdateIsNamed) {
  record(quadratic_job("asp", {3, 2}));
  RecordedSettle changed;
  change(server_node(0), [&](auto& entries) {
    middle(entries).weights_hash ^= 1;
    changed = middle(entries);
  });
  const auto outcome = replay();
  ASSERT_TRUE(outcome.ok());
  ASSERT_TRUE(outcome->first_difference);
  EXPECT_EQ(outcome->first_difference->what, What::kUpdate);
  EXPECT_EQ(outcome->first_difference->slice, changed.slice);
  EXPECT_EQ(outcome->first_difference->clock, changed.clock);
}

// Whatever of a step is not as it was shows in its gradient, and in all that follows from it.
TEST_F(Replays, AStepThatWasAnotherIsNamed) {
  const auto versions = [](RecordedStep& step) { step.used[1] -= 1; };
  const auto samples = [](RecordedStep& step) { step.batch.first += 1; };
  for (const auto& tamper : std::vector<std::function<void(RecordedStep&)>>{versions, samples}) {
    record(quadratic_job("asp", {3, 2}));
    change(worker_node(2), [&](auto& entries) { tamper(std::get<RecordedStep>(entries[1])); });
    const auto outcome = replay();
    ASSERT_TRUE(outcome.ok());
    ASSERT_TRUE(outcome->first_difference);
    EXPECT_EQ(outcome->first_difference->what, What::kGradient);
    EXPECT_EQ(outcome->first_difference->worker, 2u);
    EXPECT_EQ(outcome->first_difference->clock, 1);
    EXPECT_GT(outcome->gradients_differing, 1u);
  }
}

TEST_F(Replays, ARateThatWasAnotherIsAnUpdateThatDiffers) {
  record(quadratic_job("asp", {3, 2}));
  change(worker_node(1), [&](auto& entries) { std::get<RecordedStep>(entries[2]).rate *= 1.5; });
  const auto outcome = replay();
  ASSERT_TRUE(outcome.ok());
  ASSERT_TRUE(outcome->first_difference);
  EXPECT_EQ(outcome->first_difference->what, What::kUpdate);
  EXPECT_EQ(outcome->first_difference->worker, 1u);
  EXPECT_EQ(outcome->first_difference->clock, 2);
}

TEST_F(Replays, ARecordThatWasCutOffSaysWhereItEnds) {
  record(quadratic_job("asp", {3, 2}));
  const std::string path = directory_.file("worker-1.bin");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 5);
  const auto outcome = replay();
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_THAT(outcome->unfinished, HasSubstr("a push of worker-1 at clock"));
  EXPECT_THAT(outcome->unfinished, HasSubstr("of which that worker's record has no step"));
  EXPECT_FALSE(outcome->first_difference);
  EXPECT_GT(outcome->updates, 0u);
  EXPECT_THAT(notes_, testing::ElementsAre(HasSubstr("worker-1.bin ends in the middle of a block")));
}

// Steps are recorded with the rates that they were granted under, and their order is that of the shards.
TEST_F(Replays, RulesThatChange) {
  for (const char* mode : {"asp", "ssp:1", "bsp", "softsync:2"}) {
    SCOPED_TRACE(mode);
    Job job = quadratic_job(mode, {3, 2});
    job.train.epochs = 6;
    job.worker.stragglers = "persistent:3x";
    SimOptions options;
    options.changes = {{{.mode = {}, .rate = 0.02}, 40 * kMillisecond}};
    if (parse_mode(mode)->apply() == Mode::Apply::kOnArrival)
      options.changes.push_back({{.mode = parse_mode("dssp:0..3").value(), .rate = 0.3}, 70 * kMillisecond});
    const Ran ran = record(job, options);
    expect_success(ran);
    EXPECT_EQ(ran.metrics("set").size(), options.changes.size());
    expect_identical(ran);
  }
}

TEST_F(Replays, WhatDoesNotFitTogetherIsRefused) {
  record(quadratic_job("asp", {3, 2}));
  job_.optimizer.rate = 0.2;
  EXPECT_THAT(replay().error().message, HasSubstr("is of another job"));
  job_.optimizer.rate = 0.1;
  std::filesystem::remove(directory_.file("server-1.bin"));
  EXPECT_THAT(replay().error().message, HasSubstr("has no record of server-1"));
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) std::filesystem::remove(entry);
  EXPECT_THAT(replay().error().message, HasSubstr("was the job run with train.record = true?"));
}

// Entries that are well-formed and make no sense: an error, an end that is named, or a difference.
TEST_F(Replays, NoRecordDoesHarm) {
  constexpr const char* kModes[] = {"bsp", "softsync:2", "asp"};
  RandomStream random(3);
  const auto below = [&](std::uint64_t bound) { return random.below(bound); };
  const auto scramble = [&](RecordEntry& entry) {
    if (auto* step = std::get_if<RecordedStep>(&entry)) {
      const std::uint64_t numbers[] = {0, 1, 3, below(50), std::uint64_t{1} << 40, ~std::uint64_t{0}};
      const std::uint64_t number = numbers[below(std::size(numbers))];
      switch (below(7)) {
        case 0:
          step->clock = static_cast<Clock>(number % 100);
          break;
        case 1:
          step->batch.first = number;
          break;
        case 2:
          step->batch.count = number;
          break;
        case 3:
          step->leaves = static_cast<std::uint32_t>(number % 1000 + 1);
          break;
        case 4:
          step->nodes = {{static_cast<std::uint8_t>(below(33)), static_cast<std::uint32_t>(number)}};
          break;
        case 5:
          step->nodes.clear();
          break;
        default:
          step->used[below(step->used.size())] = number;
      }
    } else if (auto* settle = std::get_if<RecordedSettle>(&entry)) {
      switch (below(4)) {
        case 0:
          settle->slice = static_cast<SliceId>(below(3));
          break;
        case 1:
          settle->worker = static_cast<std::uint32_t>(below(5));
          break;
        case 2:
          settle->clock = static_cast<Clock>(below(12));
          break;
        default:
          settle->fate = static_cast<Fate>(1 + below(5));
      }
    } else if (auto* apply = std::get_if<protocol::RecordedApply>(&entry)) {
      apply->clock = static_cast<Clock>(below(8));
      apply->empty = below(2) == 0;
    } else if (auto* part = std::get_if<protocol::RecordedContribution>(&entry)) {
      part->worker = static_cast<std::uint32_t>(below(5));
      part->clock = static_cast<Clock>(below(12));
    } else if (auto* held = std::get_if<protocol::RecordedSnapshot>(&entry)) {
      held->version = below(2) == 0 ? below(30) : ~std::uint64_t{0};
    }
  };
  int whole = 0;
  for (int round = 0; round < 300; ++round) {
    if (round % 50 == 0) record(quadratic_job(kModes[static_cast<std::size_t>(round) / 50 % 3], {3, 2}));
    const NodeId node = below(2) == 0 ? worker_node(static_cast<std::uint32_t>(below(3)))
                                      : server_node(static_cast<std::uint32_t>(below(2)));
    change(node, [&](auto& entries) {
      RecordEntry& entry = entries[below(entries.size())];
      const RecordEntry kept = entry;
      switch (below(4)) {
        case 0:
          std::swap(entry, entries[below(entries.size())]);
          break;
        case 1:
          entries.push_back(kept);
          break;
        default:
          scramble(entry);
      }
    });
    const auto outcome = replay();
    whole += outcome.ok();
  }
  EXPECT_GT(whole, 0);
}

}  // namespace
}  // namespace rubato::sim
