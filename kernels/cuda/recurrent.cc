// LSTM and GRU on cuDNN. Its parameters lie in one space of cuDNN's layout: each gate's part of each parameter is
// copied there where a version is new, and of the gradient back from there, which cuDNN adds to and is zeroed first.
//
// cuDNN's backward through the positions gives the input's gradient as it comes by, before that of the weights; it
// waits in `saved` until it is asked for. With `last_only` cuDNN's outputs are kept there, too, and what is read last
// is taken from them.
#include <algorithm>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/cudnn_recurrent.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/sequence_kernel.h"

namespace rubato::kernels::cuda {
namespace {

constexpr std::size_t kParameters = 4;  // of a direction

class Recurrent final : public Op {
 public:
  Recurrent(const CudaContext& context, const RecurrentDesc& desc, const PlanHint& hint);
  Status plan();

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys& keys) override;
  // Lengths are a matter of cuDNN's descriptions, on the host.
  [[nodiscard]] std::string_view unrecordable() const override { return "a recurrent layer"; }
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  // Where a parameter's gates lie on the device, and how many numbers each has.
  struct Parameter {
    std::vector<float*> values, gradients;
    std::size_t gate_size = 0;
    std::optional<Version> loaded = std::nullopt;
  };
  Status plan_parameter(std::size_t index);
  Status take_lengths(std::span<const std::int32_t> lengths);
  [[nodiscard]] CudnnRecurrent::Places places() const;
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of a recurrent layer's {} of {} x {} x {} on stream {}", kernel, outputs_.samples,
                 outputs_.positions, outputs_.channels, context_.stream.name());
  }

  const CudaContext& context_;
  const RecurrentDesc desc_;
  const bool training_, input_gradient_;
  const SequenceShape inputs_, outputs_;
  OpInfo info_;
  CudnnRecurrent layer_;
  DeviceArray<std::byte> weights_, gradient_;
  PinnedArray<std::int32_t> host_lengths_;
  DeviceArray<std::int32_t> device_lengths_;
  std::vector<std::int32_t> lengths_;  // that the device has, and cuDNN
  std::vector<Parameter> parameters_;
  Ports ports_;
  // Of all positions: in `saved` or in scratch; the first is the output itself where that has all of them.
  float *states_ = nullptr, *state_gradient_ = nullptr, *input_gradient_at_ = nullptr;
  void *reserve_ = nullptr, *work_ = nullptr;
};

SequenceShape shape_of(const RecurrentDesc& desc, std::int64_t channels) {
  return {static_cast<std::size_t>(desc.input.samples), static_cast<std::size_t>(desc.input.height * desc.input.width),
          static_cast<std::size_t>(channels), static_cast<std::size_t>(desc.units)};
}

Recurrent::Recurrent(const CudaContext& context, const RecurrentDesc& desc, const PlanHint& hint)
    : context_(context),
      desc_(desc),
      training_(hint.training),
      input_gradient_(hint.training && hint.input_gradient),
      inputs_(shape_of(desc, desc.input.channels)),
      outputs_(shape_of(desc, desc.units * desc.directions())) {
  info_.input = desc.input;
  info_.output = output_shape(desc);
  info_.algorithms = {{"forward", "cudnn"}};
  if (training_) info_.algorithms.push_back({"backward", "cudnn"});
}

Status Recurrent::plan() {
  RUBATO_ASSIGN(const cudnnHandle_t handle, context_.cudnn_handle());
  RUBATO_ASSIGN(layer_, CudnnRecurrent::plan(handle, desc_, training_));
  RUBATO_ASSIGN(weights_, DeviceArray<std::byte>::allocate(layer_.weight_bytes()));
  RUBATO_ASSIGN(gradient_, DeviceArray<std::byte>::allocate(training_ ? layer_.weight_bytes() : 0));
  // cuDNN may have room between parts, where nobody else writes.
  RUBATO_TRY(check(cudaMemsetAsync(weights_.data(), 0, weights_.size(), context_.stream.get()),
                   "cudaMemsetAsync of {} bytes on stream {}", weights_.size(), context_.stream.name()));
  RUBATO_ASSIGN(device_lengths_, DeviceArray<std::int32_t>::allocate(inputs_.samples));
  RUBATO_ASSIGN(host_lengths_, PinnedArray<std::int32_t>::allocate(inputs_.samples));
  parameters_.resize(kParameters * static_cast<std::size_t>(desc_.directions()));
  for (std::size_t index = 0; index < parameters_.size(); ++index) RUBATO_TRY(plan_parameter(index));
  info_.private_bytes = weights_.size() + gradient_.size() + device_lengths_.size() * sizeof(std::int32_t);
  const std::size_t states = desc_.last_only ? aligned(outputs_.count() * sizeof(float)) : 0;
  if (training_)
    info_.saved_bytes = aligned(layer_.reserve_bytes()) + aligned(inputs_.count() * sizeof(float)) + states;
  info_.scratch_bytes = states + layer_.work_bytes();
  return {};
}

Status Recurrent::plan_parameter(std::size_t index) {
  const auto direction = static_cast<std::int64_t>(index / kParameters);
  const std::size_t which = index % kParameters;
  const std::int64_t inner = which == 0 ? desc_.input.channels : which == 1 ? desc_.units : 1;
  Parameter& parameter = parameters_[index];
  parameter.gate_size = static_cast<std::size_t>(desc_.units * inner);
  for (std::int64_t gate = 0; gate < desc_.gates(); ++gate) {
    RUBATO_ASSIGN(float* const values, layer_.part(direction, which, gate, weights_.data()));
    parameter.values.push_back(values);
    if (!training_) continue;
    RUBATO_ASSIGN(float* const gradient, layer_.part(direction, which, gate, gradient_.data()));
    parameter.gradients.push_back(gradient);
  }
  return {};
}

