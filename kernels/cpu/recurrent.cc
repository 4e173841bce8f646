// LSTM and GRU: a direction (recurrent_direction.h), or two that write their channels into one output and add up in the
// input's gradient. They take turns with the scratch.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/recurrent_direction.h"
#include "kernels/cpu/sequence_lengths.h"

namespace rubato::kernels {
namespace {

constexpr std::size_t kParameters = 4;  // of a direction

class Recurrent final : public Op {
 public:
  Recurrent(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint)
      : units_(desc.units), lengths_(desc.input.samples, desc.input.height * desc.input.width) {
    for (std::int64_t i = 0; i < desc.directions(); ++i)
      directions_.emplace_back(desc, i > 0, hint.training, context.threads, lengths_);
    info_.input = desc.input;
    info_.output = output_shape(desc);
    const auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
    info_.saved_bytes = bytes(desc.directions() * directions_.front().saved_floats());
    info_.scratch_bytes = bytes(directions_.front().scratch_floats());
    info_.algorithms = {{"forward", "sgemm"}};
    if (hint.training) info_.algorithms.push_back({"backward", "sgemm"});
  }

  [[nodiscard]] const OpInfo& info() const override { return info_; }

  void bind(const Ports& ports) override {
    input_gradient_ = ports.input_gradient;
    std::int64_t channel = 0;
    auto* saved = static_cast<float*>(ports.saved);
    for (RecurrentDirection& direction : directions_) {
      const float* const gradient = ports.output_gradient == nullptr ? nullptr : ports.output_gradient + channel;
      direction.bind({ports.input, ports.output + channel, gradient, saved, static_cast<float*>(ports.scratch)});
      channel += units_;
      if (saved != nullptr) saved += direction.saved_floats();
    }
  }

  Status load(std::size_t index, std::span<const float> values, Version) override {
    directions_.at(index / kParameters).load(index % kParameters, values);
    return {};
  }

  Status forward(const SampleKeys& keys) override {
    lengths_.take(keys.lengths);
    for (RecurrentDirection& direction : directions_) RUBATO_TRY(direction.forward());
    return {};
  }

  Status begin_backward() override {
    for (RecurrentDirection& direction : directions_) RUBATO_TRY(direction.to_gates());
    return {};
  }

  Status backward_weights(std::span<const std::span<float>> gradients) override {
    RUBATO_CHECK(gradients.size() == directions_.size() * kParameters, "{} gradients of a recurrent layer",
                 gradients.size());
    for (std::size_t i = 0; i < directions_.size(); ++i)
      RUBATO_TRY(directions_[i].write_weights(gradients.subspan(i * kParameters, kParameters)));
    return {};
  }

  Status backward_data() override {
    for (std::size_t i = 0; i < directions_.size(); ++i) RUBATO_TRY(directions_[i].write_input(input_gradient_, i > 0));
    return {};
  }

 private:
  const std::int64_t units_;
  SequenceLengths lengths_;
  std::vector<RecurrentDirection> directions_;  // they look at lengths_
  OpInfo info_;
  float* input_gradient_ = nullptr;
};

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const RecurrentDesc& desc, const PlanHint& hint) {
  return std::make_unique<Recurrent>(context, desc, hint);
}

}  // namespace rubato::kernels
