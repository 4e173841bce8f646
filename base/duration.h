// Lengths of time as people write them in faults and changes of a simulated job: 3s, 250ms, 80us.
//
// Thread-safety: a pure function.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/real_number.h"
#include "base/time.h"

namespace rubato {

// Up to thirty years. Nothing where there is something else.
[[nodiscard]] inline std::optional<TimeNs> duration_of(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, TimeNs>, 3> kUnits{
      {{"ms", kMillisecond}, {"us", kMicrosecond}, {"s", kSecond}}};
  for (const auto& [unit, length] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const auto number = real_number(text.substr(0, text.size() - unit.size()));
    if (!number || *number > 1e9) return std::nullopt;
    return static_cast<TimeNs>(*number * static_cast<double>(length));
  }
  return std::nullopt;
}

}  // namespace rubato
