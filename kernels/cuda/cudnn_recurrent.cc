#include "kernels/cuda/cudnn_recurrent.h"

#include <fmt/format.h>

#include <vector>

#include "kernels/cuda/cudnn.h"

namespace rubato::kernels::cuda {
namespace {

template <typename Owned, typename Handle>
Status make(Owned& owner, cudnnStatus_t (*create)(Handle*), const char* name) {
  Handle handle = nullptr;
  RUBATO_TRY(check(create(&handle), "{}", name));
  owner.reset(handle);
  return {};
}

constexpr float kZero = 0.0f;  // what outputs are behind a sample's end

}  // namespace

Result<CudnnRecurrent> CudnnRecurrent::plan(cudnnHandle_t handle, const RecurrentDesc& desc, bool training) {
  CudnnRecurrent plan;
  plan.handle_ = handle;
  plan.gates_ = desc.gates();
  plan.samples_ = static_cast<std::int32_t>(desc.input.samples);
  plan.positions_ = static_cast<std::int32_t>(desc.input.height * desc.input.width);
  plan.inputs_ = static_cast<std::int32_t>(desc.input.channels);
  plan.outputs_ = static_cast<std::int32_t>(desc.units * desc.directions());
  plan.text_ = fmt::format("{} of {} units over {} samples of {} x {}",
                           desc.cell == RecurrentDesc::Cell::kLstm ? "an LSTM" : "a GRU", desc.units,
                           desc.input.samples, plan.positions_, desc.input.channels);
  RUBATO_TRY(plan.create());
  RUBATO_TRY(plan.describe(desc));
  const std::vector<std::int32_t> whole(static_cast<std::size_t>(plan.samples_), plan.positions_);
  RUBATO_TRY(plan.set_lengths(whole));
  RUBATO_TRY(plan.measure(training));
  return plan;
}

Status CudnnRecurrent::create() {
  RUBATO_TRY(make(layer_, &cudnnCreateRNNDescriptor, "cudnnCreateRNNDescriptor"));
  RUBATO_TRY(make(dropout_, &cudnnCreateDropoutDescriptor, "cudnnCreateDropoutDescriptor"));
  for (Sequence* sequence : {&x_, &y_})
    RUBATO_TRY(make(*sequence, &cudnnCreateRNNDataDescriptor, "cudnnCreateRNNDataDescriptor"));
  for (Tensor* tensor : {&state_, &matrix_, &bias_})
    RUBATO_TRY(make(*tensor, &cudnnCreateTensorDescriptor, "cudnnCreateTensorDescriptor"));
  return {};
}

// Samples lie one after the other, with room for all of their positions. There is no dropout between layers, of which
// there is one; cuDNN wants to be told.
Status CudnnRecurrent::describe(const RecurrentDesc& desc) {
  RUBATO_TRY(check(cudnnSetDropoutDescriptor(dropout_.get(), handle_, 0.0f, nullptr, 0, 0),
                   "cudnnSetDropoutDescriptor for {}", text_));
  const auto units = static_cast<std::int32_t>(desc.units), directions = static_cast<std::int32_t>(desc.directions());
  RUBATO_TRY(check(
      cudnnSetRNNDescriptor_v8(layer_.get(), CUDNN_RNN_ALGO_STANDARD,
                               desc.cell == RecurrentDesc::Cell::kLstm ? CUDNN_LSTM : CUDNN_GRU, CUDNN_RNN_DOUBLE_BIAS,
                               desc.bidirectional ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT,
                               CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, inputs_, units, units, 1,
                               dropout_.get(), CUDNN_RNN_PADDED_IO_ENABLED),
      "cudnnSetRNNDescriptor_v8 for {}", text_));
  const std::array<int, 3> shape{directions, samples_, units}, steps{samples_ * units, units, 1};
  return check(cudnnSetTensorNdDescriptor(state_.get(), CUDNN_DATA_FLOAT, 3, shape.data(), steps.data()),
               "cudnnSetTensorNdDescriptor for {}", text_);
}

Status CudnnRecurrent::measure(bool training) {
  RUBATO_TRY(check(cudnnGetRNNWeightSpaceSize(handle_, layer_.get(), &weight_bytes_),
                   "cudnnGetRNNWeightSpaceSize of {}", text_));
  return check(
      cudnnGetRNNTempSpaceSizes(handle_, layer_.get(), training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE,
                                x_.get(), &work_bytes_, &reserve_bytes_),
      "cudnnGetRNNTempSpaceSizes of {}", text_);
}

Status CudnnRecurrent::set_lengths(std::span<const std::int32_t> lengths) {
  float fill = kZero;
  const auto set = [&](const Sequence& sequence, std::int32_t width) {
    return check(cudnnSetRNNDataDescriptor(sequence.get(), CUDNN_DATA_FLOAT, CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED,
                                           positions_, samples_, width, lengths.data(), &fill),
                 "cudnnSetRNNDataDescriptor for {}", text_);
  };
  RUBATO_TRY(set(x_, inputs_));
  return set(y_, outputs_);
}

Result<float*> CudnnRecurrent::part(std::int64_t direction, std::size_t parameter, std::int64_t gate,
                                    std::byte* weights) const {
  const bool of_state = parameter % 2 == 1;
  const auto id = static_cast<std::int32_t>(of_state ? gates_ + gate : gate);
  void *matrix = nullptr, *bias = nullptr;
  RUBATO_TRY(check(cudnnGetRNNWeightParams(handle_, layer_.get(), static_cast<std::int32_t>(direction), weight_bytes_,
                                           weights, id, matrix_.get(), &matrix, bias_.get(), &bias),
                   "cudnnGetRNNWeightParams of part {} of {}", id, text_));
  return static_cast<float*>(parameter < 2 ? matrix : bias);
}

Status CudnnRecurrent::forward(const Places& at) const {
  const bool training = at.reserve != nullptr;
  return check(
      cudnnRNNForward(handle_, layer_.get(), training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, at.lengths,
                      x_.get(), at.x, y_.get(), at.y, state_.get(), nullptr, nullptr, state_.get(), nullptr, nullptr,
                      weight_bytes_, at.weights, work_bytes_, at.work, training ? reserve_bytes_ : 0, at.reserve),
      "cudnnRNNForward of {}", text_);
}

Status CudnnRecurrent::backward_data(const Places& at, const float* dy, float* dx) const {
  return check(cudnnRNNBackwardData_v8(handle_, layer_.get(), at.lengths, y_.get(), at.y, dy, x_.get(), dx,
                                       state_.get(), nullptr, nullptr, nullptr, state_.get(), nullptr, nullptr, nullptr,
                                       weight_bytes_, at.weights, work_bytes_, at.work, reserve_bytes_, at.reserve),
               "cudnnRNNBackwardData_v8 of {}", text_);
}

Status CudnnRecurrent::backward_weights(const Places& at, std::byte* gradient) const {
  return check(cudnnRNNBackwardWeights_v8(handle_, layer_.get(), CUDNN_WGRAD_MODE_ADD, at.lengths, x_.get(), at.x,
                                          state_.get(), nullptr, y_.get(), at.y, weight_bytes_, gradient, work_bytes_,
                                          at.work, reserve_bytes_, at.reserve),
               "cudnnRNNBackwardWeights_v8 of {}", text_);
}

}  // namespace rubato::kernels::cuda
