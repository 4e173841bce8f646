// Which samples a call of a device computes. What is random in it, as dropout and Gibbs sampling, is keyed by them, so
// that whoever computes a sample draws the same. Of sequences, how long each is: what lies behind its end is not there.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <span>

namespace rubato::kernels {

struct SampleKeys {
  std::uint64_t epoch = 0;
  std::span<const std::uint64_t> ids;
  std::span<const std::int32_t> lengths = {};  // of each sample, from 1 on; none: all positions; valid all step
};

}  // namespace rubato::kernels
