// Batch normalization by kernels of our own, with an addend and ReLU behind it. What a channel is normalized by, and
// its gradient's sums, are few numbers, and lie in memory of the operation's own.
#include "base/check.h"
#include "kernels/cuda/batch_norm_kernel.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/pointwise.h"

namespace rubato::kernels::cuda {
namespace {

constexpr std::size_t kParameters = 4;  // weight, bias, running mean, running variance

class BatchNorm final : public Op {
 public:
  BatchNorm(const CudaContext& context, const BatchNormDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override { ports_ = ports; }
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Status launched(cudaError_t error, const char* what) const {
    return check(error, "launch of a batch normalization's {} over {} x {} on stream {}", what, shape_.rows,
                 shape_.channels, context_.stream.name());
  }

  const CudaContext& context_;
  const bool training_, by_running_means_;
  const BatchShape shape_;
  const float samples_;
  OpInfo info_;
  DeviceParameter parameters_[kParameters];
  DeviceArray<BatchMoments> moments_;
  DeviceArray<BatchSums> sums_;
  Ports ports_;
};

BatchNorm::BatchNorm(const CudaContext& context, const BatchNormDesc& desc, const PlanHint& hint)
    : context_(context),
      training_(hint.training),
      by_running_means_(!hint.training || desc.fixed),
      shape_{static_cast<std::size_t>(desc.input.elements() / desc.input.channels),
             static_cast<std::size_t>(desc.input.channels), static_cast<float>(desc.epsilon), desc.activation},
      samples_(static_cast<float>(desc.input.samples)) {
  RUBATO_CHECK(desc.activation == Activation::kRelu || desc.activation == Activation::kNone,
               "a batch normalization with activation {}", static_cast<int>(desc.activation));
  info_.input = info_.output = desc.input;
  info_.algorithms = {{"forward", "kernel"}};
  if (training_) info_.algorithms.push_back({"backward", "kernel"});
}

Status BatchNorm::plan() {
  for (std::size_t i = 0; i < kParameters; ++i) {
    RUBATO_ASSIGN(parameters_[i], DeviceParameter::allocate(shape_.channels, training_));
    info_.private_bytes += parameters_[i].bytes();
  }
  RUBATO_ASSIGN(moments_, DeviceArray<BatchMoments>::allocate(shape_.channels));
  RUBATO_ASSIGN(sums_, DeviceArray<BatchSums>::allocate(training_ ? shape_.channels : 0));
  info_.private_bytes += moments_.size() * sizeof(BatchMoments) + sums_.size() * sizeof(BatchSums);
  return {};
}

Status BatchNorm::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < kParameters, "parameter {} of a batch normalization", index);
  return parameters_[index].load(context_, values, version);
}

Status BatchNorm::forward(const SampleKeys&) {
  const cudaStream_t stream = context_.stream.get();
  RUBATO_TRY(launched(by_running_means_ ? enqueue_running_moments(shape_, parameters_[2].values(),
                                                                  parameters_[3].values(), moments_.data(), stream)
                                        : enqueue_batch_moments(shape_, ports_.input, moments_.data(), stream),
                      "moments"));
  return launched(enqueue_batch_norm(shape_, ports_.input, moments_.data(), parameters_[0].values(),
                                     parameters_[1].values(), ports_.addend, ports_.output, stream),
                  "output");
}

Status BatchNorm::begin_backward() {
  float* const gradient = ports_.output_gradient;
  if (shape_.activation != Activation::kNone)
    RUBATO_TRY(launched(enqueue_activation_gradient(shape_.activation, ports_.output, gradient, gradient,
                                                    shape_.rows * shape_.channels, context_.stream.get()),
                        "activation's gradient"));
  return launched(enqueue_batch_sums(shape_, ports_.input, gradient, moments_.data(), sums_.data(),
                                     parameters_[0].gradient(), parameters_[1].gradient(), context_.stream.get()),
                  "sums");
}

// PyTorch keeps the variance over one row less; of a single row there is none, and the running one is to stay as it is.
Status BatchNorm::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == kParameters, "{} gradient buffers of a batch normalization", gradients.size());
  const auto rows = static_cast<float>(shape_.rows);
  const bool stays = by_running_means_ || shape_.rows == 1;
  const float unbiased = stays ? 1.0f : rows / (rows - 1.0f);
  RUBATO_TRY(launched(
      enqueue_running_gradients(shape_, moments_.data(), stays ? parameters_[3].values() : nullptr, samples_, unbiased,
                                parameters_[2].gradient(), parameters_[3].gradient(), context_.stream.get()),
      "running means"));
  for (std::size_t i = 0; i < kParameters; ++i) RUBATO_TRY(parameters_[i].give_gradient(context_, gradients[i]));
  return {};
}

Status BatchNorm::backward_data() {
  return launched(enqueue_batch_norm_data(shape_, ports_.input, ports_.output_gradient, moments_.data(),
                                          by_running_means_ ? nullptr : sums_.data(), parameters_[0].values(),
                                          ports_.input_gradient, context_.stream.get()),
                  "input gradient");
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const BatchNormDesc& desc, const PlanHint& hint) {
  return planned<BatchNorm>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
