#include "sim/memory_estimate.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/mode.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "kernels/rule_config.h"
#include "model/network.h"
#include "protocol/leaf_tree.h"
#include "protocol/manifest.h"
#include "scheduler/snapshots.h"
#include "server/pool_plan.h"
#include "server/update.h"
#include "server/version_table.h"
#include "transport/shm/link.h"
#include "worker/figures.h"
#include "worker/inner_optimizer.h"
#include "worker/job_plan.h"
#include "worker/slice_layout.h"
#include "worker/trainer.h"

namespace rubato::sim {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// What each program takes with next to no model and no data (bench/memory_of_job.py shows it), rounded up: code,
// libraries, the allocator's, and in a worker what oneDNN makes to compute with. Of libraries it is a share, the larger
// the fewer other programs on the host have them too: these are of a host that has next to none.
constexpr std::uint64_t kSchedulerProgram = 7 * kMiB, kServerProgram = 7 * kMiB, kWorkerProgram = 18 * kMiB,
                        kEvaluatorProgram = 10 * kMiB;
// What an evaluator has more from its first evaluation on: as a worker.
constexpr std::uint64_t kEvaluatorComputes = kWorkerProgram - kEvaluatorProgram;

struct Slots {
  std::uint64_t weights = 0, state = 0;  // of one version of every slice
  std::uint64_t spare = 0;               // beside it, while nobody reads
  std::uint64_t records = 0;             // what else is true of each
  [[nodiscard]] std::uint64_t at_first() const { return weights + state + spare + records; }
  std::uint64_t on_gpu = 0;  // on the servers' GPUs, where they have some
  std::uint64_t of_one = 0;  // while nobody reads, in the server that has most
};

Slots slots_of(const Job& job, std::span<const protocol::SliceSpec> slices, std::uint32_t shards) {
  const server::PoolPlanner planner(job);
  const auto of_server = static_cast<std::uint32_t>(job.cluster.shard_threads);
  Slots slots;
  std::uint64_t before = 0;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    if (shard % of_server == 0) before = slots.at_first();
    std::size_t owned = 0, longest = 0;
    for (const auto& [elements, plan] : planner.pools(shard, slices)) {
      owned += plan.bounds.slices;
      slots.weights += plan.bounds.slices * server::weights_bytes(plan.shape);
      slots.state += plan.bounds.slices * server::state_bytes(plan.shape);
      slots.spare += (plan.bounds.slots_at_first() - plan.bounds.slices) * server::slot_bytes(plan.shape);
      slots.on_gpu += kernels::device_bytes(plan.shape, plan.bounds.slices);
      longest = elements;
    }
    if (owned > 0) slots.on_gpu += kernels::update_bytes(longest);
    slots.records += server::VersionTable::bytes(owned, planner.marks());
    slots.of_one = std::max(slots.of_one, slots.at_first() - before);
  }
  return slots;
}

// Versions of all weights that are kept beside the newest one because workers read them. A worker has one answer at
// most that it has not copied. On arrival it is the newest to whoever pushed last; a commit may come behind all of
// them; in an aggregate everybody has copied before anybody pushes. Compensated, each version is kept until the push
// that was computed on it is settled, and the next may be asked for by then.
std::uint64_t versions_read(const Job& job, Mode::Apply apply, bool compensated) {
  const auto workers = static_cast<std::uint64_t>(job.cluster.workers);
  if (compensated) return 2 * workers;
  if (apply == Mode::Apply::kAggregate) return 0;
  return apply == Mode::Apply::kOnArrival ? workers - 1 : workers;
}

// Gradients that all workers have at once. In an aggregate those of a step that wait for the clock, and those that wait
// for their right siblings while the next leaf is computed. Where a push is computed in micro-batches, the sum so far
// lies beside the gradient of the one at hand.
std::uint64_t gradients_of(const Job& job, Mode::Apply apply) {
  const auto workers = static_cast<std::uint32_t>(job.cluster.workers);
  const bool cut = worker::Trainer::computed_max(job) < worker::Trainer::leaf_max(job);
  if (apply != Mode::Apply::kAggregate) return cut ? 2 * workers : workers;
  const auto leaves = static_cast<std::uint32_t>(job.train.micro_batches);
  std::uint64_t sum = 0;
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    std::uint64_t most = 0, done = 0;
    for (const protocol::LeafNode& node : protocol::nodes_of_worker(worker, workers, leaves)) {
      const std::uint64_t under = protocol::end_leaf(node, leaves) - node.first_leaf();
      most = std::max<std::uint64_t>(most, done++ + static_cast<std::uint64_t>(std::bit_width(under)));
    }
    sum += most;
  }
  return sum;
}

