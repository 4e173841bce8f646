// What products read, and write, of tensors that lie as float32. With Precision::kBfloat16 that is numbers rounded
// before they are multiplied, in a room of their own; and of a convolution, for which cuDNN has no engine that
// multiplies bfloat16 and gives float32, also what its products are summed to, which is widened behind it. With other
// precisions it is the tensors themselves, and there is nothing to do.
//
// Rooms are pieces of an operation's `saved` or `scratch`. A tensor that lay as bfloat16 would need none.
//
// Thread-safety: as a Device's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/cuda_context.h"

namespace rubato::kernels::cuda {

// Behind so many bytes the next piece begins aligned as everything is.
inline std::size_t aligned(std::size_t bytes) { return (bytes + 127) / 128 * 128; }

class NarrowTensor {
 public:
  [[nodiscard]] std::size_t bytes() const { return narrow_ ? aligned(count_ * sizeof(std::uint16_t)) : 0; }

 protected:
  NarrowTensor() = default;
  NarrowTensor(const CudaContext& context, std::size_t count)
      : context_(&context), count_(count), narrow_(context.precision == Precision::kBfloat16) {}
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const;

  const CudaContext* context_ = nullptr;
  std::size_t count_ = 0;
  bool narrow_ = false;
};

class Factor : public NarrowTensor {
 public:
  Factor() = default;
  Factor(const CudaContext& context, std::size_t count) : NarrowTensor(context, count) {}
  // The room has bytes().
  void bind(const float* tensor, void* room) {
    tensor_ = tensor;
    room_ = static_cast<std::uint16_t*>(room);
  }
  // Enqueued: what the tensor has then is in data() from then on. Errors: kDevice.
  [[nodiscard]] Status round() const;
  [[nodiscard]] const void* data() const { return from(0); }
  // From so many numbers on.
  [[nodiscard]] const void* from(std::int64_t first) const {
    return narrow_ ? static_cast<const void*>(room_ + first) : tensor_ + first;
  }
  [[nodiscard]] std::size_t number_bytes() const { return narrow_ ? sizeof(std::uint16_t) : sizeof(float); }

 private:
  const float* tensor_ = nullptr;
  std::uint16_t* room_ = nullptr;
};

class NarrowResult : public NarrowTensor {
 public:
  NarrowResult() = default;
  NarrowResult(const CudaContext& context, std::size_t count) : NarrowTensor(context, count) {}
  // The room has bytes(), for one call.
  void bind(float* tensor, void* room) {
    tensor_ = tensor;
    room_ = static_cast<std::uint16_t*>(room);
  }
  [[nodiscard]] void* data() const { return narrow_ ? static_cast<void*>(room_) : tensor_; }
  // Enqueued: what is in data() then is in the tensor from then on. Errors: kDevice.
  [[nodiscard]] Status widen() const;

 private:
  float* tensor_ = nullptr;
  std::uint16_t* room_ = nullptr;
};

}  // namespace rubato::kernels::cuda
