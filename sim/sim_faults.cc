// What goes wrong in a simulated job, and what the launcher does about it: it sees children exit, tells the
// scheduler, and starts an evaluator again.
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

void SimJob::happen(const Fault& fault) {
  --faults_left_;
  Member& member = find(fault.member);
  if (!member.process->alive()) return;
  switch (fault.kind) {
    case Fault::Kind::kKill:
      exited(member, -kSigkill);
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
void SimJob::exited(Member& member, int code) {
  member.process->kill();
  if (!options_.launcher) return;
  network_.schedule(network_.now() + kNotice, [this, &member, code] {
    NodeId process = member.nodes.front();
    if (process.role == Role::kServer) process.rank /= static_cast<std::uint32_t>(member.nodes.size());
    enter_scheduler([&](TimeNs now, Outbox& out) { scheduler_->member_exited(now, process, code, out); });
  });
  if (member.nodes.front().role == Role::kEvaluator && code < 0)
    network_.schedule(network_.now() + kRestart, [this] {
      if (!members_.front()->process->alive()) return;
      add_evaluator();
      connect_and_start(*members_.back());
    });
}

}  // namespace rubato::sim
