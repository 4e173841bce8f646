// The scheduler: who is in the job, how far each worker is, who may go on, when the job is over.
//
// A job goes through phases:
//   gathering     members register; the scheduler checks that they agree on job, data and model
//   initializing  slices are cut and placed; servers make the first weights; then workers come in
//   training      Tick -> clock table -> policy -> Grant
//   draining      (after a first Ctrl-C) nothing new is granted; what was granted is settled
//   finishing     all is settled; the evaluator reads the final snapshot and writes the weights
//   over          Finish was said to all
//
// Invariants: a step is granted only within the bound of its clock's rules at that moment; every tick and grant may
// come twice; a worker that was declared gone never counts again under the same incarnation.
// It holds no weights, knows no model beyond the manifest, and no socket (protocol/core.h).
// Thread-safety: one owner.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/rule_change.h"
#include "protocol/core.h"
#include "scheduler/accounts.h"
#include "scheduler/clock_table.h"
#include "scheduler/commits.h"
#include "scheduler/data_plan.h"
#include "scheduler/early_stopping.h"
#include "scheduler/learning_rate.h"
#include "scheduler/lease_sizes.h"
#include "scheduler/leases.h"
#include "scheduler/member_exit.h"
#include "scheduler/members.h"
#include "scheduler/recent_waits.h"
#include "scheduler/rule_book.h"
#include "scheduler/snapshots.h"
#include "scheduler/wait_ledger.h"

namespace rubato::scheduler {

enum class Phase : std::uint8_t { kGathering, kInitializing, kTraining, kDraining, kFinishing, kOver };

class SchedulerCore final : public protocol::Core {
 public:
  SchedulerCore(const Job& job, protocol::Timing timing);

  [[nodiscard]] protocol::Identity identity() const override;
  void start(TimeNs now, protocol::Outbox& out) override;
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override { return phase_ == Phase::kOver ? kNever : next_sweep_; }

  // The launcher says so at once.
  void member_exited(TimeNs now, const MemberExit& exit, protocol::Outbox& out);
  // The first Ctrl-C.
  void drain(TimeNs now, protocol::Outbox& out);
  // The job ends now, as it stands: the second Ctrl-C, or nobody is left to work for.
  void abort(TimeNs now, Cause cause, const std::string& why, protocol::Outbox& out);

  // Other rules, as soon as nobody's grants are in the way: from one clock above the highest that was granted (rule
  // 16). Says what follows: {"rule_epoch", "mode", "rate", "clock", "to_go", "changed"}. `dry_run`: nothing does.
  // Errors: kRefused, with the reason.
  [[nodiscard]] Result<nlohmann::ordered_json> change_rules(TimeNs now, const RuleChange& change, bool dry_run,
                                                            protocol::Outbox& out);

  // Lines for metrics.jsonl since the last call.
  [[nodiscard]] std::vector<nlohmann::ordered_json> take_metrics() { return std::exchange(metrics_, {}); }
  // Everything that `status` shows (docs/status.md).
  [[nodiscard]] nlohmann::ordered_json status(TimeNs now) const;

  // Whether a process of the job may have this name; of a server, by the process's rank.
  [[nodiscard]] bool has_place_for(NodeId process) const;

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] int exit_code() const { return exit_code_; }
  // Frames refused below the core, on the scheduler's own ports; part of the final figures.
  void set_refused_frames(std::uint64_t count) { refused_frames_ = count; }

 private:
  struct DeadWorker {
    protocol::Seal seal;
    std::map<Clock, protocol::StepGrant> open;         // granted and not ticked
    std::map<std::uint32_t, protocol::Sealed> sealed;  // by shard
  };

  // The best evaluation on what is held out.
  struct Best {
    std::uint64_t epoch = 0;
    Clock clock = 0;
    double loss = 0.0, accuracy = 0.0;
  };

  struct EpochAccount {
    EpochPlan plan;  // of leased ones no clocks are known
    Account account;
    Clock announced = 0;  // of its evaluations, those that are, or that will not be
  };

