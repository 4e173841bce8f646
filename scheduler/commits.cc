#include "scheduler/commits.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace rubato::scheduler {

std::size_t Commits::needed() const {
  const std::size_t workers = done_.size();
  const auto spare = static_cast<std::size_t>(mode_.backups), splits = static_cast<std::size_t>(mode_.splits);
  if (mode_.kind == Mode::Kind::kBackup) return workers > spare ? workers - spare : 1;
  return std::max<std::size_t>(workers / splits, 1);
}

void Commits::gone(std::uint32_t worker) {
  done_.remove(worker);
  std::erase_if(open_, [&](const AcceptedStep& step) { return step.worker == worker; });
}

Commits::Made Commits::make(double rate, TimeNs now) {
  Made made{{++made_, {}, rate, 0}, std::exchange(open_, {})};
  std::ranges::sort(made.steps, {}, [](const AcceptedStep& step) { return std::tuple(step.worker, step.tick.clock); });
  for (const AcceptedStep& step : made.steps) {
    made.message.contributors.push_back({step.worker, step.tick.clock});
    done_.jump(step.worker, step.tick.clock + 1);
  }
  if (mode_.kind == Mode::Kind::kBackup) {  // nobody's step of this clock is waited for any more
    for (const auto& [worker, clock] : std::map(done_.clocks())) done_.jump(worker, done_.max());
  }
  made.message.floor = floor_said_ = floor();
  unapplied_.push_back({made.message, now});
  return made;
}

void Commits::applied(std::uint32_t shard, std::uint64_t number) {
  applied_[shard] = std::max(applied_[shard], std::min(number, made_));
  const std::uint64_t everywhere = std::ranges::min(applied_);
  while (!unapplied_.empty() && unapplied_.front().message.number <= everywhere) unapplied_.pop_front();
}

std::vector<protocol::Commit> Commits::unanswered(std::uint32_t shard, TimeNs now, TimeNs wait) const {
  std::vector<protocol::Commit> again;
  for (const Sent& sent : unapplied_)
    if (sent.message.number > applied_[shard] && now - sent.at >= wait) again.push_back(sent.message);
  return again;
}

void Commits::said_again(TimeNs now, TimeNs wait) {
  for (Sent& sent : unapplied_)
    if (now - sent.at >= wait) sent.at = now;
}

}  // namespace rubato::scheduler
