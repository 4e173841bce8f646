// How tensors lie in memory, in oneDNN's words. The CPU's own layout is blocks of 16 channels, each with all pixels of
// a sample: (sample, channel / 16, height, width, 16). A block's pixel is a cache line, and a register of AVX-512. It
// is the only one that oneDNN computes Winograd's algorithm on, and for operations that keep channels apart it is the
// same as channels-last with 16 channels and more samples.
//
// Thread-safety: pure.
#pragma once

#include <dnnl.hpp>

#include "kernels/backend.h"
#include "kernels/cpu/primitive.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

inline constexpr std::int64_t kBlock = 16;

// oneDNN has fast kernels for it where there is AVX-512, and no others.
[[nodiscard]] inline bool has_blocks(std::int64_t channels) {
  return channels % kBlock == 0 && has_instructions(dnnl::cpu_isa::avx512_core);
}

[[nodiscard]] inline dnnl::memory::format_tag format_of(Layout layout) {
  return layout == Layout::kOwn ? dnnl::memory::format_tag::nChw16c : dnnl::memory::format_tag::nhwc;
}

[[nodiscard]] inline dnnl::memory::desc tensor_desc(const TensorShape& shape, dnnl::memory::format_tag format,
                                                    dnnl::memory::data_type type = dnnl::memory::data_type::f32) {
  return {{shape.samples, shape.channels, shape.height, shape.width}, type, format};
}

[[nodiscard]] inline dnnl::memory::desc as_float32(dnnl::memory::desc desc) {
  desc.data.data_type = dnnl_f32;
  return desc;
}

// The same numbers at the same places, as a channels-last tensor: each block as a sample.
[[nodiscard]] inline TensorShape as_rows(const TensorShape& shape, Layout layout) {
  if (layout == Layout::kRows) return shape;
  return {shape.samples * (shape.channels / kBlock), shape.height, shape.width, kBlock};
}

}  // namespace rubato::kernels
