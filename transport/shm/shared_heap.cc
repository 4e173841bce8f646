#include "transport/shm/shared_heap.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace rubato::transport {

SharedHeap::SharedHeap(SharedMemory held, std::size_t first, std::function<void(const Error& why)> on_private)
    : on_private_(std::move(on_private)), held_(held.bytes()), used_(first) {
  RUBATO_CHECK(first % kAlignment == 0 && first <= held_.size(), "{} bytes of {}", first, held_.size());
  segments_[0] = std::make_shared<SharedMemory>(std::move(held));
  count_.store(1, std::memory_order_release);
}

std::shared_ptr<float[]> SharedHeap::floats(std::size_t count) {
  const std::size_t bytes =
      (std::max<std::size_t>(count, 1) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
  const std::lock_guard lock(growing_);
  const std::uint32_t segments = count_.load(std::memory_order_relaxed);
  if (segments == 0 || bytes > segments_[segments - 1]->bytes().size() - used_) {
    if (!exhausted_) {
      const Status grown = grow(bytes);
      exhausted_ = !grown.ok();
      if (exhausted_ && on_private_) on_private_(grown.error());
    }
    if (exhausted_) return PrivateMemory().floats(count);
  }
  const std::shared_ptr<SharedMemory>& segment = segments_[count_.load(std::memory_order_relaxed) - 1];
  auto* values = reinterpret_cast<float*>(segment->bytes().data() + used_);
  used_ += bytes;
  make_huge(*segment);
  return {segment, values};
}

// Whole pages only, all of which is given away: a small model takes no more memory than it needs.
void SharedHeap::make_huge(const SharedMemory& segment) {
  const std::size_t end = used_ / SharedMemory::kHugePage * SharedMemory::kHugePage;
  if (no_huge_pages_ || end == huge_) return;
  no_huge_pages_ = !segment.make_huge(huge_, end);
  huge_ = end;
}

Status SharedHeap::grow(std::size_t bytes) {
  const std::uint32_t segments = count_.load(std::memory_order_relaxed);
  if (segments == kSegmentsMax) return Error{Cause::kInternal, fmt::format("{} segments are all there are", segments)};
  RUBATO_ASSIGN(SharedMemory memory, SharedMemory::create("rubato", std::max(bytes, kSegmentBytes)));
  segments_[segments] = std::make_shared<SharedMemory>(std::move(memory));
  used_ = huge_ = 0;
  count_.store(segments + 1, std::memory_order_release);
  return {};
}

std::optional<SharedHeap::Place> SharedHeap::find(std::span<const std::byte> bytes) const {
  const std::uint32_t segments = count_.load(std::memory_order_acquire);
  for (std::uint32_t number = 0; number < segments; ++number) {
    const std::span<const std::byte> segment = segments_[number]->bytes();
    if (bytes.data() < segment.data() || bytes.data() >= segment.data() + segment.size()) continue;
    return Place{number, static_cast<std::uint64_t>(bytes.data() - segment.data())};
  }
  return std::nullopt;
}

}  // namespace rubato::transport
