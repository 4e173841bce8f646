#include "sim/replay/replayer.h"

#include <algorithm>
#include <array>
#include <future>
#include <set>
#include <thread>

#include "base/hash.h"
#include "protocol/narrow_floats.h"
#include "server/update.h"

namespace rubato::sim {

using protocol::LeafNode;
using protocol::RecordedStep;

namespace {

std::uint32_t short_hash(std::span<const std::byte> bytes) { return static_cast<std::uint32_t>(xxh3(bytes)); }

Error torn_aggregate(SliceId slice, const RecordedPush& push) {
  return {Cause::kData, fmt::format("the pushes of clock {} of slice {} do not make up a batch: see node ({}, {})",
                                    push.clock, slice, push.node.level, push.node.index)};
}

}  // namespace

struct Replayer::Gradient {
  std::uint32_t samples = 0;
  double rate = 0.0;
  Version version = 0;    // that it was computed on ...
  worker::ArenaRef read;  // ... and its weights, if the rule compensates
  Payload values;
};

struct Replayer::Slice {
  Slice(const SliceRecord& recorded, std::size_t count)
      : record(recorded), elements(count), arenas(count), readers(recorded.versions + 1, 0) {}

  [[nodiscard]] std::span<float> current() { return kept.at(version)->part(0, elements); }
  // Whoever has read `old` for the last time lets go of it.
  void release(Version old) {
    if (readers[old] == 0 && old != version) kept.erase(old);
  }
  // Of each new version. The average goes on; what the run's last snapshot held of it stays.
  void keep_evaluated() {
    if (record.final_version == version) evaluated = average;
  }

