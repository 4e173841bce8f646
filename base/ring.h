// First in, first out; what came in last can be taken back. Grows to the most that it ever held, and keeps that room:
// once it is warm, nothing is allocated.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace rubato {

template <typename T>
class Ring {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  void push_back(T value) {
    if (size_ == places_.size()) grow();
    places_[place(size_)].emplace(std::move(value));
    ++size_;
  }

  // Of one that is not empty.
  [[nodiscard]] T& front() { return *places_[head_]; }
  [[nodiscard]] T pop_front() {
    RUBATO_CHECK(size_ > 0);
    T value = std::move(*places_[head_]);
    places_[head_].reset();
    head_ = place(1);
    --size_;
    return value;
  }
  void pop_back() {
    RUBATO_CHECK(size_ > 0);
    places_[place(--size_)].reset();
  }

 private:
  static constexpr std::size_t kFirst = 16;  // the number of places is a power of two, always

  [[nodiscard]] std::size_t place(std::size_t at) const { return (head_ + at) & (places_.size() - 1); }

  void grow() {
    std::vector<std::optional<T>> larger(places_.empty() ? kFirst : 2 * places_.size());
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(places_[place(i)]);
    places_ = std::move(larger);
    head_ = 0;
  }

  std::vector<std::optional<T>> places_;
  std::size_t head_ = 0, size_ = 0;
};

}  // namespace rubato
