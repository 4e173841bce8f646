// Coding of control messages: a message lists its fields once, in `fields(archive)`, and the same list
// writes and reads it. Integers and enums little-endian at their own width, bool as one byte, double as
// its bits, strings and vectors behind a 32-bit count.
//
// A Reader trusts nothing: it never reads past the end, bounds every count by the bytes that are left
// (so that a hostile count allocates nothing), and is `good()` only if all bytes were used. Each enum has
// a function `known(value)` beside it, and a struct may have a member `valid()`: what they deny is no good.
//
// Thread-safety: each object belongs to one owner.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace rubato::protocol {

class Writer;
class Reader;

template <typename T>
concept Coded = requires(T& value, Reader& reader) {
  value.fields(reader);
};

// A list of any kind that grows at its end.
template <typename L>
concept List = requires(L& list) {
  list.clear();
  list.emplace_back();
};

template <typename T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  Writer() = default;
  // Into the room of these, whatever they were.
  explicit Writer(std::vector<std::byte> room) : bytes_(std::move(room)) { bytes_.clear(); }

  template <typename... Ts>
  void operator()(const Ts&... values) {
    (put(values), ...);
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void raw(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
  }
  void count(std::size_t size) { put(static_cast<std::uint32_t>(size)); }

  template <Scalar T>
  void put(T value) {
    raw(&value, sizeof(T));
  }
  void put(const std::string& text) {
    count(text.size());
    raw(text.data(), text.size());
  }
  template <List L>
  void put(const L& values) {
    count(values.size());
    for (const auto& value : values) put(value);
  }
  template <Coded T>
  void put(const T& value) {
    const_cast<T&>(value).fields(*this);  // one `fields` serves both directions; writing changes nothing
  }

  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename... Ts>
  void operator()(Ts&... values) {
    (get(values), ...);
  }
  [[nodiscard]] bool good() const { return good_ && rest_.empty(); }

 private:
  bool raw(void* data, std::size_t size) {
    if (!good_ || size > rest_.size()) {
      good_ = false;
      return false;
    }
    std::memcpy(data, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return true;
  }
  // Every element takes at least one byte, so more elements than bytes is a lie.
  std::size_t count() {
    std::uint32_t size = 0;
    get(size);
    if (size > rest_.size()) good_ = false;
    return good_ ? size : 0;
  }

  template <Scalar T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      if (raw(&byte, 1)) good_ = good_ && byte <= 1;
      value = byte == 1;
    } else {
      raw(&value, sizeof(T));
      if constexpr (std::is_enum_v<T>) good_ = good_ && known(value);
    }
  }
  void get(std::string& text) {
    text.resize(count());
    raw(text.data(), text.size());
  }
  template <List L>
  void get(L& values) {
    values.clear();
    const std::size_t size = count();
    for (std::size_t i = 0; i < size && good_; ++i) get(values.emplace_back());
  }
  template <Coded T>
  void get(T& value) {
    value.fields(*this);
    if constexpr (requires { value.valid(); }) good_ = good_ && value.valid();
  }

  std::span<const std::byte> rest_;
  bool good_ = true;
};

}  // namespace rubato::protocol
