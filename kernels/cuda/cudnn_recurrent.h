// cuDNN's recurrent layers behind Rubato's own words: one layer of LSTM or GRU in one direction or both, as a plan that
// has its descriptions, its sizes, and where in cuDNN's one space of weights each gate's part of each parameter lies.
//
// Gates have PyTorch's order in cuDNN, too: i, f, g, o and r, z, n, those of the input's weights before those of the
// state's, with two biases. Numbers are float32 proper, not TF32. Initial states are zeros.
//
// Order of calls: forward, backward_data, backward_weights; `reserve` is kept from the first to the last. What is at
// dx behind a sample's end is not defined; outputs there are zeros.
//
// Thread-safety: as a Device's: one thread at a time.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "kernels/op_desc.h"

namespace rubato::kernels::cuda {

class CudnnRecurrent {
 public:
  CudnnRecurrent() = default;
  // Errors: kDevice.
  static Result<CudnnRecurrent> plan(cudnnHandle_t handle, const RecurrentDesc& desc, bool training);

  [[nodiscard]] std::size_t weight_bytes() const { return weight_bytes_; }
  [[nodiscard]] std::size_t work_bytes() const { return work_bytes_; }
  [[nodiscard]] std::size_t reserve_bytes() const { return reserve_bytes_; }
  [[nodiscard]] std::int64_t gates() const { return gates_; }

  // How long the samples of the next calls are, each of them from 1 to all positions.
  [[nodiscard]] Status set_lengths(std::span<const std::int32_t> lengths);
  // Where a gate's part lies in `weights`, which has weight_bytes(). `parameter`: weight_ih, weight_hh, bias_ih,
  // bias_hh.
  [[nodiscard]] Result<float*> part(std::int64_t direction, std::size_t parameter, std::int64_t gate,
                                    std::byte* weights) const;

  // All of the device. `lengths`: those of set_lengths.
  struct Places {
    const std::int32_t* lengths = nullptr;
    const float* x = nullptr;
    float* y = nullptr;
    std::byte* weights = nullptr;
    void *work = nullptr, *reserve = nullptr;  // no reserve: evaluation
  };
  [[nodiscard]] Status forward(const Places& at) const;
  [[nodiscard]] Status backward_data(const Places& at, const float* dy, float* dx) const;
  // Adds to what is at `gradient`, as large as `weights`.
  [[nodiscard]] Status backward_weights(const Places& at, std::byte* gradient) const;

 private:
  template <typename Struct, cudnnStatus_t (*kDestroy)(Struct*)>
  struct Destroy {
    void operator()(Struct* description) const { kDestroy(description); }
  };
  template <typename Struct, cudnnStatus_t (*kDestroy)(Struct*)>
  using Owner = std::unique_ptr<Struct, Destroy<Struct, kDestroy>>;
  using Tensor = Owner<cudnnTensorStruct, &cudnnDestroyTensorDescriptor>;
  using Sequence = Owner<cudnnRNNDataStruct, &cudnnDestroyRNNDataDescriptor>;

  [[nodiscard]] Status create();
  [[nodiscard]] Status describe(const RecurrentDesc& desc);
  [[nodiscard]] Status measure(bool training);

  cudnnHandle_t handle_ = nullptr;
  std::int64_t gates_ = 0;
  std::int32_t samples_ = 0, positions_ = 0, inputs_ = 0, outputs_ = 0;
  std::size_t weight_bytes_ = 0, work_bytes_ = 0, reserve_bytes_ = 0;
  Owner<cudnnRNNStruct, &cudnnDestroyRNNDescriptor> layer_;
  Owner<cudnnDropoutStruct, &cudnnDestroyDropoutDescriptor> dropout_;
  Sequence x_, y_;
  Tensor state_, matrix_, bias_;  // the last two: cuDNN writes there what a part's shape is
  std::string text_;              // "an LSTM of 64 units over 5 samples of 7 x 3", for errors
};

}  // namespace rubato::kernels::cuda
