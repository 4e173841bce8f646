// Layer and group normalization by kernels of our own. For backward `saved` has the moments of each group and, once
// begin_backward has been, the two means that an input's gradient needs.
#include "base/check.h"
#include "kernels/cuda/device_parameter.h"
#include "kernels/cuda/norm_kernel.h"
#include "kernels/cuda/ops.h"

namespace rubato::kernels::cuda {
namespace {

class Norm final : public Op {
 public:
  Norm(const CudaContext& context, const NormShape& shape, const TensorShape& input, bool training);
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
    return check(error, "launch of a normalization{} of {} x {} x {} in {} groups on stream {}", what, shape_.samples,
                 shape_.pixels, shape_.channels, shape_.groups, context_.stream.name());
  }
  [[nodiscard]] std::size_t groups() const { return shape_.samples * shape_.groups; }

  const CudaContext& context_;
  const bool training_;
  const NormShape shape_;
  OpInfo info_;
  DeviceParameter weight_, bias_;
  Ports ports_;
  NormMoments* moments_ = nullptr;  // in `saved`, with the means behind them
  NormMeans* means_ = nullptr;
};

Norm::Norm(const CudaContext& context, const NormShape& shape, const TensorShape& input, bool training)
    : context_(context), training_(training), shape_(shape) {
  info_.input = info_.output = input;
  if (training_) info_.saved_bytes = groups() * (sizeof(NormMoments) + sizeof(NormMeans));
  info_.algorithms = {{"forward", "kernel"}};
  if (training_) info_.algorithms.push_back({"backward", "kernel"});
}

Status Norm::plan() {
  RUBATO_ASSIGN(weight_, DeviceParameter::allocate(shape_.channels, training_));
  RUBATO_ASSIGN(bias_, DeviceParameter::allocate(shape_.channels, training_));
  info_.private_bytes = weight_.bytes() + bias_.bytes();
  return {};
}

void Norm::bind(const Ports& ports) {
  ports_ = ports;
  if (!training_) return;
  moments_ = static_cast<NormMoments*>(ports.saved);
  means_ = reinterpret_cast<NormMeans*>(moments_ + groups());
}

Status Norm::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < 2, "parameter {} of a normalization", index);
  return (index == 0 ? weight_ : bias_).load(context_, values, version);
}

Status Norm::forward(const SampleKeys&) {
  return launched(enqueue_norm(shape_, ports_.input, weight_.values(), bias_.values(), ports_.output, moments_,
                               context_.stream.get()),
                  "");
}

Status Norm::begin_backward() {
  return launched(enqueue_norm_means(shape_, ports_.input, ports_.output_gradient, weight_.values(), moments_, means_,
                                     context_.stream.get()),
                  "'s means");
}

Status Norm::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == 2, "{} gradient buffers of a normalization", gradients.size());
  RUBATO_TRY(launched(enqueue_norm_weights(shape_, ports_.input, ports_.output_gradient, moments_, weight_.gradient(),
                                           bias_.gradient(), context_.stream.get()),
                      "'s weights' gradients"));
  RUBATO_TRY(weight_.give_gradient(context_, gradients[0]));
  return bias_.give_gradient(context_, gradients[1]);
}

Status Norm::backward_data() {
  return launched(enqueue_norm_data(shape_, ports_.input, ports_.output_gradient, weight_.values(), moments_, means_,
                                    ports_.input_gradient, context_.stream.get()),
                  "'s input gradient");
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const LayerNormDesc& desc, const PlanHint& hint) {
  return planned<Norm>(context,
                       NormShape{.samples = static_cast<std::size_t>(desc.input.elements() / desc.input.channels),
                                 .channels = static_cast<std::size_t>(desc.input.channels),
                                 .epsilon = static_cast<float>(desc.epsilon)},
                       desc.input, hint.training);
}

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const GroupNormDesc& desc, const PlanHint& hint) {
  RUBATO_CHECK(desc.groups > 0 && desc.input.channels % desc.groups == 0, "{} groups of {} channels", desc.groups,
               desc.input.channels);
  return planned<Norm>(context,
                       NormShape{.samples = static_cast<std::size_t>(desc.input.samples),
                                 .pixels = static_cast<std::size_t>(desc.input.height * desc.input.width),
                                 .channels = static_cast<std::size_t>(desc.input.channels),
                                 .groups = static_cast<std::size_t>(desc.groups),
                                 .epsilon = static_cast<float>(desc.epsilon)},
                       desc.input, hint.training);
}

}  // namespace rubato::kernels::cuda
