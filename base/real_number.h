// Numbers as people write them in straggler models, faults and traces: 3, 0.25, 1e-3.
//
// Thread-safety: a pure function.
#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

namespace rubato {

// No sign, no space, nothing behind, finite. Nothing where there is something else.
[[nodiscard]] inline std::optional<double> real_number(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits = !text.empty() && ((text.front() >= '0' && text.front() <= '9') || text.front() == '.');
  if (!digits || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace rubato
