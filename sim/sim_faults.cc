// What goes wrong in a simulated job, and what the launcher does about it: it sees children exit, tells the
// scheduler, and starts an evaluator again. And what people do: they drain it, and set other rules.
#include <algorithm>

#include "sim/sim_job.h"

namespace rubato::sim {

using protocol::Outbox;

namespace {

constexpr TimeNs kNotice = kMillisecond;  // until a child is seen to be gone
constexpr TimeNs kRestart = 50 * kMillisecond;
constexpr int kSigkill = 9;

}  // namespace

void SimJob::schedule_faults() {
  faults_left_ = options_.faults.size();
  for (const Fault& fault : options_.faults) {
    if (fault.at == 0)
      happen(fault);
    else
      network_.schedule(fault.at, [this, &fault] { happen(fault); });
  }
}

// A change that the scheduler does not make is a warning: the run goes on under the rules that it has.
void SimJob::schedule_changes() {
  for (const TimedRuleChange& timed : options_.changes)
    network_.schedule(timed.at, [this, &timed] {
      enter_scheduler([&](TimeNs now, Outbox& out) {
        const auto made = scheduler_->change_rules(now, timed.change, false, out);
        if (!made.ok()) out.note(protocol::Level::kWarning, "the rules are not changed: " + made.error().message);
      });
    });
}

void SimJob::happen(const Fault& fault) {
  --faults_left_;
  Member& member = find(fault.member);
  if (fault.kind == Fault::Kind::kReturn) return start_again(member);
  if (!member.process->alive()) return;
  switch (fault.kind) {
    case Fault::Kind::kKill:
      exited(member, -kSigkill);
      break;
    case Fault::Kind::kCrash:
      exited(member, -kSigkill, true);
      ++faults_left_;
      network_.schedule(fault.end == kNever ? network_.now() + kRestart : fault.end, [this, &member] {
        --faults_left_;
        start_again(member);
      });
      break;
    case Fault::Kind::kPause:
      member.process->pause();
      if (fault.end == kNever) break;
      ++faults_left_;
      network_.schedule(fault.end, [this, &member] { go_on(member); });
      break;
    case Fault::Kind::kCut:
      network_.cut(fault.member, fault.other, fault.at, fault.end);
      network_.cut(fault.other, fault.member, fault.at, fault.end);
      break;
    case Fault::Kind::kDrain:
      drain();
      break;
    case Fault::Kind::kReturn:  // above: of one that is dead
      break;
  }
}

void SimJob::go_on(Member& member) {
  --faults_left_;
  member.process->resume();
}

void SimJob::drain() {
  enter_scheduler([&](TimeNs now, Outbox& out) { scheduler_->drain(now, out); });
}

SimJob::Member& SimJob::find(const std::string& host) {
  const auto found = std::find_if(members_.rbegin(), members_.rend(),
                                  [&](const auto& member) { return member->process->host() == host; });
  RUBATO_CHECK(found != members_.rend(), "no host \"{}\"", host);
  return **found;
}

void SimJob::enter_scheduler(const std::function<void(TimeNs, Outbox&)>& call) {
  Member& member = *members_.front();
  if (member.process->alive()) member.process->node().enter(*scheduler_, call);
}

// The process is gone: by itself, with a code of 0 or more, or killed.
void SimJob::exited(Member& member, int code, bool again) {
  member.process->kill();
  if (!options_.launcher) return;
  network_.schedule(network_.now() + kNotice, [this, &member, code, again] {
    NodeId process = member.nodes.front();
    if (process.role == Role::kServer) process.rank /= static_cast<std::uint32_t>(member.nodes.size());
    enter_scheduler([&](TimeNs now, Outbox& out) {
      scheduler_->member_exited(now, {process, code, again, member.pid}, out);
    });
  });
  if (may_restart(member.nodes.front(), code))
    network_.schedule(network_.now() + kRestart, [this, &member] { start_again(member); });
}

// Evaluators always, workers as often as the job says; who says why it ends would end the same way again.
bool SimJob::may_restart(NodeId node, int code) {
  if (node.role == Role::kEvaluator) return code < 0;
  const bool again = code < 0 || code == static_cast<int>(Cause::kEvicted);
  return node.role == Role::kWorker && again && restarts_[node.rank]++ < job_.cluster.restarts;
}

// A new process of the same member, if the old one is dead and there still is a job.
void SimJob::start_again(const Member& member) {
  const NodeId self = member.nodes.front();
  if (find(self.name()).process->alive() || !members_.front()->process->alive()) return;
  if (self.role == Role::kWorker)
    add_worker(self.rank);
  else if (self.role == Role::kServer)
    add_server(self.rank / static_cast<std::uint32_t>(member.nodes.size()),
               static_cast<std::uint32_t>(member.nodes.size()));
  else
    add_evaluator();
  connect_and_start(*members_.back());
}

}  // namespace rubato::sim
