#include "server/reads.h"

#include <algorithm>
#include <utility>

namespace rubato::server {

const Read* Reads::give(std::uint32_t worker, Incarnation incarnation, Clock clock, Clock floor, Read now) {
  Life& life = lives_[worker];
  if (life.incarnation != incarnation) life = {incarnation, {}};
  const auto [first, last] = life.reads.equal_range(clock);
  const auto kept = std::find_if(first, last, [&](const auto& entry) { return entry.second.floor >= floor; });
  if (kept != last) return &kept->second;
  if (life.reads.size() >= kOfWorkerMax) return nullptr;
  return &life.reads.emplace(clock, std::move(now))->second;
}

const Read* Reads::find(std::uint32_t worker, Clock clock, Version version) const {
  const auto life = lives_.find(worker);
  if (life == lives_.end()) return nullptr;
  const auto [first, last] = life->second.reads.equal_range(clock);
  const auto read = std::find_if(first, last, [&](const auto& entry) { return entry.second.version == version; });
  return read == last ? nullptr : &read->second;
}

void Reads::settle(std::uint32_t worker, Clock clock) {
  if (const auto life = lives_.find(worker); life != lives_.end())
    life->second.reads.erase(life->second.reads.begin(), life->second.reads.upper_bound(clock));
}

}  // namespace rubato::server