  // scheduler_joining.cc: from the first registration to the first grant
  void on_register(TimeNs now, const protocol::Envelope& from, const protocol::Register& message,
                   protocol::Outbox& out);
  void on_ready(TimeNs now, Member& member, protocol::Outbox& out);
  [[nodiscard]] std::optional<Error> objection(NodeId node, const protocol::Register& message) const;
  [[nodiscard]] bool has_ended(NodeId node, std::uint32_t pid) const;
  void welcome(Member& member, protocol::Outbox& out);
  void advance_start(TimeNs now, protocol::Outbox& out);
  void begin_training(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] std::uint32_t shards() const;
  [[nodiscard]] bool is_expected(NodeId node) const;
  [[nodiscard]] std::vector<NodeId> expected() const;
  [[nodiscard]] std::vector<std::string> missing() const;

  // scheduler_stepping.cc: ticks and grants
  void on_tick(TimeNs now, Member& member, const protocol::Tick& tick, protocol::Outbox& out);
  static void note_step(TimeNs now, WorkerRecord& work, const protocol::Tick& tick);
  void settle_step(TimeNs now, WorkerRecord& work, const protocol::Tick& tick, std::uint64_t epoch, double rate);
  [[nodiscard]] Clock settled_clock() const;
  [[nodiscard]] Clock confirmed_clock(const Member& worker) const;
  void grant_all(TimeNs now, protocol::Outbox& out, std::optional<std::uint32_t> awaited = {});
  void grant(TimeNs now, Member& worker, protocol::Outbox& out);
  [[nodiscard]] std::optional<protocol::StepGrant> make_grant(TimeNs now, const Member& worker, protocol::Outbox& out);
  [[nodiscard]] bool reach_epoch_of(Clock clock, TimeNs now, protocol::Outbox& out);
  void announce_snapshots(TimeNs now, protocol::Outbox& out);
  void announce_snapshot(TimeNs now, const EpochPlan& plan, Clock clock, protocol::Outbox& out);
  void close_epochs(TimeNs now, protocol::Outbox& out);
  void close_first_epoch(TimeNs now);
  void send_grants(const Member& worker, protocol::Outbox& out) const;
  [[nodiscard]] std::vector<std::uint32_t> active_ranks() const;

  // scheduler_leasing.cc: epochs that are dealt out lease by lease
  [[nodiscard]] std::optional<protocol::BatchRange> take_lease(const Member& worker);
  void note_pace(std::uint32_t rank, const protocol::Tick& tick);
  void close_leased_epochs(TimeNs now, protocol::Outbox& out);
  void announce_leased_snapshots(TimeNs now, EpochAccount& entry, protocol::Outbox& out);

  // scheduler_committing.cc: updates from the steps that the scheduler names
  void commit_if_complete(TimeNs now, protocol::Outbox& out);
  void commit_rest(TimeNs now, protocol::Outbox& out);
  void commit(TimeNs now, protocol::Outbox& out);
  void overtake(Clock open);
  void on_committed(TimeNs now, std::uint32_t shard, const protocol::Committed& message, protocol::Outbox& out);
  void repeat_commits(TimeNs now, protocol::Outbox& out);

  // scheduler_ending.cc: fixed snapshots, their evaluation, and the end of the job
  void on_snapshot_taken(TimeNs now, std::uint32_t shard, const protocol::SnapshotTaken& message,
                         protocol::Outbox& out);
  void on_evaluation_done(TimeNs now, const protocol::EvaluationDone& message, protocol::Outbox& out);
  void evaluate_next(TimeNs now, protocol::Outbox& out);
  void say_evaluated(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done,
                     protocol::Outbox& out);
  void judge(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done, protocol::Outbox& out);
  void begin_draining(TimeNs now, const std::string& text, protocol::Outbox& out);
  void release_snapshots(protocol::Outbox& out);
  void finish_if_settled(TimeNs now, protocol::Outbox& out);
  void announce_final_snapshot(TimeNs now, protocol::Outbox& out);
  void enter_phase(Phase phase, TimeNs now);
  void end_job(TimeNs now, int code, const std::string& text, protocol::Outbox& out);

