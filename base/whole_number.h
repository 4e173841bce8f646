// Whole numbers as people write them in job files and modes.
//
// Thread-safety: a pure function.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rubato {

// Digits alone: no sign, no space, nothing behind. Nothing where there is something else.
[[nodiscard]] inline std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits = !text.empty() && text.front() != '-';
  if (!digits || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace rubato
