// By which algorithm, and on which layouts, a call of a convolution may be computed: best first.
//
// Winograd's algorithm (Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; oneDNN's
// F(4x4, 3x3)) takes a quarter of the products of a 3x3 kernel, and moves inputs, weights and outputs through its
// transforms for that. It pays where there are channels enough to multiply and tiles of 4x4 outputs enough to share the
// transformed weights: docs/performance.md has the measurements.
//
// With Precision::kBfloat16 the ways on bfloat16 come before those on float32: the processor multiplies twice as many
// of them at a time, and converting them is a small part of it.
//
// By rule the choice follows from the shape alone: two workers that chose for themselves, by time, would compute
// different bits. By a plan (kernels/plan_book.h) it is what was measured once for all of them.
//
// Thread-safety: pure.
#pragma once

#include <dnnl.hpp>
#include <string>
#include <vector>

#include "kernels/backend.h"
#include "kernels/op_desc.h"

namespace rubato::kernels {

struct ConvolutionWay {
  const char* name = "rows";  // in a plan: "winograd", "blocks" or "rows"; "bfloat16 blocks" or "bfloat16 rows"
  dnnl::algorithm algorithm = dnnl::algorithm::convolution_direct;
  dnnl::memory::format_tag source = dnnl::memory::format_tag::nhwc, result = dnnl::memory::format_tag::nhwc;
  dnnl::memory::data_type factors = dnnl::memory::data_type::f32;  // what is multiplied
};

[[nodiscard]] bool winograd_pays(const ConvolutionDesc& desc);

// For tensors that lie as `hint` says; a way that wants others is worth converting them. The last one can always be
// computed, the others where oneDNN has it on this processor.
[[nodiscard]] std::vector<ConvolutionWay> convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint,
                                                           Precision precision);

// The same, and behind them those that no rule asks for on such tensors, but which may be faster all the same.
[[nodiscard]] std::vector<ConvolutionWay> all_convolution_ways(const ConvolutionDesc& desc, const PlanHint& hint,
                                                               Precision precision);

// What a plan calls it: everything that the choice may hang on, but for the number of samples.
[[nodiscard]] std::string operation_name(const ConvolutionDesc& desc, const PlanHint& hint, Precision precision);

}  // namespace rubato::kernels