  // scheduler_losses.cc: members that die, fall silent or do not get on
  [[nodiscard]] bool may_come_yet(NodeId node, int code) const;
  void member_gone(TimeNs now, Member& member, MemberState state, const Departure& why, int code,
                   protocol::Outbox& out);
  void worker_gone(TimeNs now, Member& worker, MemberState state, const Departure& why, protocol::Outbox& out);
  void hand_over_leaves(Member& dead, Clock clock, protocol::Outbox& out);
  void on_sealed(TimeNs now, std::uint32_t shard, const protocol::Sealed& message, protocol::Outbox& out);
  void account_for(TimeNs now, std::uint32_t rank, const DeadWorker& dead);
  void on_alarm(TimeNs now, Member& shard, const protocol::Alarm& alarm, protocol::Outbox& out);
  void say_some(TimeNs now, const std::string& text, protocol::Outbox& out);
  void sweep(TimeNs now, protocol::Outbox& out);
  void check_start(TimeNs now, protocol::Outbox& out);
  void excuse_all(TimeNs now, TimeNs own_sleep);
  void check_silence(TimeNs now, protocol::Outbox& out);
  void check_evaluator(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] TimeNs evaluation_limit(bool final) const;
  void check_progress(TimeNs now, Member& worker, protocol::Outbox& out);
  void repeat_unanswered(TimeNs now, protocol::Outbox& out);

  // scheduler_returning.cc: workers that come back
  void admit_returning(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] std::optional<Clock> start_of(const Member& worker) const;
  void admit(TimeNs now, Member& worker, Clock start, protocol::Outbox& out);

  // scheduler_recovering.cc: servers that come back
  [[nodiscard]] std::string why_servers_stay_lost() const;
  void server_away(TimeNs now, NodeId first, const std::string& how, protocol::Outbox& out);
  void server_moved(const Member& server);
  void server_back(TimeNs now, const Member& server, protocol::Outbox& out);
  void repeat_route(Member& member, protocol::Outbox& out);
  void check_away(TimeNs now, protocol::Outbox& out);

  // scheduler_changing.cc: other rules in a running job
  [[nodiscard]] Status objection_to(const Mode& mode, Clock first) const;
  [[nodiscard]] Clock first_not_granted() const;
  void rules_come_into_force(TimeNs now, protocol::Outbox& out);
  [[nodiscard]] nlohmann::ordered_json rules_json(const Rules& rules) const;

  // scheduler_core.cc
  void on_heartbeat(TimeNs now, Member& member, const protocol::Heartbeat& beat, protocol::Outbox& out);
  void say(TimeNs now, protocol::Level level, const std::string& text, protocol::Outbox& out);
  void to_servers(const protocol::Body& body, protocol::Outbox& out);
  [[nodiscard]] protocol::Membership membership() const;
  [[nodiscard]] Member* find(NodeId node);

  // status.cc
  [[nodiscard]] std::vector<std::string> culprits(TimeNs now, const Member& member,
                                                  const protocol::Waiting& waiting) const;
  [[nodiscard]] nlohmann::ordered_json waiting_for(TimeNs now, const Member& member) const;

  // scheduler_metrics.cc: lines of metrics.jsonl
  [[nodiscard]] nlohmann::ordered_json metric(TimeNs now, const std::string& event) const;
  [[nodiscard]] std::uint64_t samples_settled() const;
  [[nodiscard]] std::uint64_t samples_total() const;
  [[nodiscard]] std::uint64_t updates_applied() const;
  void record_progress(TimeNs now, const protocol::Tick& tick, double rate);
  void record_epoch(TimeNs now, const EpochAccount& entry);
  void record_wait(TimeNs now, std::uint32_t waiting, std::uint32_t culprit, TimeNs from, TimeNs to);
  void record_barrier(TimeNs now);
  void record_evaluation(TimeNs now, const SnapshotEntry& entry, const protocol::EvaluationDone& done);
  void add_figures(const std::string& part, std::uint64_t epoch, const protocol::EvaluationFigures& figures,
                   nlohmann::ordered_json& line) const;
  void add_best(const protocol::EvaluationDone& done, nlohmann::ordered_json& line) const;
  [[nodiscard]] bool holds_out() const { return job_.evaluation.holdout > 0.0; }
  // What evaluations are made on while training goes on, as figures are named for it.
  [[nodiscard]] const char* evaluated_part() const {
    return holds_out() || job_.evaluation.part == "validation" ? "validation" : "test";
  }
  // They close in their order.
  [[nodiscard]] std::uint64_t epochs_closed() const {
    return train_losses_.empty() ? 0 : train_losses_.rbegin()->first + 1;
  }
  [[nodiscard]] double train_loss_as_of(std::uint64_t epoch) const;
  void add_loss(const std::string& part, std::uint64_t epoch, double value, nlohmann::ordered_json& line) const;
  void add_accuracy(std::uint64_t epoch, double value, nlohmann::ordered_json& line) const;
  void add_ages(const AgeHistogram& ages, nlohmann::ordered_json& line) const;
  void add_totals(const protocol::EvaluationDone& done, nlohmann::ordered_json& line) const;
  void add_workers(nlohmann::ordered_json& line) const;

