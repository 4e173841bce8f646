// Layer normalization by kernels of our own. For backward `saved` has the moments of each position and, once
// begin_backward has been, the two means that an input's gradient needs.
#include "base/check.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/layer_norm_kernel.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

class LayerNorm final : public Op {
 public:
  LayerNorm(const CudaContext& context, const LayerNormDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Status launched(cudaError_t error, const char* what) const {
    return check(error, "launch of a layer normalization{} of {} x {} on stream {}", what, shape_.rows, shape_.channels,
                 context_.stream.name());
  }

  const CudaContext& context_;
  const bool training_;
  const NormShape shape_;
  OpInfo info_;
  DeviceParameter weight_, bias_;
  Ports ports_;
  NormMoments* moments_ = nullptr;  // in `saved`, with the means behind them
  NormMeans* means_ = nullptr;
};

LayerNorm::LayerNorm(const CudaContext& context, const LayerNormDesc& desc, const PlanHint& hint)
    : context_(context),
      training_(hint.training),
      shape_{static_cast<std::size_t>(desc.input.elements() / desc.input.channels),
             static_cast<std::size_t>(desc.input.channels), static_cast<float>(desc.epsilon)} {
  info_.input = info_.output = desc.input;
  if (training_) info_.saved_bytes = shape_.rows * (sizeof(NormMoments) + sizeof(NormMeans));
  info_.algorithms = {{"forward", "kernel"}};
  if (training_) info_.algorithms.push_back({"backward", "kernel"});
}

Status LayerNorm::plan() {
  RUBATO_ASSIGN(weight_, DeviceParameter::allocate(shape_.channels, training_));
  RUBATO_ASSIGN(bias_, DeviceParameter::allocate(shape_.channels, training_));
  info_.private_bytes = weight_.bytes() + bias_.bytes();
  return {};
}

void LayerNorm::bind(const Ports& ports) {
  ports_ = ports;
  if (!training_) return;
  moments_ = static_cast<NormMoments*>(ports.saved);
  means_ = reinterpret_cast<NormMeans*>(moments_ + shape_.rows);
}

Status LayerNorm::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < 2, "parameter {} of a layer normalization", index);
  return (index == 0 ? weight_ : bias_).load(context_, values, version);
}

Status LayerNorm::forward(const SampleKeys&) {
  return launched(enqueue_layer_norm(shape_, ports_.input, weight_.values(), bias_.values(), ports_.output, moments_,
                                     context_.stream.get()),
                  "");
}

Status LayerNorm::begin_backward() {
  return launched(enqueue_layer_norm_means(shape_, ports_.input, ports_.output_gradient, weight_.values(), moments_,
                                           means_, context_.stream.get()),
                  "'s means");
}

Status LayerNorm::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == 2, "{} gradient buffers of a layer normalization", gradients.size());
  RUBATO_TRY(launched(enqueue_layer_norm_weights(shape_, ports_.input, ports_.output_gradient, moments_,
                                                 weight_.gradient(), bias_.gradient(), context_.stream.get()),
                      "'s weights' gradients"));
  RUBATO_TRY(weight_.give_gradient(context_, gradients[0]));
  return bias_.give_gradient(context_, gradients[1]);
}

Status LayerNorm::backward_data() {
  return launched(enqueue_layer_norm_data(shape_, ports_.input, ports_.output_gradient, weight_.values(), moments_,
                                          means_, ports_.input_gradient, context_.stream.get()),
                  "'s input gradient");
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const LayerNormDesc& desc, const PlanHint& hint) {
  auto norm = std::make_unique<LayerNorm>(context, desc, hint);
  RUBATO_TRY(norm->plan());
  return std::unique_ptr<Op>(std::move(norm));
}

}  // namespace rubato::kernels::cuda
