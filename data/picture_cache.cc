#include "data/picture_cache.h"

#include <memory>

namespace rubato::data {

PictureCache::PictureCache(std::uint64_t pictures, std::uint64_t bytes_max) : bytes_max_(bytes_max), slots_(pictures) {}

PictureCache::~PictureCache() {
  for (const auto& slot : slots_) delete slot.load(std::memory_order_relaxed);
}

void PictureCache::offer(std::uint64_t number, const Picture& picture) {
  const std::uint64_t bytes = picture.bytes() + sizeof(Picture);
  if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= bytes_max_) {
    auto copy = std::make_unique<const Picture>(picture);
    const Picture* nobody = nullptr;
    if (slots_[number].compare_exchange_strong(nobody, copy.get(), std::memory_order_release,
                                               std::memory_order_relaxed)) {
      (void)copy.release();
      return;
    }
  }
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);  // there was no room, or another thread was first
}

}  // namespace rubato::data
