// What the scheduler writes into metrics.jsonl (docs/metrics.md has every field).
#include <algorithm>
#include <cmath>

#include "base/pretraining.h"
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {

using Json = nlohmann::ordered_json;

namespace {

// A job's loss is told so many times an epoch, and so many times in all where it has many epochs.
constexpr std::uint64_t kProgressPerEpoch = 20, kProgressMax = 1000;

double share(double part, double whole) { return whole == 0.0 ? 0.0 : part / whole; }

double share(std::uint64_t part, std::uint64_t whole) {
  return share(static_cast<double>(part), static_cast<double>(whole));
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

Json SchedulerCore::metric(TimeNs now, const std::string& event) const {
  return {{"event", event}, {"time_s", elapsed_s(now)}};
}

// In bsp a clock stands for its samples, whoever computed them: the ticks of the dead, and of leaves that
// were settled before they were computed again, do not tell of all.
std::uint64_t SchedulerCore::samples_settled() const {
  const bool by_clock = mode_.apply() == Mode::Apply::kAggregate && data_ && !clocks_.empty();
  return by_clock ? data_->samples_before(clocks_.min()) : total_.samples;
}

// What can be settled in all: no longer what was lost with dead workers.
std::uint64_t SchedulerCore::samples_total() const {
  if (!data_) return 0;
  if (leases_) return leases_->total_samples() - samples_dropped_;
  const auto asked_for = static_cast<std::uint64_t>(job_.cluster.workers);
  return data_->total_samples(phase_ == Phase::kGathering ? asked_for : clocks_.size()) - samples_dropped_;
}

std::uint64_t SchedulerCore::updates_applied() const {
  if (commits_) return updates_;
  const bool by_clock = mode_.apply() == Mode::Apply::kAggregate && !clocks_.empty();
  return by_clock ? static_cast<std::uint64_t>(clocks_.min()) : total_.steps;
}

// ---- as training goes on ------------------------------------------------------------------------------

void SchedulerCore::record_progress(TimeNs now, const protocol::Tick& tick, double rate) {
  progress_.settle(tick, now);
  if (progress_every_ == 0)
    progress_every_ =
        std::max({data_->epoch_samples() / kProgressPerEpoch, samples_total() / kProgressMax, std::uint64_t{1}});
  if (progress_.samples < progress_every_) return;
  Json line = metric(now, "progress");
  line["updates"] = updates_applied();
  line["samples_settled"] = samples_settled();
  line["rate"] = rate;
  if (rules_.pending() > 0) line["to_go"] = rules_.pending(0).first - clocks_.min();
  const std::uint64_t settled = std::max<std::uint64_t>(samples_settled(), 1) - 1;
  const std::uint64_t epoch = settled / std::max<std::uint64_t>(data_->epoch_samples(), 1);
  add_loss("train", epoch, progress_.train_loss(), line);
  add_accuracy(epoch, progress_.train_accuracy(), line);
  line["age_mean"] = progress_.ages.mean();
  metrics_.push_back(std::move(line));
  progress_ = {};
}

// What an epoch minimizes has a name of its own where that is no loss of labels.
void SchedulerCore::add_loss(const std::string& part, std::uint64_t epoch, double value, Json& line) const {
  const std::optional<std::size_t> machine = machine_of(job_.model, epoch);
  if (machine) line["machine"] = *machine + 1;
  line[part + (machine ? "_reconstruction" : "_loss")] = finite(value);
}

// Only of what predicts classes.
void SchedulerCore::add_accuracy(std::uint64_t epoch, double value, Json& line) const {
  const bool classes = job_.model.name != "quadratic" && job_.model.loss != "mse" && !machine_of(job_.model, epoch);
  line["train_accuracy"] = classes ? Json(value) : Json();
}

void SchedulerCore::add_ages(const AgeHistogram& ages, Json& line) const {
  line["age_mean"] = ages.mean();
  line["age_p99"] = ages.quantile(0.99);
  if (job_.optimizer.age_scaling == "inverse" && !mode_.local()) line["age_factor_mean"] = ages.mean_factor();
}

void SchedulerCore::record_epoch(TimeNs now, const EpochAccount& entry) {
  const Account& account = entry.account;
  Json line = metric(now, "epoch");
  line["epoch"] = entry.plan.epoch + 1;
  line["mode"] = mode_name(rules_.in_force().mode);
  line["clock"] = clocks_.min();
  line["updates"] = updates_applied();
  line["samples_settled"] = samples_settled();
  add_loss("train", entry.plan.epoch, account.train_loss(), line);
  add_accuracy(entry.plan.epoch, account.train_accuracy(), line);
  line["samples"] = account.samples;
  line["samples_per_s"] = static_cast<double>(account.samples) / std::max(seconds(account.last - account.first), 1e-9);
  line["staleness_max"] = account.staleness_max;
  add_ages(account.ages, line);
  metrics_.push_back(std::move(line));
  for (std::uint32_t rank : entry.plan.workers) {
    const Member& member = members_.at(worker_node(rank));
    const WorkerRecord& work = member.work;
    Json worker = metric(now, "worker");
    worker["epoch"] = entry.plan.epoch + 1;
    worker["worker"] = member.node.name();
    worker["clock"] = clocks_.contains(rank) ? clocks_.clock(rank) : work.next_grant;
    worker["samples"] = work.samples;
    worker["samples_per_s"] = work.samples_per_s();
    add_loss("train", entry.plan.epoch, work.loss, worker);
    worker["wait_share"] = share(work.wait_ns, work.total_ns);
    worker["age_mean"] = share(work.age_sum, work.age_count);
    metrics_.push_back(std::move(worker));
  }
}

// ---- who waited for whom ------------------------------------------------------------------------------

void SchedulerCore::record_wait(TimeNs now, std::uint32_t waiting, std::uint32_t culprit, TimeNs from, TimeNs to) {
  recent_waits_.add(waiting, culprit, from, to);
  if (!waits_.add(waiting, culprit, from, to)) return;
  Json line = metric(now, "wait");
  line["worker"] = worker_node(waiting).name();
  line["for"] = worker_node(culprit).name();
  line["clock"] = clocks_.min();
  line["from_s"] = elapsed_s(from);
  line["to_s"] = elapsed_s(to);
  metrics_.push_back(std::move(line));
}

// In an aggregate nobody's push is settled before the last one has come, so all tick together. Who came last
// shows in when each was done computing.
void SchedulerCore::record_barrier(TimeNs now) {
  std::uint32_t last = clocks_.clocks().begin()->first;
  const auto computed = [&](std::uint32_t rank) { return members_.at(worker_node(rank)).work.computed; };
  for (const auto& [rank, clock] : clocks_.clocks())
    if (computed(rank) > computed(last)) last = rank;
  for (const auto& [rank, clock] : clocks_.clocks()) record_wait(now, rank, last, computed(rank), computed(last));
}

// ---- evaluations, and the end -------------------------------------------------------------------------

void SchedulerCore::record_evaluation(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done) {
  Json line = metric(now, entry.final ? "final" : "evaluation");
  const Reached reached = entry.reached.value_or(Reached{now, updates_applied(), samples_settled()});
  line["epoch"] = entry.epoch + 1;
  line["clock"] = entry.clock;
  line["reached_s"] = elapsed_s(reached.at);
  line["updates"] = reached.updates;
  line["samples_settled"] = reached.samples;
  add_loss("train", entry.epoch, train_loss_as_of(entry.epoch), line);
  if (job_.evaluation.average > 0.0) line["average"] = job_.evaluation.average;
  // Of the last weights, and in the end on the test set of those that count.
  const protocol::EvaluationFigures& judged = holds_out() && entry.final ? done.test : done.figures;
  add_figures(evaluated_part(), entry.epoch, done.figures, line);
  if (holds_out() && !entry.final) line["best"] = done.best;
  if (holds_out() && entry.final) add_figures("test", entry.epoch, done.test, line);
  const auto figure = [&](double value) { return judged.evaluated ? finite(value) : Json(); };
  line["precision_macro"] = figure(judged.precision_macro);
  line["recall_macro"] = figure(judged.recall_macro);
  line["f1_macro"] = figure(judged.f1_macro);
  line["samples_per_s"] =
      static_cast<double>(samples_settled()) / std::max(seconds(total_.last - training_since_), 1e-9);
  line["staleness_max"] = total_.staleness_max;
  add_ages(total_.ages, line);
  if (entry.final) add_totals(done, line);
  if (!judged.details_json.empty()) {
    Json details = Json::parse(judged.details_json, nullptr, false);
    if (!details.is_discarded()) line["details"] = std::move(details);
  }
  metrics_.push_back(std::move(line));
}

// Of that epoch; while it is going on, of the newest before it, or else of all there was.
double SchedulerCore::train_loss_as_of(std::uint64_t epoch) const {
  const auto after = train_losses_.upper_bound(epoch);
  return after == train_losses_.begin() ? total_.train_loss() : std::prev(after)->second;
}

void SchedulerCore::add_figures(const std::string& part, std::uint64_t epoch,
                                const protocol::EvaluationFigures& figures, Json& line) const {
  add_loss(part, epoch, figures.evaluated ? figures.loss : std::nan(""), line);
  line[part + "_accuracy"] = figures.evaluated ? finite(figures.accuracy) : Json();
}

void SchedulerCore::add_best(const protocol::EvaluationDone& done, Json& line) const {
  line["best_epoch"] = best_ ? Json(best_->epoch + 1) : Json();
  line["best_clock"] = best_ ? Json(best_->clock) : Json();
  line["best_validation_loss"] = best_ ? finite(best_->loss) : Json();
  line["best_validation_accuracy"] = best_ ? finite(best_->accuracy) : Json();
  line["best_sha256"] = done.best_sha256.empty() ? Json() : Json(done.best_sha256);
  line["stopped_early"] = !stopped_early_.empty();
}

void SchedulerCore::add_totals(const protocol::EvaluationDone& done, Json& line) const {
  Counts sum{.refused_frames = refused_frames_};
  std::uint64_t waited = 0, time = 0;
  for (const auto& [node, member] : members_) {
    sum += member.counts();
    waited += member.work.wait_ns;
    time += member.work.total_ns;
  }
  line["mode"] = mode_name(rules_.in_force().mode);
  line["rule_epoch"] = rules_.in_force().epoch;
  line["train_s"] = seconds(total_.last - training_since_);
  line["samples"] = samples_settled();
  line["samples_dropped"] = samples_dropped_;
  line["torn_steps"] = torn_steps_;
  line["nonfinite"] = nonfinite_;
  if (nonfinite_ > 0) line["first_nonfinite"] = first_nonfinite_;
  line["weights_sha256"] = done.weights_sha256;
  if (holds_out()) add_best(done, line);
  line["pushes"] = sum.pushes;
  line["pushes_repeated"] = sum.repeated;
  line["pushes_dropped"] = total_.dropped_pushes + sum.dropped;
  line["refused_frames"] = sum.refused_frames;
  line["wait_share"] = share(waited, time);
  line["ages"] = Json::array();
  for (const auto& [age, count] : total_.ages.counts()) line["ages"].push_back({age, count});
  add_workers(line);
}

void SchedulerCore::add_workers(Json& line) const {
  line["workers"] = Json::array();
  for (const auto& [node, member] : members_) {
    if (node.role != Role::kWorker) continue;
    const WorkerRecord& work = member.work;
    const WaitLedger::Sums sums = waits_.of(node.rank);
    line["workers"].push_back({{"worker", node.name()},
                               {"samples", work.samples},
                               {"steps", work.steps},
                               {"time_s", seconds(static_cast<TimeNs>(work.total_ns))},
                               {"wait_s", seconds(static_cast<TimeNs>(work.wait_ns))},
                               {"wait_workers_s", seconds(sums.waited)},
                               {"wait_weights_s", seconds(static_cast<TimeNs>(work.weights_ns))},
                               {"held_up_s", seconds(sums.held_up)},
                               {"age_mean", share(work.age_sum, work.age_count)}});
  }
  line["waits"] = Json::array();
  for (const auto& [pair, time] : waits_.pairs())
    line["waits"].push_back({worker_node(pair.first).name(), worker_node(pair.second).name(), seconds(time)});
  line["waits_unlisted"] = waits_.unlisted();
  line["waits_unlisted_s"] = seconds(waits_.unlisted_time());
}

}  // namespace rubato::scheduler
