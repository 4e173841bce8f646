// optimizer.groups, laid on a network: which parameters are frozen, and which have a rate or a weight decay of their
// own (docs/decisions/groups-are-in-the-manifest.md).
//
// A rate and a decay are for weights: running means have neither, and a pattern passes them by. They are frozen like
// weights, and a batch normalization whose running means are frozen normalizes by them in training, too.
//
// Thread-safety: pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/parameter.h"
#include "base/result.h"
#include "model/layers.h"

namespace rubato::model {

// The first text that fits a parameter's name holds for it. Errors: kUsage: a pattern that fits nothing, or nothing
// that an earlier one has not; nothing is left to train.
[[nodiscard]] Status apply_groups(const std::vector<std::string>& groups, std::span<ParameterSpec> parameters);

// The parameters of a network in groups, in its order; and in `layers` which normalizations have stopped measuring.
// Errors: as above, and of the two running means of a normalization only one is frozen.
[[nodiscard]] Result<std::vector<ParameterSpec>> grouped_parameters(const std::vector<std::string>& groups,
                                                                    std::vector<Layer>& layers);

}  // namespace rubato::model
