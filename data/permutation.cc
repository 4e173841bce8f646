#include "data/permutation.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/rng.h"

namespace rubato::data {

std::vector<std::uint64_t> permutation(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size) {
  std::vector<std::uint64_t> ids(size);
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  RandomStream random(stream_key(seed, "permutation", epoch));
  for (std::uint64_t last = size; last > 1; --last) std::swap(ids[last - 1], ids[random.below(last)]);
  return ids;
}

std::span<const std::uint64_t> EpochOrder::of(std::uint64_t epoch) {
  const std::uint64_t key = kind_ == Kind::kShuffled ? epoch : 0;
  auto entry = std::ranges::find_if(entries_, [&](const Entry& e) { return e.last_use > 0 && e.epoch == key; });
  if (entry == entries_.end()) {
    entry = std::ranges::min_element(entries_, {}, &Entry::last_use);
    entry->epoch = key;
    if (kind_ == Kind::kShuffled) {
      entry->ids = permutation(seed_, epoch, size_);
    } else {
      entry->ids.resize(size_);
      std::iota(entry->ids.begin(), entry->ids.end(), std::uint64_t{0});
    }
  }
  entry->last_use = ++uses_;
  return entry->ids;
}

}  // namespace rubato::data
