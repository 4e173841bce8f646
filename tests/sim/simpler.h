// Ways to make a scenario simpler, for whoever has one that fails: what is left when none of them can be taken any
// more without the failure going away is a shorter history to read (shrink.py).
#pragma once

#include <span>
#include <string_view>

#include "tests/sim/scenario.h"

namespace rubato::sim {

// Those that take away the most come first. Some may be taken more than once.
[[nodiscard]] std::span<const std::string_view> simplifications();

// Whether the scenario is simpler now; false where there is nothing left to take away. `name` is one of those.
[[nodiscard]] bool simplify(Scenario& scenario, std::string_view name);

}  // namespace rubato::sim
