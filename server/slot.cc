#include "server/slot.h"

#include <algorithm>
#include <new>

namespace rubato::server {
namespace {

std::size_t padded(std::size_t elements) {
  constexpr std::size_t kFloats = Memory::kAlignment / sizeof(float);
  return (elements + kFloats - 1) / kFloats * kFloats;
}

}  // namespace

Slot::Slot(std::size_t elements, std::size_t planes, bool mean_square, Memory& memory) {
  RUBATO_CHECK(planes <= kernels::kStatePlanesMax, "{} state planes", planes);
  const std::size_t stride = padded(elements), count = stride * (1 + planes + (mean_square ? 1 : 0));
  values_ = memory.floats(count);
  view_.weights = {values_.get(), elements};
  for (std::size_t plane = 0; plane < planes; ++plane) {
    view_.state[plane] = {values_.get() + (plane + 1) * stride, elements};
  }
  if (mean_square) view_.mean_square = {values_.get() + (planes + 1) * stride, elements};
}

std::size_t SlotPool::Shape::slot_bytes() const {
  return padded(elements) * (1 + planes + (mean_square ? 1 : 0)) * sizeof(float);
}

Result<std::shared_ptr<SlotPool>> SlotPool::create(Shape shape, Bounds bounds, std::shared_ptr<Memory> memory) {
  if (memory == nullptr) memory = std::make_shared<PrivateMemory>();
  try {
    std::shared_ptr<SlotPool> pool(new SlotPool(shape, bounds, std::move(memory)));
    std::vector<SlotRef> first;
    for (std::size_t i = 0; i < bounds.slices + 1; ++i) first.push_back(pool->take());
    return pool;
  } catch (const std::bad_alloc&) {
    return Error{Cause::kInternal, fmt::format("not enough memory for {} slices of {} elements with {} planes of "
                                               "optimizer state: use more servers, on more machines",
                                               bounds.slices, shape.elements, shape.planes)};
  }
}

SlotRef SlotPool::take() {
  Slot* slot = pop();
  if (slot == nullptr) slot = grow();
  in_use_.fetch_add(1, std::memory_order_relaxed);
  return {slot, [pool = shared_from_this()](Slot* done) { pool->give_back(done); }};
}

Slot* SlotPool::grow() {
  RUBATO_CHECK(slots_.size() < bounds_.slots_max(), "{} slots for {} slices, {} readers", slots_.size(), bounds_.slices,
               bounds_.readers);
  slots_.push_back(std::unique_ptr<Slot>(new Slot(shape_.elements, shape_.planes, shape_.mean_square, *memory_)));
  return slots_.back().get();
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