// Sums of two nodes' gradients that wait on the servers for their siblings: every other pair of nodes, at most.
std::uint64_t sums_of(const Job& job, Mode::Apply apply) {
  const auto workers = static_cast<std::uint32_t>(job.cluster.workers);
  if (apply != Mode::Apply::kAggregate) return 0;
  std::uint64_t nodes = 0;
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    nodes += protocol::nodes_of_worker(worker, workers, static_cast<std::uint32_t>(job.train.micro_batches)).size();
  return nodes > 2 ? (nodes + 3) / 4 : 0;
}

std::uint64_t floats_of_sample(const data::DatasetSize& data) {
  return static_cast<std::uint64_t>(data.shape.floats() + data.target_floats + (data.lengths ? 1 : 0));
}

// The samples that a worker has in its hands, and those read ahead.
std::uint64_t batch_bytes(const data::DatasetSize& data, std::int64_t samples) {
  return (data::Loader::kDepth + 1) * static_cast<std::uint64_t>(samples) * floats_of_sample(data) * sizeof(float);
}

// Sizes of a worker's batches beside the usual one: of the last of an epoch, which an aggregate cuts into leaves of two
// sizes; with leases any.
std::uint64_t other_sizes(const Job& job, Mode::Apply apply, std::uint64_t samples) {
  const auto batch = static_cast<std::uint64_t>(job.train.batch),
             workers = static_cast<std::uint64_t>(job.cluster.workers);
  if (is_leased(job)) return model::kPlansMax - 1;
  if (apply == Mode::Apply::kAggregate) return samples % batch == 0 ? 0 : 2;
  return samples % (batch * workers) == 0 ? 0 : 1;
}

// Snapshots that may wait for the evaluator at once, or be read by it: of all but the last, which is of the newest
// weights, as many as the scheduler's ledger takes.
std::uint64_t snapshots_held(const Job& job, const Mode& mode, std::uint64_t samples) {
  if (!job.evaluation.enabled) return 0;
  double epochs = static_cast<double>(job.train.epochs);
  if (job.train.steps > 0) {
    const bool whole = mode.apply() == Mode::Apply::kAggregate && !mode.local();  // a clock is one batch of all
    const double of_worker = static_cast<double>(job.train.batch) * static_cast<double>(mode.steps_per_clock());
    const double of_clock = whole ? of_worker : of_worker * static_cast<double>(job.cluster.workers);
    epochs = static_cast<double>(job.train.steps) * of_clock / static_cast<double>(std::max<std::uint64_t>(samples, 1));
  }
  const double evaluated = std::ceil(std::ceil(epochs) / static_cast<double>(job.evaluation.every_epochs)) *
                           static_cast<double>(job.evaluation.per_epoch);
  scheduler::Snapshots ledger(1);
  std::uint64_t held = 0;
  for (; !ledger.full() && static_cast<double>(held + 1) < evaluated; ++held) ledger.announce(0, 0, false, 0);
  return std::max<std::uint64_t>(held, 1);
}

// What the evaluator computes with: the memory of its largest batch, in which all take turns, the plan of each, and the
// samples themselves.
Result<std::uint64_t> evaluating_bytes(model::Model& model, const data::DatasetSize& data,
                                       std::span<const std::int64_t> sizes) {
  std::uint64_t most = 0, reordered = 0;
  for (const std::int64_t size : sizes) {
    RUBATO_ASSIGN(const model::ModelMemory memory, model.memory_for(size, false));
    most = std::max<std::uint64_t>(most, memory.activations + memory.results);
    reordered += memory.reordered;
  }
  const auto samples = static_cast<std::uint64_t>(sizes.empty() ? 0 : sizes.front());
  return most + reordered + samples * floats_of_sample(data) * sizeof(float);
}

std::uint64_t programs_of(const Job& job, std::uint32_t shards) {
  const auto workers = static_cast<std::uint64_t>(job.cluster.workers);
  const auto servers = static_cast<std::uint64_t>(job.cluster.servers);
  const std::uint64_t links = job.cluster.shared_memory ? (workers + 1) * shards : 0;
  return kSchedulerProgram + kEvaluatorProgram + servers * kServerProgram + workers * kWorkerProgram +
         links * sizeof(transport::LinkMemory::Layout);
}

}  // namespace

const char* name_of(MemoryRow::Kind kind) {
  switch (kind) {
    case MemoryRow::Kind::kAll:
      return "all";
    case MemoryRow::Kind::kAtMost:
      return "at-most";
    case MemoryRow::Kind::kOnGpu:
      return "on-gpu";
    case MemoryRow::Kind::kInOne:
      return "in-one";
  }
  return "?";
}