  const SliceRecord& record;
  const std::size_t elements;
  worker::ArenaPool arenas;
  std::array<std::vector<float>, kernels::kStatePlanesMax> state;  // of the current version
  std::vector<float> mean_square, average;                         // as well, if there are such
  std::vector<float> evaluated;                                    // the average of the final version
  Version version = 0;
  std::map<Version, worker::ArenaRef> kept;
  std::vector<std::uint32_t> readers;          // of each version: steps that read it and are not computed yet
  std::map<GradientKey, Gradient> gradients;   // computed, and not in an update yet
  std::size_t next_update = 0, next_push = 0;  // of the record
};

struct Replayer::Worker {
  std::vector<const RecordedStep*> steps;    // that have to be computed, by clock
  std::vector<std::vector<LeafNode>> nodes;  // of each: those that a push was settled of
  std::size_t next = 0;
  std::unique_ptr<Computer> computer;
};

Replayer::Replayer(const Job& job, const protocol::Manifest& manifest, const protocol::RoutingTable& routing,
                   Workload& workload, const RunRecord& record)
    : job_(job),
      manifest_(manifest),
      routing_(routing),
      workload_(workload),
      record_(record),
      rule_(server::rule_of(job)),
      mode_(parse_mode(job.consistency.mode).value()),
      threads_(
          std::max<std::size_t>(1, std::thread::hardware_concurrency() / static_cast<std::size_t>(job.worker.threads))),
      divisor_(job),
      wire_(protocol::wire_of(job)) {}

Replayer::~Replayer() = default;

Result<ReplayOutcome> Replayer::run(const Progress& progress) {
  RUBATO_TRY(plan());
  std::uint64_t all = 0;
  for (const auto& [rank, worker] : workers_) all += worker->steps.size();
  for (bool moved = true; moved;) {
    std::vector<std::uint32_t> ranks;
    for (const auto& [rank, worker] : workers_)
      if (ranks.size() < threads_ && worker->next < worker->steps.size() && ready(*worker->steps[worker->next]))
        ranks.push_back(rank);
    RUBATO_TRY(compute(ranks));
    moved = !ranks.empty();
    for (SliceId id = 0; id < slices_.size(); ++id)
      for (bool updated = true; updated; moved = moved || updated) {
        RUBATO_ASSIGN(updated, update_if_possible(id));
      }
    count_versions();
    if (progress) progress(outcome_.steps, all);
  }
  outcome_.unfinished = stuck();
  take_final_weights();
  return std::move(outcome_);
}

// Initial weights; which steps have to be computed, and what they read.
Status Replayer::plan() {
  const protocol::InitialWeights given = workload_.initial_weights();
  RUBATO_TRY(server::check_given(!job_.model.pretrained.empty(), manifest_, given.values()));
  for (SliceId id = 0; id < routing_.slices.size(); ++id) {
    const protocol::SliceSpec& spec = routing_.slices[id];
    slices_.push_back(std::make_unique<Slice>(record_.slices[id], spec.elements()));
    Slice& slice = *slices_.back();
    slice.kept[0] = slice.arenas.take();
    server::initial_weights(spec, manifest_, {job_.train.seed, given.values()}, slice.current());
    for (std::size_t plane = 0; plane < kernels::state_planes(rule_.kind); ++plane)
      slice.state[plane].assign(slice.elements, 0.0f);
    if (rule_.keeps_mean_square()) slice.mean_square.assign(slice.elements, 0.0f);
    if (rule_.keeps_average()) slice.average.assign(slice.current().begin(), slice.current().end());
    slice.keep_evaluated();
    if (const auto last = slice.record.final_version; last && *last <= slice.record.versions) ++slice.readers[*last];
  }

  std::map<StepKey, std::set<LeafNode>> needed;
  for (const auto& slice : slices_)
    for (const RecordedPush& push : slice->record.pushes) needed[push.step()].insert(push.node);
  if (mode_.local()) {
    for (const auto& [rank, steps] : record_.steps)
      for (const auto& [clock, step] : steps) needed[{rank, clock}];
  }
  for (const auto& [key, nodes] : needed) {
    const RecordedStep* step = record_.find(key);
    if (step == nullptr) continue;  // its pushes stay undone, and stuck() says why
    RUBATO_TRY(check(key, *step));
    for (const LeafNode& node : nodes)
      if (std::ranges::find(step->nodes, node) == step->nodes.end())
        return Error{Cause::kData, fmt::format("a push of node ({}, {}) of worker-{}'s step {} was settled, which "
                                               "did not compute it",
                                               node.level, node.index, key.first, key.second)};
    auto& worker = workers_[key.first];
    if (!worker) worker = std::make_unique<Worker>();
    worker->steps.push_back(step);
    worker->nodes.emplace_back(nodes.begin(), nodes.end());
    for (SliceId id = 0; id < slices_.size(); ++id)
      if (step->used[id] < slices_[id]->readers.size()) ++slices_[id]->readers[step->used[id]];
  }
  return {};
}

// Computers trust their orders.
Status Replayer::check(StepKey key, const RecordedStep& step) const {
  const std::uint64_t samples = workload_.train_samples();
  const std::int64_t leaves = mode_.apply() == Mode::Apply::kAggregate ? job_.train.micro_batches : 1;
  if (step.batch.count <= samples && step.batch.first <= samples - step.batch.count && step.leaves == leaves) return {};
  return Error{Cause::kData,
               fmt::format("step {} of worker-{} is of samples [{}, +{}) in {} leaves; there are {} "
                           "samples, and leaves are {}",
                           key.second, key.first, step.batch.first, step.batch.count, step.leaves, samples, leaves)};
}

bool Replayer::ready(const RecordedStep& step) const {
  for (SliceId id = 0; id < slices_.size(); ++id)
    if (step.used[id] > slices_[id]->version) return false;
  return true;
}

// Steps that are ready at once do not depend on each other: they are computed on several threads.
Status Replayer::compute(const std::vector<std::uint32_t>& ranks) {
  std::vector<std::future<std::vector<worker::ComputeReport>>> under_way;
  for (const std::uint32_t rank : ranks) {
    Worker& worker = *workers_.at(rank);
    const bool forgets = mode_.local() && record_.lives.contains({rank, worker.steps[worker.next]->clock});
    if (!worker.computer || forgets) {  // a new process has a new inner optimizer
      worker.computer = workload_.make_computer(worker_node(rank));
      worker.computer->set_routing(routing_);
    }
    under_way.push_back(std::async(std::launch::async, [&worker, orders = orders_of(worker)]() mutable {
      return worker.computer->compute(std::move(orders));
    }));
  }
  std::vector<std::vector<worker::ComputeReport>> reports;
  reports.reserve(under_way.size());
  for (auto& result : under_way) reports.push_back(result.get());
  for (std::size_t i = 0; i < ranks.size(); ++i) RUBATO_TRY(computed(ranks[i], std::move(reports[i])));
  return {};
}

std::vector<worker::ComputeOrder> Replayer::orders_of(const Worker& worker) const {
  const RecordedStep& step = *worker.steps[worker.next];
  protocol::StepGrant grant;
  grant.clock = step.clock;
  grant.batch = step.batch;
  grant.leaves = step.leaves;
  grant.rate = step.rate;
  grant.nodes = protocol::LeafNodes(mode_.local() ? step.nodes : worker.nodes[worker.next]);
  std::vector<worker::ComputeOrder> orders{worker::ComputeStep{std::move(grant), {}, false}};
  for (SliceId id = 0; id < slices_.size(); ++id) {
    const Slice& slice = *slices_[id];
    const worker::ArenaRef& arena = slice.kept.at(step.used[id]);
    const Payload weights(arena, std::as_bytes(arena->part(0, slice.elements)));
    orders.emplace_back(worker::SliceWeights{step.clock, id, step.used[id], protocol::carried(wire_, weights)});
  }
  return orders;
}

Status Replayer::computed(std::uint32_t rank, std::vector<worker::ComputeReport> reports) {
  Worker& worker = *workers_.at(rank);
  const RecordedStep& step = *worker.steps[worker.next];
  const std::vector<LeafNode>& wanted = worker.nodes[worker.next];
  for (worker::ComputeReport& report : reports) {
    if (const auto* failed = std::get_if<worker::ComputeFailed>(&report))
      return failed->error.in(fmt::format("step {} of worker-{}", step.clock, rank));
    auto* made = std::get_if<worker::SliceGradient>(&report);
    if (made == nullptr || std::ranges::find(wanted, made->node) == wanted.end()) continue;
    Slice& slice = *slices_[made->slice];
    const Version used = step.used[made->slice];
    const bool exact = protocol::travels_exactly(manifest_, routing_.slices[made->slice]);
    slice.gradients[{rank, step.clock, made->node}] = {
        made->samples, step.rate, used, rule_.compensates() ? slice.kept.at(used) : nullptr,
        exact ? made->gradient : protocol::carried(wire_, made->gradient)};
  }
  for (SliceId id = 0; id < slices_.size(); ++id) {
    --slices_[id]->readers[step.used[id]];
    slices_[id]->release(step.used[id]);
  }
  ++worker.next;
  ++outcome_.steps;
  return {};
}

// The next update of a slice, if all gradients that it is made of are there.
Result<bool> Replayer::update_if_possible(SliceId id) {
  Slice& slice = *slices_[id];
  if (slice.next_update == slice.record.updates.size()) return false;
  const RecordedUpdate& update = slice.record.updates[slice.next_update];
  const std::span<const RecordedPush> pushes =
      std::span(slice.record.pushes).subspan(slice.next_push, update.pushes_end - slice.next_push);
  const auto key = [](const RecordedPush& push) { return GradientKey{push.worker, push.clock, push.node}; };
  for (const RecordedPush& push : pushes)
    if (!slice.gradients.contains(key(push))) return false;

  std::vector<Gradient> gradients;
  for (const RecordedPush& push : pushes) {
    gradients.push_back(std::move(slice.gradients.extract(key(push)).mapped()));
    if (short_hash(gradients.back().values.bytes()) != push.gradient_hash)
      differs({ReplayDifference::What::kGradient, id, push.worker, push.clock});
  }
  if (update.what == RecordedUpdate::What::kApplied) {
    RUBATO_TRY(apply(id, update, pushes, gradients));
    if (short_hash(std::as_bytes(slice.current())) != update.weights_hash)
      differs({ReplayDifference::What::kUpdate, id, pushes.back().worker, pushes.back().clock});
    ++outcome_.updates;
  } else if (update.what == RecordedUpdate::What::kUnchanged) {
    publish(slice, slice.kept.at(slice.version));
  }
  slice.next_push = update.pushes_end;
  ++slice.next_update;
  outcome_.pushes += pushes.size();
  return true;
}

Status Replayer::apply(SliceId id, const RecordedUpdate& update, std::span<const RecordedPush> pushes,
                       std::span<Gradient> gradients) {
  if (pushes.empty()) return Error{Cause::kData, fmt::format("an update of slice {} without pushes", id)};
  if (mode_.apply() == Mode::Apply::kAggregate) return apply_aggregate(id, update, pushes, gradients);
  const Slice& slice = *slices_[id];
  std::vector<kernels::SumTerm> values;
  std::vector<server::Contribution> contributions;
  values.reserve(gradients.size());
  contributions.reserve(gradients.size());
  for (const Gradient& gradient : gradients) {
    values.push_back({gradient.values.floats()});
    contributions.push_back(
        {{&values.back(), 1},
         gradient.samples,
         mode_.apply() == Mode::Apply::kOnArrival ? divisor_.of(gradient.samples) : gradient.samples,
         slice.version - gradient.version,
         gradient.read ? gradient.read->part(0, slice.elements) : std::span<float>()});
  }
  const double rate = mode_.apply() == Mode::Apply::kOnArrival ? gradients.front().rate : update.rate;
  return make_version(id, contributions, rate);
}

Status Replayer::apply_aggregate(SliceId id, const RecordedUpdate& update, std::span<const RecordedPush> pushes,
                                 std::span<Gradient> gradients) {
  server::Aggregate sum(record_.find(pushes.front().step())->leaves);
  std::uint64_t samples = 0;
  for (std::size_t i = 0; i < pushes.size(); ++i) {
    const LeafNode node = pushes[i].node;
    if (!sum.valid(node) || sum.look(node) != server::Aggregate::Added::kAdded) return torn_aggregate(id, pushes[i]);
    samples += gradients[i].samples;
    sum.add(node, pushes[i].worker, std::move(gradients[i].values), sums_);
  }
  if (!sum.complete()) return torn_aggregate(id, pushes.back());
  const server::Contribution contribution{sum.terms(), samples, samples, 0, {}};
  return make_version(id, {&contribution, 1}, update.rate);
}

// Optimizer state and average are read by nobody but the next update, and change in place.
Status Replayer::make_version(SliceId id, std::span<const server::Contribution> contributions, double rate) {
  Slice& slice = *slices_[id];
  const auto whole = [&](const server::Contribution& part) {
    return part.samples > 0 && !part.terms.empty() &&
           std::ranges::all_of(part.terms, [&](const auto& term) { return term.values.size() == slice.elements; });
  };
  if (!std::ranges::all_of(contributions, whole))
    return Error{Cause::kData, fmt::format("the record says that version {} of slice {} was made, and there is no "
                                           "gradient for it",
                                           slice.version + 1, id)};
  worker::ArenaRef next = slice.arenas.take();
  kernels::SlotView from{slice.current(), {}, slice.mean_square, slice.average},
      to{next->part(0, slice.elements), {}, slice.mean_square, slice.average};
  for (std::size_t plane = 0; plane < kernels::kStatePlanesMax; ++plane)
    from.state[plane] = to.state[plane] = slice.state[plane];
  // Of what came out otherwise than in the run, the hash of the weights tells.
  std::ignore =
      server::apply_update(rule_, routing_.slices[id], manifest_, {contributions, rate, slice.version + 1}, from, to);
  publish(slice, std::move(next));
  return {};
}

// The next version is here, and the one before may not be wanted any more.
void Replayer::publish(Slice& slice, worker::ArenaRef next) {
  const Version before = slice.version++;
  slice.kept[slice.version] = std::move(next);
  slice.keep_evaluated();
  slice.release(before);
}

void Replayer::differs(ReplayDifference difference) {
  ++(difference.what == ReplayDifference::What::kGradient ? outcome_.gradients_differing : outcome_.updates_differing);
  if (!outcome_.first_difference) outcome_.first_difference = difference;
}

void Replayer::count_versions() {
  std::size_t kept = 0;
  for (const auto& slice : slices_) kept += slice->kept.size();
  outcome_.versions_kept_max = std::max(outcome_.versions_kept_max, kept);
}

// What an update that could not be made waits for.
std::string Replayer::stuck() const {
  for (SliceId id = 0; id < slices_.size(); ++id) {
    const Slice& slice = *slices_[id];
    if (slice.next_update == slice.record.updates.size()) continue;
    for (std::size_t at = slice.next_push; at < slice.record.updates[slice.next_update].pushes_end; ++at) {
      const RecordedPush& push = slice.record.pushes[at];
      if (slice.gradients.contains({push.worker, push.clock, push.node})) continue;
      const std::string what = fmt::format("slice {} had a push of worker-{} at clock {}", id, push.worker, push.clock);
      const RecordedStep* step = record_.find(push.step());
      if (step == nullptr) return what + ", of which that worker's record has no step";
      for (SliceId used = 0; used < slices_.size(); ++used)
        if (step->used[used] > slices_[used]->record.versions)
          return fmt::format("{}, which read version {} of slice {}; the record ends at version {}", what,
                             step->used[used], used, slices_[used]->record.versions);
    }
  }
  for (SliceId id = 0; id < slices_.size(); ++id)
    if (slices_[id]->next_update < slices_[id]->record.updates.size())
      return fmt::format("updates of slice {} wait for each other in a circle", id);
  return {};
}

// What an evaluator was given: the average, where there is one.
void Replayer::take_final_weights() {
  for (const auto& slice : slices_) {
    const Version last = std::min(slice->record.final_version.value_or(slice->version), slice->version);
    std::span<const float> weights = slice->kept.at(last)->part(0, slice->elements);
    if (rule_.keeps_average()) weights = last == slice->version ? slice->average : slice->evaluated;
    outcome_.weights.emplace_back(weights.begin(), weights.end());
  }
}

}  // namespace rubato::sim
