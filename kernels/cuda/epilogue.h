// What follows the products of a dense layer or a convolution, by kernels of our own: bias, activation, and the
// gradient of either. Products are written to sums(): the output, or, where an activation's slope is only known from
// what went into it, memory that is kept until backward.
//
// Thread-safety: as a Device's.
#pragma once

#include <cstddef>

#include "kernels/backend.h"
#include "kernels/cuda/cuda_context.h"
#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

class Epilogue {
 public:
  struct Desc {
    const char* layer = nullptr;  // "a convolution", for errors
    std::size_t channels = 0;     // each has a bias, if there are any
    std::size_t results = 0;      // of all samples: a multiple of `channels`
    Activation activation = Activation::kNone;
    bool training = false;
  };
  Epilogue(const CudaContext& context, const Desc& desc);

  [[nodiscard]] std::size_t saved_bytes() const { return keeps_sums_ ? desc_.results * sizeof(float) : 0; }
  void bind(const Ports& ports);
  [[nodiscard]] float* sums() const { return sums_; }

  // All are enqueued. Errors: kDevice.
  [[nodiscard]] Status add_bias(const float* bias) const;
  [[nodiscard]] Status activate() const;
  // The output's gradient becomes that of the sums, in place.
  [[nodiscard]] Status undo_activation() const;
  // Of the bias, behind undo_activation(); overwrites.
  [[nodiscard]] Status bias_gradient(float* gradient) const;

 private:
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const;

  const CudaContext& context_;
  const Desc desc_;
  const bool keeps_sums_;
  float *sums_ = nullptr, *output_ = nullptr, *output_gradient_ = nullptr;
};

}  // namespace rubato::kernels::cuda
