// Blocks of memory that are used again, for objects that one thread makes all the time and any thread gives up: once
// there are as many blocks as there ever were objects, making one allocates nothing.
//
// Blocks that are given back lie on a stack; the owner takes all of it at once, so nothing there can be mistaken for
// what it was before. What the pool made may outlive it.
//
// Thread-safety: a pool belongs to one thread; what it made may be dropped on any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace rubato {

class BlockPool {
 public:
  // What the count of references to an object takes beside it, at most.
  static constexpr std::size_t kCountBytes = 48;

  explicit BlockPool(std::size_t block_bytes) : block_bytes_(block_bytes) {}
  ~BlockPool() { given_back_->close(blocks_ - free_all(free_)); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // As std::make_shared, in a block.
  template <typename T, typename... Args>
  [[nodiscard]] std::shared_ptr<T> make(Args&&... args) {
    return std::allocate_shared<T>(Allocator<T>(*this), std::forward<Args>(args)...);
  }
  // A share in an object that lies elsewhere; the count is in a block. At the last one's end `give_back(object)`.
  template <typename T, typename GiveBack>
  [[nodiscard]] std::shared_ptr<T> share(T* object, GiveBack give_back) {
    return {object, std::move(give_back), Allocator<T>(*this)};
  }
  // As Payload::copy_of; in a block, if it fits.
  [[nodiscard]] Payload copy_of(std::span<const std::byte> bytes) {
    if (bytes.empty() || bytes.size() + kCountBytes > block_bytes_) return Payload::copy_of(bytes);
    auto owner =
        std::allocate_shared_for_overwrite<std::uint64_t[]>(Allocator<std::uint64_t>(*this), (bytes.size() + 7) / 8);
    std::memcpy(owner.get(), bytes.data(), bytes.size());
    const std::span<const std::byte> copy(reinterpret_cast<const std::byte*>(owner.get()), bytes.size());
    return {std::move(owner), copy};
  }
  [[nodiscard]] std::size_t blocks() const { return blocks_; }

 private:
  class Stack;
  // Before the object.
  struct alignas(std::max_align_t) Block {
    Stack* home;
    Block* next = nullptr;
  };

  // Says how many.
  static std::size_t free_all(Block* first) {
    std::size_t count = 0;
    for (; first != nullptr; ++count) ::operator delete(std::exchange(first, first->next));
    return count;
  }

  // Blocks that were given back. It stays until its pool and all blocks are gone.
  class Stack {
   public:
    [[nodiscard]] Block* take_all() { return top_.exchange(nullptr, std::memory_order_acquire); }

    // On any thread.
    void put(Block* block) {
      block->next = top_.load(std::memory_order_relaxed);
      do {
        if (block->next == &closed_) return put_late(block);
      } while (!top_.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed));
    }

    // The pool is gone; `left` blocks are in use, or here.
    void close(std::size_t left) {
      const std::size_t here = free_all(top_.exchange(&closed_, std::memory_order_acquire));
      count_late(static_cast<std::ptrdiff_t>(left - here));
    }

   private:
    void put_late(Block* block) {
      ::operator delete(block);
      count_late(-1);
    }
    // Zero, once close() has said how many come late, and so many have come; not before.
    void count_late(std::ptrdiff_t more) {
      if (late_.fetch_add(more, std::memory_order_acq_rel) + more == 0) delete this;
    }

    std::atomic<Block*> top_ = nullptr;
    std::atomic<std::ptrdiff_t> late_ = 0;
    Block closed_{nullptr};  // on top: there is no pool any more
  };

  template <typename T>
  struct Allocator {
    using value_type = T;
    explicit Allocator(BlockPool& of) : pool(&of) {}
    template <typename Other>
    Allocator(const Allocator<Other>& other) : pool(other.pool) {}  // NOLINT: as allocators are

    [[nodiscard]] T* allocate(std::size_t count) {
      static_assert(alignof(T) <= alignof(std::max_align_t));
      return static_cast<T*>(pool->take(count * sizeof(T)));
    }
    void deallocate(T* place, std::size_t /*count*/) { give_back(place); }
    template <typename Other>
    [[nodiscard]] bool operator==(const Allocator<Other>& other) const {
      return pool == other.pool;
    }

    BlockPool* pool;  // may be gone when a block is given back
  };

  [[nodiscard]] void* take(std::size_t bytes) {
    RUBATO_CHECK(bytes <= block_bytes_, "{} bytes in a block of {}", bytes, block_bytes_);
    if (free_ == nullptr) free_ = given_back_->take_all();
    if (free_ != nullptr) return std::exchange(free_, free_->next) + 1;
    ++blocks_;
    return new (::operator new(sizeof(Block) + block_bytes_)) Block{given_back_} + 1;
  }
  static void give_back(void* place) {
    Block* block = static_cast<Block*>(place) - 1;
    block->home->put(block);
  }

  const std::size_t block_bytes_;
  Stack* const given_back_ = new Stack;
  Block* free_ = nullptr;  // the owner's
  std::size_t blocks_ = 0;
};

}  // namespace rubato
