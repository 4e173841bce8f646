// Payload: an immutable run of bytes together with whatever keeps it alive.
//
// Copying one copies a reference. The owner may be a vector, a received message of some transport, or
// a pinned slot of a shard: readers cannot tell, and need not. The bytes never change while any
// Payload refers to them.
//
// Thread-safety: as shared_ptr; distinct Payloads that share an owner may be used by distinct threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace rubato {

class Payload {
 public:
  Payload() = default;
  Payload(std::shared_ptr<const void> owner, std::span<const std::byte> bytes)
      : owner_(std::move(owner)), bytes_(bytes) {}

  static Payload of(std::vector<std::byte> bytes) {
    auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    std::span<const std::byte> view(*owner);
    return {std::move(owner), view};
  }
  // A small one takes one block, together with its count of references: headers of frames are such. (A mark of a
  // payload keeps that block, so large ones have their bytes apart.) In words, so that it is aligned as parts of frames
  // are.
  static Payload copy_of(std::span<const std::byte> bytes) {
    constexpr std::size_t kSmallMax = 256;
    if (bytes.empty() || bytes.size() > kSmallMax) return of(std::vector<std::byte>(bytes.begin(), bytes.end()));
    auto owner = std::make_shared_for_overwrite<std::uint64_t[]>((bytes.size() + 7) / 8);
    std::memcpy(owner.get(), bytes.data(), bytes.size());
    const std::span<const std::byte> copy(reinterpret_cast<const std::byte*>(owner.get()), bytes.size());
    return {std::move(owner), copy};
  }
  static Payload of_floats(std::span<const float> values) { return copy_of(std::as_bytes(values)); }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  // The bytes as little-endian float32. Callers have checked size and alignment when the payload came
  // in from outside (protocol/codec.h does).
  [[nodiscard]] std::span<const float> floats() const {
    RUBATO_CHECK(bytes_.size() % sizeof(float) == 0, "{} bytes are no floats", bytes_.size());
    RUBATO_CHECK(reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(float) == 0, "misaligned payload");
    return {reinterpret_cast<const float*>(bytes_.data()), bytes_.size() / sizeof(float)};
  }

  // The part [offset, offset + length), sharing the owner.
  [[nodiscard]] Payload part(std::size_t offset, std::size_t length) const {
    RUBATO_CHECK(offset <= size() && length <= size() - offset, "part [{}, +{}) of {} bytes", offset, length, size());
    return {owner_, bytes_.subspan(offset, length)};
  }

 private:
  friend class PayloadMark;
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

// Knows a payload again without keeping its bytes: the same owner and place. The bytes are the same too where
// the owner is made for them alone; one that is written again once nobody refers to it (worker/arena.h) has to
// be told apart by something else, as a version.
class PayloadMark {
 public:
  PayloadMark() = default;
  explicit PayloadMark(const Payload& payload) : owner_(payload.owner_), bytes_(payload.bytes_) {}

  [[nodiscard]] bool is(const Payload& payload) const {
    // An owner that is gone is not mistaken for a later one at its address: the mark keeps its control block.
    const bool same_owner = !owner_.owner_before(payload.owner_) && !payload.owner_.owner_before(owner_);
    return payload.owner_ != nullptr && same_owner && bytes_.data() == payload.bytes_.data() &&
           bytes_.size() == payload.bytes_.size();
  }

 private:
  std::weak_ptr<const void> owner_;
  std::span<const std::byte> bytes_;
};

}  // namespace rubato
