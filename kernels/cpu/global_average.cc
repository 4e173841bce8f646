// The mean of each channel over all pixels of a sample, or those of its positions (rows) that are there. Means lie the
// same way in either layout.
#include <algorithm>
#include <cstddef>

#include "kernels/cpu/ops.h"
#include "kernels/cpu/tensor_layout.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

void average(const float* __restrict from, std::int64_t pixels, std::int64_t channels, float* __restrict to) {
  for (std::int64_t c = 0; c < channels; ++c) to[c] = from[c];
  for (std::int64_t p = 1; p < pixels; ++p)
    for (std::int64_t c = 0; c < channels; ++c) to[c] += from[p * channels + c];
  const auto n = static_cast<float>(pixels);
  for (std::int64_t c = 0; c < channels; ++c) to[c] /= n;
}

// Over the first `pixels` of `all`; the others get zeros.
void spread(const float* __restrict from, std::int64_t pixels, std::int64_t all, std::int64_t channels,
            float* __restrict to) {
  const auto n = static_cast<float>(pixels);
  for (std::int64_t p = 0; p < pixels; ++p)
    for (std::int64_t c = 0; c < channels; ++c) to[p * channels + c] = from[c] / n;
  std::fill(to + pixels * channels, to + all * channels, 0.0f);
}

class GlobalAverage final : public ParameterlessOp {
 public:
  GlobalAverage(const CpuContext& context, const GlobalAverageDesc& desc, const PlanHint& hint)
      : threads_(context.threads),
        samples_(as_rows(desc.input, hint.input).samples),
        blocks_(samples_ / desc.input.samples),
        height_(desc.input.height),
        width_(desc.input.width),
        pixels_(height_ * width_),
        channels_(as_rows(desc.input, hint.input).channels) {
    info_.input = desc.input;
    info_.output = output_shape(desc);
    info_.algorithms = {{"forward", "rows"}, {"backward_data", "rows"}};
  }

  Status forward(const SampleKeys& keys) override {
    lengths_ = keys.lengths;
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < samples_; ++n)
      average(ports_.input + n * pixels_ * channels_, there(n), channels_, ports_.output + n * channels_);
    return {};
  }
  Status begin_backward() override { return {}; }
  Status backward_data() override {
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < samples_; ++n)
      spread(ports_.output_gradient + n * channels_, there(n), pixels_, channels_,
             ports_.input_gradient + n * pixels_ * channels_);
    return {};
  }

 private:
  // Pixels of the n-th sample, or block of channels of one.
  [[nodiscard]] std::int64_t there(std::int64_t n) const {
    if (lengths_.empty()) return pixels_;
    return std::min<std::int64_t>(lengths_[static_cast<std::size_t>(n / blocks_)], height_) * width_;
  }

  const int threads_;
  const std::int64_t samples_, blocks_, height_, width_, pixels_, channels_;
  std::span<const std::int32_t> lengths_;  // of the step at hand
};

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const GlobalAverageDesc& desc, const PlanHint& hint) {
  return std::make_unique<GlobalAverage>(context, desc, hint);
}

}  // namespace rubato::kernels
