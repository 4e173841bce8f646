// How a slice accepts pushes and applies commits: updates from the pushes that the scheduler names.
#include <algorithm>
#include <span>

#include "kernels/cpu/apply_rule.h"
#include "server/slice.h"

namespace rubato::server {

using protocol::Commit;
using protocol::Contributor;
using protocol::Envelope;
using protocol::Fate;
using protocol::Outbox;
using protocol::Push;
using protocol::PushAck;
using protocol::TraceKind;

// A push is settled when it is accepted: its worker may go on. Whether it is in an update is for a commit to
// say, the same for all slices; one that comes when its clock is closed will be in none.
void Slice::push_committed(const Envelope& envelope, const Push& push, Outbox& out) {
  const std::uint32_t worker = envelope.from.rank;
  if (const Mark* mark = cell_.mark(worker); mark != nullptr && push.clock <= mark->clock)
    return answer_repeat(envelope, push, *mark, out);
  if (const std::string why = complaint(worker, push); !why.empty()) return state_.refuse(envelope, why, out);
  if (accepted_.size() >= state_.accepted_max) return state_.refuse(envelope, "too many pushes wait for a commit", out);

  PushAck ack{.slice = id_, .clock = push.clock, .node = push.node, .fate = Fate::kAccepted, .floor = floor()};
  if (push.clock < floor()) {
    ack.fate = Fate::kDropped;
    ++state_.counters.dropped;
  } else if (is_empty(push)) {
    ack.fate = Fate::kEmpty;
  } else if (const auto element = kernels::cpu::first_nonfinite(push.gradient.floats())) {
    ack.fate = Fate::kNonFinite;
    alarm(worker, push.clock, *element, out);
  }
  if (ack.fate != Fate::kDropped) {
    Accepted& entry = accepted_[{worker, push.clock}];
    entry = {ack.fate, push.samples, push.version, {}, {}};
    if (ack.fate == Fate::kAccepted) entry.gradient = push.gradient;
    if (const Read* read = reads_.find(worker, push.clock, push.version);
        ack.fate == Fate::kAccepted && read != nullptr)
      entry.read = read->slot;
  }
  reads_.settle(worker, push.clock);
  cell_.publish(cell_.version(), worker, ack);
  count_settled({worker, push.samples, push.rule_epoch, out.hash(push.gradient.bytes())}, ack, out);
  out.reply(envelope, ack);
}

bool Slice::has_accepted(const Commit& commit) const {
  return std::ranges::all_of(commit.contributors,
                             [&](const Contributor& contributor) { return accepted_.contains(contributor); });
}

void Slice::apply(const Commit& commit, Outbox& out) {
  std::vector<Accepted> parts;
  for (const Contributor& contributor : commit.contributors) {
    const auto part = accepted_.find(contributor);
    out.trace({.kind = TraceKind::kContribution,
               .worker = contributor.rank,
               .clock = contributor.clock,
               .slice = id_,
               .samples = part->second.samples,
               .age = version() - part->second.echoed,
               .fate = static_cast<std::uint32_t>(part->second.fate),
               .number = commit.number});
    if (part->second.fate == Fate::kAccepted) parts.push_back(std::move(part->second));
    accepted_.erase(part);
  }
  SlotRef next = current_;
  if (!parts.empty()) {
    Result<SlotRef> made = updated_by(commit, parts, out);
    if (!made.ok()) return state_.fail(made.error());
    next = std::move(*made);
  }
  const Fate fate = next == current_ ? Fate::kEmpty : Fate::kApplied;
  VersionRecord record = record_of(next);
  record.version = commit.number;
  record.settled = commit.floor;
  cell_.publish(record);
  made_current(std::move(next));
  trace_apply(commit.floor, fate, commit.rate, out);
  drop_late(out);
  serve_waiting(out);
}

// From the parts in the commit's order, whoever came first.
Result<SlotRef> Slice::updated_by(const Commit& commit, const std::vector<Accepted>& parts, Outbox& out) {
  std::vector<kernels::SumTerm> gradients;
  std::vector<Contribution> contributions;
  gradients.reserve(parts.size());
  contributions.reserve(parts.size());
  for (const Accepted& part : parts) {
    gradients.push_back({part.gradient.floats()});
    contributions.push_back({{&gradients.back(), 1},
                             part.samples,
                             part.samples,
                             version() - part.echoed,
                             part.read == nullptr ? std::span<const float>() : weights_of(part.read)});
  }
  RUBATO_ASSIGN(SlotRef next, updated(contributions, commit.rate));
  // Finite gradients may have an infinite sum. Whose fault that is nobody can say; the last one is named.
  if (next == current_) {
    const Contributor& last = commit.contributors.back();
    alarm(last.rank, last.clock, protocol::Alarm::kNoElement, out);
  }
  return next;
}

// What was accepted for a clock that is closed now, and is in no commit.
void Slice::drop_late(Outbox& out) {
  std::erase_if(accepted_, [&](const auto& entry) {
    const Contributor& late = entry.first;
    if (late.clock >= floor()) return false;
    ++state_.counters.dropped;
    out.trace({.kind = TraceKind::kDrop, .worker = late.rank, .clock = late.clock, .slice = id_});
    return true;
  });
}

}  // namespace rubato::server