  template <typename F>
  void each(Role role, F&& f) {
    for (auto& [node, member] : members_)
      if (node.role == role) f(member);
  }
  [[nodiscard]] double elapsed_s(TimeNs now) const { return seconds(now - started_); }

  const Job job_;
  const protocol::Timing timing_;
  const std::string job_hash_;
  const Mode mode_;  // as the job began; how pushes become updates never changes
  RuleBook rules_;

  Phase phase_ = Phase::kGathering;
  std::size_t workers_ready_ = 0;  // before training
  int exit_code_ = 0;
  protocol::Finish finish_;  // said to all at the end
  TimeNs started_ = 0, phase_since_ = 0, training_since_ = 0, next_sweep_ = 0;
  std::uint32_t generation_ = 0;
  std::uint64_t refused_frames_ = 0;

  std::map<NodeId, Member> members_;
  protocol::Manifest manifest_;
  std::string manifest_hash_, data_fingerprint_;
  protocol::RoutingTable routing_;

  ClockTable clocks_;
  std::optional<DataPlan> data_;
  std::optional<Leases> leases_;  // where there are any: instead of what data_ plans
  std::optional<LeaseSizes> lease_sizes_;
  std::optional<LearningRate> rate_;
  std::optional<Snapshots> snapshots_;
  std::optional<Commits> commits_;  // in modes whose updates are committed
  // Workers that wait for a grant, by the step they wait for. (Only those need a look when the least
  // clock rises, so a tick costs O(log N) a grant given.)
  std::set<std::pair<Clock, std::uint32_t>> blocked_;
  // bsp: who computes which nodes of the open clock.
  Clock leaves_clock_ = kNoClock;
  std::map<std::uint32_t, protocol::LeafNodes> leaves_of_;

  std::map<std::uint64_t, EpochAccount> epochs_;  // open ones
  Account total_;
  Account progress_;  // since the last `progress` line
  std::uint64_t progress_every_ = 0;
  WaitLedger waits_;
  RecentWaits recent_waits_;
  std::map<std::uint64_t, double> train_losses_;  // of epochs that are closed
  std::uint64_t updates_ = 0;                     // committed, with samples
  std::uint64_t samples_dropped_ = 0, torn_steps_ = 0, nonfinite_ = 0;
  nlohmann::ordered_json first_nonfinite_;  // who, when, what; null where there was none
  std::map<std::uint32_t, DeadWorker> dead_;
  std::map<std::uint32_t, Clock> settled_of_dead_;  // the highest clock of which any shard settled a push of theirs
  std::set<std::uint32_t> returning_;               // registered again, and not counted yet
  std::map<std::uint32_t, TimeNs> away_;            // shards whose server is to come back, since when
  std::map<NodeId, std::uint32_t> ended_;           // by process: the pid of the one that ended last, where it was said
  Throughput throughput_;
  protocol::EvaluationDone last_evaluation_;
  std::optional<std::size_t> last_evaluated_machine_;  // of a dbn (base/pretraining.h)
  std::optional<Best> best_;
  EarlyStopping early_stopping_;
  std::string stopped_early_;  // why, if it did
  TimeNs longest_evaluation_ = 0;
  std::vector<nlohmann::ordered_json> metrics_;

  struct Event {
    std::uint64_t id;
    double time_s;
    protocol::Level level;
    std::string text;
  };
  std::vector<Event> events_;  // the newest kEventsKept
  std::uint64_t event_ids_ = 0;
  static constexpr std::size_t kEventsKept = 100;
  static constexpr std::uint64_t kAlarmsSaid = 8;
};

}  // namespace rubato::scheduler
