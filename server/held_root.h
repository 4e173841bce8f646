// How memory that outlives a server begins: which shards it is of, and where the table of each one lies
// (server/version_table.h). Somebody holds that memory for the server that comes after this one, which is told by it
// what it has inherited. Places are offsets from the beginning of the memory; 0 is none.
//
// A shard enters its table when all of its slices are in it, and never takes it out. So of several memories, each
// written by another life of the same server, a shard inherits from the newest one that has a table of it: an older
// one is needed no longer, and a life that ended before it had come so far has changed nothing.
//
// Thread-safety: shards enter their own tables, in whatever threads they live. Read once the writer is dead.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace rubato::server {

// Memory that an earlier life of this server has written, and nobody writes any more.
struct Remains {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

struct HeldRoot {
  static constexpr std::uint64_t kMagic = 0x444C'4548'3054'4252;  // "RBT0HELD"
  static constexpr std::uint32_t kLayout = 1;  // of this, and of all that it leads to: raised with every change
  static constexpr std::size_t kShardsMax = 256;
  static constexpr std::size_t kBytes = 4096;  // before the first block

  // scripts/rubato_cli/held_memory.py reads the first three.
  std::atomic<std::uint64_t> magic = 0;  // written last: whoever is killed before that has left nothing
  std::uint32_t shards = 0;
  std::atomic<std::uint32_t> entered = 0;  // tables; all of them: nothing older is needed any more
  std::uint32_t layout = kLayout;
  std::uint32_t first_shard = 0;
  std::atomic<std::uint64_t> tables[kShardsMax] = {};

  // At the beginning of memory that is zeroed, and large enough.
  static HeldRoot& lay(std::span<std::byte> held, std::uint32_t first_shard, std::uint32_t shards);
  // What lay() made there.
  static HeldRoot& of(std::span<std::byte> held);
  void enter(std::uint32_t shard, std::uint64_t table);

  // Where the table of a shard lies; 0: it had none yet. Errors: kMalformed, if this is of something else.
  [[nodiscard]] static Result<std::uint64_t> find(std::span<const std::byte> remains, std::uint32_t shard);
};
static_assert(sizeof(HeldRoot) <= HeldRoot::kBytes && std::atomic<std::uint64_t>::is_always_lock_free);

// The place of a block; 0 where it is not in this memory.
[[nodiscard]] inline std::uint64_t place_of(const void* block, std::span<const std::byte> held) {
  const auto at = reinterpret_cast<std::uintptr_t>(block), begin = reinterpret_cast<std::uintptr_t>(held.data());
  return at >= begin && at - begin < held.size() ? at - begin : 0;
}
// So many floats at a place; none where there are not so many, or they lie as no block does.
[[nodiscard]] std::span<const float> floats_at(std::span<const std::byte> remains, std::uint64_t place,
                                               std::size_t count);

}  // namespace rubato::server
