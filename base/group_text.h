// A group of parameters as a job file writes it (optimizer.groups), one text for each:
//
//   PATTERN frozen
//   PATTERN [rate=FACTOR] [decay=VALUE]
//
// PATTERN is of parameters' names (base/glob.h). The first text that fits a parameter holds for it. FACTOR multiplies
// the rate that the schedule gives; VALUE is the weight decay in place of optimizer.weight_decay.
//
// What is true of the words alone is checked here; that a pattern fits a parameter, where the network is built
// (model/parameter_groups.h).
//
// Thread-safety: plain values; a pure function.
#pragma once

#include <string>

#include "base/parameter.h"
#include "base/result.h"

namespace rubato {

struct GroupText {
  std::string pattern = {};
  bool frozen = false;
  double rate = 1.0;
  double decay = kUsualDecay;
  friend bool operator==(const GroupText&, const GroupText&) = default;
};

// Errors: kUsage, with the text, and what is allowed.
[[nodiscard]] Result<GroupText> parse_group(const std::string& text);

}  // namespace rubato
