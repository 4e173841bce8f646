// Weights in the layout that a primitive wants. Where that is the canonical one they are read, or
// written, in place; elsewhere they are reordered: weights once a version, gradients once a call.
//
// Invariant: bind() comes before the others; the primitive bound must stay where it is.
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/ids.h"
#include "base/result.h"
#include "kernels/cpu/converting_primitive.h"

namespace rubato::kernels {

class PackedWeights {
 public:
  PackedWeights() = default;
  // May throw dnnl::error.
  PackedWeights(const CpuContext& context, const dnnl::memory::desc& canonical, const dnnl::memory::desc& wanted);

  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  void bind(ConvertingPrimitive& user, void* scratch);
  // Gives the user the values in its layout.
  Status load(ConvertingPrimitive& user, const float* values, Version version);
  [[nodiscard]] std::size_t bytes() const { return in_place_ ? 0 : packed_.get_desc().get_size(); }

 private:
  bool in_place_ = true;
  std::size_t scratch_bytes_ = 0;
  dnnl::memory packed_;
  Primitive reorder_;
  std::optional<Version> version_;  // of what `packed_` holds
};

class PackedGradient {
 public:
  PackedGradient() = default;
  // May throw dnnl::error.
  PackedGradient(const CpuContext& context, const dnnl::memory::desc& canonical, const dnnl::memory::desc& wanted);

  [[nodiscard]] std::size_t scratch_bytes() const { return scratch_bytes_; }
  void bind(ConvertingPrimitive& producer, void* scratch);
  // Runs the producer and leaves its gradient in `gradient`, in canonical layout.
  Status produce(ConvertingPrimitive& producer, float* gradient);
  [[nodiscard]] std::size_t bytes() const { return in_place_ ? 0 : packed_.get_desc().get_size(); }

 private:
  bool in_place_ = true;
  std::size_t scratch_bytes_ = 0;
  dnnl::memory packed_;
  Primitive reorder_;
};

}  // namespace rubato::kernels