Result<std::vector<MemoryRow>> estimate_memory(const Job& job, const std::string& run_dir) {
  using worker::Trainer;
  using Kind = MemoryRow::Kind;
  const Mode mode = parse_mode(job.consistency.mode).value();
  const kernels::RuleConfig rule = server::rule_of(job);
  const auto workers = static_cast<std::uint64_t>(job.cluster.workers);
  const auto shards = static_cast<std::uint32_t>(job.cluster.servers * job.cluster.shard_threads);

  RUBATO_ASSIGN(const data::DatasetSize train, data::size_of_dataset(job, data::Split::kTrain));
  kernels::DeviceConfig config = worker::device_config(job);
  config.only_plans = true;
  RUBATO_ASSIGN(const auto device, worker::has_plan(run_dir) ? worker::open_job_device(job, run_dir, config)
                                                             : kernels::open_device(config));
  RUBATO_ASSIGN(const auto training, Trainer::make_model(job, train, *device, Role::kWorker));
  RUBATO_ASSIGN(const model::ModelMemory of_leaf, training->memory_for(Trainer::computed_max(job), true));
  std::uint64_t evaluator = 0;
  std::uint64_t test_bytes = 0, gathering = 0;
  const auto parameters = training->parameters();
  const protocol::Manifest manifest(parameters.begin(), parameters.end());
  const std::vector<protocol::SliceSpec> slices =
      protocol::cut_slices(manifest, static_cast<std::uint64_t>(job.cluster.slice_bytes), shards);
  const Slots slots = slots_of(job, slices, shards);
  // An arena, of gradients or weights, as a worker lays it out.
  const std::uint64_t arena = worker::SliceLayout(manifest, {0, slices, {}}).floats() * sizeof(float);
  RUBATO_ASSIGN(const std::vector<data::DatasetSize> evaluated, worker::evaluated_parts(job));
  if (!evaluated.empty()) {
    RUBATO_ASSIGN(const auto evaluating, Trainer::make_model(job, train, *device, Role::kEvaluator));
    std::size_t figures = 0;
    for (const data::DatasetSize& part : evaluated) {
      test_bytes += part.bytes + part.gathered_bytes;
      gathering += part.gathering_bytes;
      figures = std::max(figures, worker::bytes_of_figures(job, part));  // one part after the other
    }
    RUBATO_ASSIGN(evaluator, evaluating_bytes(*evaluating, train, worker::evaluated_sizes(job, evaluated)));
    evaluator += kEvaluatorComputes + arena + figures;
    if (job.evaluation.holdout > 0.0) evaluator += 2 * arena;  // the best, read from their file in the end
  }

  std::vector<MemoryRow> rows = {
      {"weights", slots.weights},
      {"optimizer state", slots.state},
      {"spare slots", slots.spare},
      {"marks of workers", slots.records},
      {"older weights that are still read", slots.weights * versions_read(job, mode.apply(), rule.compensates()),
       Kind::kAtMost},
      {"gradients", arena * gradients_of(job, mode.apply())},
      {"gradients under commit", mode.apply() == Mode::Apply::kCommitted ? arena * workers : 0, Kind::kAtMost},
      {"sums of gradients", slots.weights * sums_of(job, mode.apply()), Kind::kAtMost},
      {"workers' weights", arena * workers},
      {"deltas", mode.local() ? arena * workers : 0},
      {"local steps", mode.local() ? arena * workers * 2 : 0},
      {"inner optimizers' state", mode.local() ? arena * workers * worker::InnerOptimizer::planes(job) : 0},
      {"activations", of_leaf.activations * workers},
      {"predictions", of_leaf.results * workers},
      {"reordered weights", of_leaf.reordered * workers},
      {"reordered for short batches", of_leaf.reordered * workers * other_sizes(job, mode.apply(), train.samples),
       Kind::kAtMost},
      {"data", (train.bytes + train.gathered_bytes) * workers + train.bytes + test_bytes +
                   batch_bytes(train, Trainer::computed_max(job)) * workers},
      {"readers of images", train.gathering_bytes * workers + gathering, Kind::kAtMost},
      {"evaluator", evaluator, Kind::kAtMost},
      {"weights held for the evaluator", slots.weights * snapshots_held(job, mode, train.samples), Kind::kAtMost},
      {"programs", programs_of(job, shards)},
      {"slices of servers", job.server.device == "cpu" ? 0 : slots.on_gpu, Kind::kOnGpu},
      {"a server's slices", slots.of_one, Kind::kInOne},
      {"a worker's weights, gradient and activations", 2 * arena + of_leaf.activations, Kind::kInOne},
  };
  std::erase_if(rows, [](const MemoryRow& row) { return row.bytes == 0; });
  return rows;
}

}  // namespace rubato::sim
