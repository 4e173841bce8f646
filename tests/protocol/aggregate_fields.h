// Reflection for plain structs: visits every member, whether or not the struct's own `fields` lists it. So
// the tests of the codec notice a member that somebody forgot to code, and cover new messages by themselves.
//
// Works for aggregates of at most 12 members without base classes or arrays.
#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "protocol/wire.h"

namespace rubato::protocol::test {

struct Anything {
  template <typename T>
  operator T() const;  // never defined: only asked whether it could be
};

template <typename T, typename... Args>
consteval std::size_t member_count() {
  if constexpr (requires { T{Args{}..., Anything{}}; }) {
    return member_count<T, Args..., Anything>();
  } else {
    return sizeof...(Args);
  }
}

template <typename T>
concept Struct = std::is_aggregate_v<T>;

// References to all members of a struct, in order.
template <Struct T>
auto members(T& s) {
  constexpr std::size_t count = member_count<std::remove_const_t<T>>();
  static_assert(count <= 12);
  if constexpr (count == 0) {
    return std::tie();
  } else if constexpr (count == 1) {
    auto& [a] = s;
    return std::tie(a);
  } else if constexpr (count == 2) {
    auto& [a, b] = s;
    return std::tie(a, b);
  } else if constexpr (count == 3) {
    auto& [a, b, c] = s;
    return std::tie(a, b, c);
  } else if constexpr (count == 4) {
    auto& [a, b, c, d] = s;
    return std::tie(a, b, c, d);
  } else if constexpr (count == 5) {
    auto& [a, b, c, d, e] = s;
    return std::tie(a, b, c, d, e);
  } else if constexpr (count == 6) {
    auto& [a, b, c, d, e, f] = s;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (count == 7) {
    auto& [a, b, c, d, e, f, g] = s;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (count == 8) {
    auto& [a, b, c, d, e, f, g, h] = s;
    return std::tie(a, b, c, d, e, f, g, h);
  } else if constexpr (count == 9) {
    auto& [a, b, c, d, e, f, g, h, i] = s;
    return std::tie(a, b, c, d, e, f, g, h, i);
  } else if constexpr (count == 10) {
    auto& [a, b, c, d, e, f, g, h, i, j] = s;
    return std::tie(a, b, c, d, e, f, g, h, i, j);
  } else if constexpr (count == 11) {
    auto& [a, b, c, d, e, f, g, h, i, j, k] = s;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k);
  } else {
    auto& [a, b, c, d, e, f, g, h, i, j, k, l] = s;
    return std::tie(a, b, c, d, e, f, g, h, i, j, k, l);
  }
}

// ---- equality by members ---------------------------------------------------------------------------

template <typename T>
bool same(const T& a, const T& b);

inline bool same(const Payload& a, const Payload& b) { return std::ranges::equal(a.bytes(), b.bytes()); }
template <List L>
bool same(const L& a, const L& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return same(x, y); });
}
template <typename T>
bool same(const T& a, const T& b) {
  if constexpr (Struct<T>) {
    return std::apply(
        [&](const auto&... x) { return std::apply([&](const auto&... y) { return (same(x, y) && ...); }, members(b)); },
        members(a));
  } else {
    return a == b;
  }
}

// ---- values that are no defaults -------------------------------------------------------------------

// Gives every member, however deep, a value of its own that is not its default.
class Filler {
 public:
  template <typename T>
  void fill(T& value) {
    if constexpr (Struct<T>) {
      std::apply([&](auto&... member) { (fill(member), ...); }, members(value));
      if constexpr (requires { value.exact; }) value.exact = false;  // says how the others travel, and does not itself
    } else if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(static_cast<int>(value) == 2 ? 1 : 2);
    } else if constexpr (sizeof(T) == 1) {
      value = static_cast<T>(1 + ++next_ % 32);
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = static_cast<T>(++next_);
    } else {
      fill_object(value);
    }
  }

 private:
  void fill_object(std::string& text) { text = "text " + std::to_string(++next_); }
  void fill_object(Payload& payload) {
    const float value = static_cast<float>(++next_);
    payload = Payload::of_floats(std::vector<float>{value, -value, 0.5f});
  }
  template <List L>
  void fill_object(L& values) {
    for (int i = 0; i < 2; ++i) fill(values.emplace_back());
  }

  int next_ = 0;
};

}  // namespace rubato::protocol::test
