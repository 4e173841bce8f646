// Initial weights, computed by whichever server holds a slice: element i of a parameter is a pure
// function of (job seed, parameter name, i), by Philox (base/rng.h). How parameters are cut into slices
// and placed cannot change a weight.
//
// Uniform: element i is word i mod 4 of block i / 4. Normal: elements 2k and 2k + 1 are the two
// Box-Muller values of block k (Box and Muller 1958), in double, then rounded to float; these go
// through libm's log, sin and cos and are equal wherever libm is.
//
// Thread-safety: pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/parameter.h"

namespace rubato::kernels {

// Fills `out` with the elements from `first_element` on, in the parameter's canonical layout.
void initialize(const ParameterSpec& spec, std::uint64_t seed, std::int64_t first_element, std::span<float> out);

}  // namespace rubato::kernels
