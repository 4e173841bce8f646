// The known name that a mistyped one most likely meant, for messages that end in `did you mean "..."?`.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rubato {

// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours, no letter
// touched twice.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

// The first of the least distant `known` names, if it is near enough to be worth a guess: a third of
// the letters wrong, at most.
[[nodiscard]] std::optional<std::string> nearest(std::string_view name, std::span<const std::string> known);

// `; did you mean "x"?`, or nothing.
[[nodiscard]] std::string did_you_mean(const std::optional<std::string>& guess);

}  // namespace rubato
