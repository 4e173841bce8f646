// Dropout. Its mask (kernels/dropout_mask.h) is kept, a byte an element, since drawing costs more than reading.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/rng.h"
#include "kernels/cpu/ops.h"
#include "kernels/dropout_mask.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

class Dropout final : public ParameterlessOp {
 public:
  Dropout(const CpuContext& context, const DropoutDesc& desc)
      : threads_(context.threads),
        seed_(desc.seed),
        layer_(desc.layer),
        rate_(static_cast<float>(desc.rate)),
        scale_(static_cast<float>(1.0 / (1.0 - desc.rate))) {
    info_.input = info_.output = desc.input;
    info_.saved_bytes = static_cast<std::size_t>(desc.input.elements());
    info_.algorithms = {{"forward", "philox"}, {"backward_data", "mask"}};
  }

  Status forward(const SampleKeys& keys) override;
  Status begin_backward() override { return {}; }
  Status backward_data() override;

 private:
  const int threads_;
  const std::uint64_t seed_;
  const std::uint32_t layer_;
  const float rate_, scale_;
};

Status Dropout::forward(const SampleKeys& keys) {
  RUBATO_CHECK(keys.ids.size() == static_cast<std::size_t>(info_.input.samples), "dropout of {} samples has {} ids",
               info_.input.samples, keys.ids.size());
  const std::uint64_t key = stream_key(seed_, "dropout", keys.epoch);
  const std::int64_t width = info_.input.elements_per_sample();
  auto* const alive = static_cast<std::uint8_t*>(ports_.saved);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < info_.input.samples; ++sample) {
    PhiloxBlock block{};
    for (std::int64_t element = 0; element < width; ++element) {
      const auto index = static_cast<std::uint64_t>(element);
      if (index % 4 == 0) {
        block = dropout_bits(key, layer_, index / 4, keys.ids[static_cast<std::size_t>(sample)]);
      }
      const std::int64_t at = sample * width + element;
      alive[at] = dropout_keeps(block[index % 4], rate_) ? 1 : 0;
      ports_.output[at] = alive[at] != 0 ? scale_ * ports_.input[at] : 0.0f;
    }
  }
  return {};
}

Status Dropout::backward_data() {
  const auto* const alive = static_cast<const std::uint8_t*>(ports_.saved);
  for (std::int64_t i = 0; i < info_.input.elements(); ++i) {
    ports_.input_gradient[i] = alive[i] != 0 ? scale_ * ports_.output_gradient[i] : 0.0f;
  }
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const DropoutDesc& desc, const PlanHint& hint) {
  RUBATO_CHECK(hint.training && desc.rate > 0.0 && desc.rate < 1.0, "dropout at rate {}: only in training", desc.rate);
  return std::make_unique<Dropout>(context, desc);
}

}  // namespace rubato::kernels
