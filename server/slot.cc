#include "server/slot.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/out_of_memory.h"

namespace rubato::server {
namespace {

std::size_t padded(std::size_t elements) {
  constexpr std::size_t kFloats = Memory::kAlignment / sizeof(float);
  return (elements + kFloats - 1) / kFloats * kFloats;
}

}  // namespace

Slot::Slot(std::size_t elements, Memory& memory)
    : weights_(memory.floats(padded(elements))), held_(memory.held()), weights_place_(place_of(weights_.get(), held_)) {
  view_.weights = {weights_.get(), elements};
}

void Slot::copy(std::span<const float> weights, std::span<const float> state) {
  std::ranges::copy(weights, weights_.get());
  if (!state.empty()) std::ranges::copy(state, state_.get());
}

std::size_t weights_bytes(const kernels::SliceShape& shape) { return padded(shape.elements) * sizeof(float); }

std::size_t state_bytes(const kernels::SliceShape& shape) { return weights_bytes(shape) * shape.state_planes(); }

SlotPool::SlotPool(kernels::SliceShape shape, Bounds bounds, std::shared_ptr<Memory> memory)
    : shape_(shape), bounds_(bounds), memory_(std::move(memory)) {
  RUBATO_CHECK(shape.planes <= kernels::kStatePlanesMax, "{} state planes", shape.planes);
  free_states_.reserve(bounds.slots_at_first());
}

Result<std::shared_ptr<SlotPool>> SlotPool::create(kernels::SliceShape shape, Bounds bounds,
                                                   std::shared_ptr<Memory> memory) {
  if (memory == nullptr) memory = std::make_shared<PrivateMemory>();
  try {
    std::shared_ptr<SlotPool> pool(new SlotPool(shape, bounds, std::move(memory)));
    std::vector<SlotRef> first;
    for (std::size_t i = 0; i < bounds.slots_at_first(); ++i) first.push_back(pool->take());
    for (const SlotRef& slot : first) pool->drop_state(*slot);
    return pool;
  } catch (const std::bad_alloc&) {
    return out_of_memory(bounds.slots_at_first() * slot_bytes(shape),
                         fmt::format("{} slices of {} elements with {} planes of state", bounds.slices, shape.elements,
                                     shape.state_planes()),
                         "use more servers, on more machines");
  }
}

SlotRef SlotPool::take() {
  Slot* slot = pop();
  if (slot == nullptr) slot = grow();
  if (slot->state_ == nullptr && state_bytes(shape_) > 0) give_state(*slot);
  in_use_.fetch_add(1, std::memory_order_relaxed);
  // Whoever has the slot keeps the pool.
  return counts_.share(slot, [pool = shared_from_this()](Slot* done) { pool->give_back(done); });
}

std::size_t SlotPool::count_update(Slot& current, const Slot& next) {
  const std::size_t since = traffic_ - next.left_at_;
  current.left_at_ = traffic_;  // its first bytes: those that the next update writes first
  traffic_ += 2 * slot_bytes(shape_) + shape_.elements * sizeof(float);
  return since;
}

Slot* SlotPool::grow() {
  RUBATO_CHECK(slots_.size() < bounds_.slots_max(), "{} slots for {} slices, {} readers", slots_.size(), bounds_.slices,
               bounds_.readers);
  slots_.push_back(std::unique_ptr<Slot>(new Slot(shape_.elements, *memory_)));
  return slots_.back().get();
}

std::shared_ptr<float[]> SlotPool::new_state() {
  ++states_;
  return memory_->floats(state_bytes(shape_) / sizeof(float));
}

void SlotPool::give_state(Slot& slot) {
  if (free_states_.empty()) free_states_.push_back(new_state());
  slot.state_ = std::move(free_states_.back());
  free_states_.pop_back();
  const std::size_t stride = padded(shape_.elements);
  float* at = slot.state_.get();
  const auto next_plane = [&] { return std::span(std::exchange(at, at + stride), shape_.elements); };
  for (std::size_t plane = 0; plane < shape_.planes; ++plane) slot.view_.state[plane] = next_plane();
  if (shape_.mean_square) slot.view_.mean_square = next_plane();
  if (shape_.average) slot.view_.average = next_plane();
}

void SlotPool::drop_state(Slot& slot) {
  if (slot.state_ == nullptr) return;
  free_states_.push_back(std::move(slot.state_));
  slot.view_.state = {};
  slot.view_.mean_square = {};
  slot.view_.average = {};
}

void SlotPool::give_back(Slot* slot) {
  slot->next_free_ = free_.load(std::memory_order_relaxed);
  while (!free_.compare_exchange_weak(slot->next_free_, slot, std::memory_order_release, std::memory_order_relaxed)) {
  }
  // Only now: a slot that is not counted can be taken.
  in_use_.fetch_sub(1, std::memory_order_relaxed);
}

Slot* SlotPool::pop() {
  Slot* head = free_.load(std::memory_order_acquire);
  while (head != nullptr && !free_.compare_exchange_weak(head, head->next_free_, std::memory_order_acquire)) {
  }
  return head;
}

Payload pinned(const SlotRef& slot) { return {slot, std::as_bytes(weights_of(slot))}; }

}  // namespace rubato::server
