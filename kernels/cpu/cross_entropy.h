// Cross-entropy of the softmax of one row of scores. The row says which class has which probability to be: 1 - e + e /
// n for the label, e / n for each other of n classes, where e is the smoothing.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <span>

namespace rubato::kernels {

// Gives the loss, and writes its gradient where there is room for one. The label is one of the classes.
double cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing, float* gradient);

// Each class's part of it multiplied by its weight (kernels/op_desc.h).
double weighted_cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing,
                              std::span<const double> weights, float* gradient);

// The same as the first for many classes, where exponentials would take long: a register of them at a time, in float32.
// Each of l lanes adds n / l exponentials of 2 units of the last place (kernels/cpu/lanes.h), so the sum is off by at
// most n / l + log2(l) + 2 of them, relative; and so are each probability and, absolutely, the loss.
double wide_cross_entropy(std::span<const float> scores, std::int32_t label, double smoothing, float* gradient);
inline constexpr std::size_t kWideClasses = 64;  // from so many on

}  // namespace rubato::kernels
