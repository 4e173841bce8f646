#include "server/held_root.h"

#include <fmt/format.h>

#include <new>

#include "base/check.h"
#include "base/memory.h"

namespace rubato::server {

HeldRoot& HeldRoot::lay(std::span<std::byte> held, std::uint32_t first_shard, std::uint32_t shards) {
  RUBATO_CHECK(held.size() >= kBytes && shards <= kShardsMax, "{} bytes for {} shards", held.size(), shards);
  auto* root = new (held.data()) HeldRoot;
  root->first_shard = first_shard;
  root->shards = shards;
  root->magic.store(kMagic, std::memory_order_release);
  return *root;
}

HeldRoot& HeldRoot::of(std::span<std::byte> held) { return *std::launder(reinterpret_cast<HeldRoot*>(held.data())); }

void HeldRoot::enter(std::uint32_t shard, std::uint64_t table) {
  RUBATO_CHECK(shard >= first_shard && shard - first_shard < shards, "shard {}", shard);
  tables[shard - first_shard].store(table, std::memory_order_release);
  entered.fetch_add(1, std::memory_order_release);
}

Result<std::uint64_t> HeldRoot::find(std::span<const std::byte> remains, std::uint32_t shard) {
  if (remains.size() < kBytes) return std::uint64_t{0};  // not even begun
  const auto& root = *reinterpret_cast<const HeldRoot*>(remains.data());
  const std::uint64_t magic = root.magic.load(std::memory_order_acquire);
  if (magic == 0) return std::uint64_t{0};
  if (magic != kMagic || root.layout != kLayout)
    return Error{Cause::kMalformed,
                 fmt::format("the memory of the server before this one is of another kind (layout {}, this program has "
                             "{}): was Rubato built again meanwhile?",
                             root.layout, kLayout)};
  if (root.shards > kShardsMax || shard < root.first_shard || shard - root.first_shard >= root.shards)
    return Error{Cause::kMalformed, fmt::format("the memory of the server before this one is of shards {} to {}, and "
                                                "not of shard {}",
                                                root.first_shard, root.first_shard + root.shards - 1, shard)};
  return root.tables[shard - root.first_shard].load(std::memory_order_acquire);
}

std::span<const float> floats_at(std::span<const std::byte> remains, std::uint64_t place, std::size_t count) {
  const std::size_t bytes = count * sizeof(float);
  if (place < HeldRoot::kBytes || place % Memory::kAlignment != 0) return {};
  if (place > remains.size() || bytes > remains.size() - place) return {};
  return {reinterpret_cast<const float*>(remains.data() + place), count};
}

}  // namespace rubato::server
