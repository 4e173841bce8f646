// A vector whose first elements lie in it: a list that is short most of the time, and is made all the time, allocates
// nothing. One that is longer lies where a std::vector does, all of it.
//
// Invariant: the elements are those of `many_`; while that is empty, the first `few_size_` of `few_`.
// Thread-safety: as std::vector.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"

namespace rubato {

template <typename T, std::size_t kFew>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() = default;
  SmallVector(std::initializer_list<T> values) : SmallVector(std::span(values.begin(), values.size())) {}
  explicit SmallVector(std::span<const T> values) {
    for (const T& value : values) push_back(value);
  }

  [[nodiscard]] std::size_t size() const { return many_.empty() ? few_size_ : many_.size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] T* begin() { return many_.empty() ? few_.data() : many_.data(); }
  [[nodiscard]] T* end() { return begin() + size(); }
  [[nodiscard]] const T* begin() const { return many_.empty() ? few_.data() : many_.data(); }
  [[nodiscard]] const T* end() const { return begin() + size(); }
  [[nodiscard]] T& operator[](std::size_t at) { return begin()[at]; }
  [[nodiscard]] const T& operator[](std::size_t at) const { return begin()[at]; }
  [[nodiscard]] const T& at(std::size_t at) const {
    RUBATO_CHECK(at < size(), "{} of {}", at, size());
    return begin()[at];
  }
  [[nodiscard]] const T& front() const { return *begin(); }
  [[nodiscard]] T& back() { return end()[-1]; }
  [[nodiscard]] const T& back() const { return end()[-1]; }

  T& emplace_back() {
    if (many_.empty() && few_size_ < kFew) return few_[few_size_++] = T();
    if (many_.empty()) {
      many_.assign(std::make_move_iterator(few_.begin()), std::make_move_iterator(few_.end()));
      few_size_ = 0;
    }
    return many_.emplace_back();
  }
  void push_back(T value) { emplace_back() = std::move(value); }
  // Before `at`. Where it lies now.
  T* insert(const T* at, T value) {
    const std::ptrdiff_t index = at - begin();
    push_back(std::move(value));
    std::rotate(begin() + index, end() - 1, end());
    return begin() + index;
  }
  void clear() {
    std::fill_n(few_.begin(), std::exchange(few_size_, 0), T());
    many_.clear();
  }

  friend bool operator==(const SmallVector& left, const SmallVector& right) { return std::ranges::equal(left, right); }

 private:
  std::array<T, kFew> few_{};
  std::size_t few_size_ = 0;
  std::vector<T> many_;
};

}  // namespace rubato
