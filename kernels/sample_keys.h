// Which samples a call of a device computes. What is random in it, as dropout and Gibbs sampling, is keyed by them, so
// that whoever computes a sample draws the same.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <span>

namespace rubato::kernels {

struct SampleKeys {
  std::uint64_t epoch = 0;
  std::span<const std::uint64_t> ids;
};

}  // namespace rubato::kernels