void Recurrent::bind(const Ports& ports) {
  ports_ = ports;
  auto* const saved = static_cast<std::byte*>(ports.saved);
  auto* const scratch = static_cast<std::byte*>(ports.scratch);
  auto* const all_positions = reinterpret_cast<float*>(scratch);
  states_ = desc_.last_only ? all_positions : ports.output;
  work_ = desc_.last_only ? scratch + aligned(outputs_.count() * sizeof(float)) : scratch;
  if (!training_) return;
  reserve_ = saved;
  std::byte* const behind = saved + aligned(layer_.reserve_bytes());
  input_gradient_at_ = reinterpret_cast<float*>(behind);
  if (!desc_.last_only) return;
  states_ = reinterpret_cast<float*>(behind + aligned(inputs_.count() * sizeof(float)));
  state_gradient_ = all_positions;
}

Status Recurrent::load(std::size_t index, std::span<const float> values, Version version) {
  RUBATO_CHECK(index < parameters_.size(), "parameter {} of a recurrent layer", index);
  Parameter& parameter = parameters_[index];
  RUBATO_CHECK(values.size() == parameter.values.size() * parameter.gate_size, "{} values for parameter {} of {}",
               values.size(), index, parameter.values.size() * parameter.gate_size);
  if (parameter.loaded == version) return {};
  parameter.loaded.reset();  // should a copy fail
  for (std::size_t gate = 0; gate < parameter.values.size(); ++gate)
    RUBATO_TRY(context_.bring(values.subspan(gate * parameter.gate_size, parameter.gate_size), parameter.values[gate]));
  parameter.loaded = version;
  return {};
}

// None: all are whole.
Status Recurrent::take_lengths(std::span<const std::int32_t> lengths) {
  RUBATO_CHECK(lengths.empty() || lengths.size() == inputs_.samples, "{} lengths for {} samples", lengths.size(),
               inputs_.samples);
  const auto positions = static_cast<std::int32_t>(inputs_.positions);
  std::vector<std::int32_t> wanted(inputs_.samples, positions);
  for (std::size_t sample = 0; sample < lengths.size(); ++sample) {
    RUBATO_CHECK(lengths[sample] > 0, "a sequence without positions: sample {}", sample);
    wanted[sample] = std::min(lengths[sample], positions);
  }
  if (wanted == lengths_) return {};
  lengths_.clear();  // should a call fail
  RUBATO_TRY(layer_.set_lengths(wanted));
  std::ranges::copy(wanted, host_lengths_.span().begin());
  RUBATO_TRY(context_.bring_pinned<std::int32_t>(host_lengths_.span(), device_lengths_.data()));
  lengths_ = std::move(wanted);
  return {};
}

CudnnRecurrent::Places Recurrent::places() const {
  return {device_lengths_.data(), ports_.input, states_, weights_.data(), work_, reserve_};
}

Status Recurrent::forward(const SampleKeys& keys) {
  RUBATO_TRY(take_lengths(keys.lengths));
  RUBATO_TRY(layer_.forward(places()));
  if (!desc_.last_only) return {};
  return launched(enqueue_last(outputs_, device_lengths_.data(), states_, ports_.output, context_.stream.get()),
                  "last states");
}

Status Recurrent::begin_backward() {
  const float* gradient = ports_.output_gradient;
  if (desc_.last_only) {
    RUBATO_TRY(launched(
        enqueue_last_gradient(outputs_, device_lengths_.data(), gradient, state_gradient_, context_.stream.get()),
        "last states' gradient"));
    gradient = state_gradient_;
  }
  return layer_.backward_data(places(), gradient, input_gradient_at_);
}

Status Recurrent::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters_.size(), "{} gradient buffers of a recurrent layer", gradients.size());
  RUBATO_TRY(check(cudaMemsetAsync(gradient_.data(), 0, gradient_.size(), context_.stream.get()),
                   "cudaMemsetAsync of {} bytes on stream {}", gradient_.size(), context_.stream.name()));
  RUBATO_TRY(layer_.backward_weights(places(), gradient_.data()));
  for (std::size_t index = 0; index < gradients.size(); ++index) {
    const Parameter& parameter = parameters_[index];
    RUBATO_CHECK(gradients[index].size() == parameter.gradients.size() * parameter.gate_size,
                 "room for {} of the gradient of a recurrent layer's parameter {}", gradients[index].size(), index);
    for (std::size_t gate = 0; gate < parameter.gradients.size(); ++gate)
      RUBATO_TRY(context_.send<float>(parameter.gradients[gate],
                                      gradients[index].subspan(gate * parameter.gate_size, parameter.gate_size)));
  }
  return {};
}

Status Recurrent::backward_data() {
  RUBATO_CHECK(input_gradient_, "a recurrent layer that was planned without an input gradient");
  return launched(enqueue_what_is_there(inputs_, device_lengths_.data(), input_gradient_at_, ports_.input_gradient,
                                        context_.stream.get()),
                  "input gradient");
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const RecurrentDesc& desc, const PlanHint& hint) {
  return planned<Recurrent>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
