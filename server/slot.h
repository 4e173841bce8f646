// Slots: where the weights of slices live.
//
// A slot holds one version of one slice: the weights, and the planes of state beside them (the rule's, the mean square
// of an adaptive compensation, and the moving average of the weights). What else is true of the newest version stands
// in the shard's table (server/version_table.h), with the places of these. An update reads the slice's current slot,
// writes a free one, and publishes it there. So a version is whole or not there at all, and whoever reads one keeps it
// for as long as it likes: holding a SlotRef, or a Payload made by pinned(), keeps the slot out of the pool.
//
// Readers read weights alone, and only the newest version's state is ever read again. So state lies in blocks of its
// own, which go from slot to slot: once a version is followed by the next, drop_state() gives its block back, and who
// still reads its weights keeps no more than those.
//
// A pool hands out the slot that was given back last: the one most likely to be still in the cache, which
// makes writing out of place cost the memory traffic of writing in place.
//
// Thread-safety: a pool and the slots that it hands out belong to the shard's thread. The last reference
// to a slot may be dropped on any thread, also after the shard is gone (a transport drops a Payload once
// it is sent); the bytes of a slot that others refer to never change.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/block_pool.h"
#include "base/bytes.h"
#include "base/memory.h"
#include "base/result.h"
#include "kernels/rule_config.h"
#include "kernels/update_device.h"
#include "server/held_root.h"

namespace rubato::server {

class SlotPool;

class Slot {
 public:
  [[nodiscard]] kernels::SlotView view() { return view_; }
  [[nodiscard]] kernels::ConstSlotView view() const { return view_; }

  // The same as in those blocks, which lie somewhere else; of the sizes that the pool's shape says.
  void copy(std::span<const float> weights, std::span<const float> state);
  // Where the blocks lie, of memory that is held (base/memory.h).
  [[nodiscard]] std::uint64_t weights_place() const { return weights_place_; }
  [[nodiscard]] std::uint64_t state_place() const { return place_of(state_.get(), held_); }

 private:
  friend class SlotPool;
  Slot(std::size_t elements, Memory& memory);

  std::shared_ptr<float[]> weights_;
  std::shared_ptr<float[]> state_;  // the planes end to end; null: none now, or the rule has none
  kernels::SlotView view_;
  std::span<const std::byte> held_;
  std::uint64_t weights_place_ = 0;
  Slot* next_free_ = nullptr;
  std::size_t left_at_ = 0;  // the pool's traffic when an update last read it
};

using SlotRef = std::shared_ptr<Slot>;

// What a slot takes of the host's memory, of which its state may go to another one.
[[nodiscard]] std::size_t weights_bytes(const kernels::SliceShape& shape);
[[nodiscard]] std::size_t state_bytes(const kernels::SliceShape& shape);
[[nodiscard]] inline std::size_t slot_bytes(const kernels::SliceShape& shape) {
  return weights_bytes(shape) + state_bytes(shape);
}

// All slots for slices of one size.
//
// Bound: with S slices in the pool and R members that read, `pins_max` = S (R + 2). Below it, answers to
// pulls may pin slots; from there on (`crowded`) they have to be copies. Every slot in use beyond pins_max
// was taken after that, so no answer holds it: it is a slice's current one, held by a snapshot, or being
// written. Hence there are never more than pins_max + S (snapshots + 1) + 1 slots, however slowly members
// read, and an update always finds one. What a slice keeps of its own accord (server/reads.h) is more besides.
class SlotPool : public std::enable_shared_from_this<SlotPool> {
 public:
  struct Bounds {
    std::size_t slices = 0, readers = 0, snapshots = 0;
    std::size_t kept = 0;  // versions that a slice keeps for itself, at most
    [[nodiscard]] std::size_t pins_max() const { return slices * (readers + 2); }
    [[nodiscard]] std::size_t slots_max() const { return pins_max() + slices * (snapshots + kept + 1) + 1; }
    // What there is while nobody reads: one slot each, and one to write. Of blocks of state there are never more.
    [[nodiscard]] std::size_t slots_at_first() const { return slices + 1; }
  };

  // Allocates what the slices need while nobody reads. Without a `memory` it is this process's alone. Errors: kMemory.
  [[nodiscard]] static Result<std::shared_ptr<SlotPool>> create(kernels::SliceShape shape, Bounds bounds,
                                                                std::shared_ptr<Memory> memory = nullptr);

  // The warmest free slot, with whatever was last written there. Throws std::bad_alloc where the pool has
  // to grow and cannot.
  [[nodiscard]] SlotRef take();

  // Counts an update that reads `current` and writes `next`. Returns how many bytes the updates of this pool have read
  // and written since one of them read `next`: from that follows whether it is still in the cache. (Its state was never
  // left alone for longer: that is the block of whichever version was followed last.)
  std::size_t count_update(Slot& current, const Slot& next);

  // Of a slot whose state nobody will read again: the version was followed by another, or never published.
  void drop_state(Slot& slot);

  [[nodiscard]] bool crowded() const { return in_use_.load(std::memory_order_relaxed) >= bounds_.pins_max(); }
  [[nodiscard]] std::size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t allocated() const { return slots_.size(); }
  [[nodiscard]] std::size_t states_allocated() const { return states_; }
  [[nodiscard]] const Bounds& bounds() const { return bounds_; }

 private:
  SlotPool(kernels::SliceShape shape, Bounds bounds, std::shared_ptr<Memory> memory);
  Slot* grow();
  [[nodiscard]] std::shared_ptr<float[]> new_state();
  void give_state(Slot& slot);
  void give_back(Slot* slot);  // on any thread
  Slot* pop();

  kernels::SliceShape shape_;
  Bounds bounds_;
  std::shared_ptr<Memory> memory_;
  // What a count of references takes, with who gives the slot back.
  static constexpr std::size_t kCountBytes = 96;

  std::vector<std::unique_ptr<Slot>> slots_;
  BlockPool counts_{kCountBytes};
  std::vector<std::shared_ptr<float[]>> free_states_;  // the warmest last
  std::size_t states_ = 0;
  // A stack that any thread pushes to and only the shard pops from: with a single popper the head cannot
  // be taken and put back between pop's load and its exchange, so there is no ABA problem.
  std::atomic<Slot*> free_ = nullptr;
  std::size_t traffic_ = 0;  // bytes, of all updates
  std::atomic<std::size_t> in_use_ = 0;
};

[[nodiscard]] inline std::span<const float> weights_of(const SlotRef& slot) { return slot->view().weights; }
// The same, as a payload that keeps the slot.
[[nodiscard]] Payload pinned(const SlotRef& slot);

}  // namespace rubato::server
