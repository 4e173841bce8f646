// By which algorithm, and on which layouts, a call of a convolution may be computed: best first.
//
// Winograd's algorithm (Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; oneDNN's
// F(4x4, 3x3)) takes a quarter of the products of a 3x3 kernel, and moves inputs, weights and outputs through its
// transforms for that. It pays where there are channels enough to multiply and tiles of 4x4 outputs enough to share the
// transformed weights: docs/performance.md has the measurements.
//
// The choice follows from the shape alone: two workers that chose for themselves, by time, would compute different
// bits.
//
// Thread-safety: pure.
#pragma once

#include <dnnl.hpp>
#include <vector>

#include "kernels/backend.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

struct ConvolutionWay {
  dnnl::algorithm algorithm = dnnl::algorithm::convolution_direct;
  dnnl::memory::format_tag source = dnnl::memory::format_tag::nhwc, result = dnnl::memory::format_tag::nhwc;
};

[[nodiscard]] bool winograd_pays(const ConvolutionDesc& desc);

// For tensors that lie as `hint` says; a way that wants others is worth converting them. The last one can always be
// computed, the others where oneDNN has it on this processor.
[[nodiscard]] std::vector<ConvolutionWay> convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint);

}  // namespace rubato::kernels
