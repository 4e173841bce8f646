// Products of matrices are oneDNN's sgemm. The gradient is one product: rows of the data and of the chains stand one
// under the other, and the hidden probabilities of the data have a minus.
#include <dnnl.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"
#include "base/rng.h"
#include "kernels/cpu/ops.h"
#include "kernels/gibbs_draw.h"

namespace rubato::kernels {
namespace {

class CpuRbm final : public Rbm {
 public:
  CpuRbm(const CpuContext& context, const RbmDesc& desc)
      : threads_(context.threads),
        desc_(desc),
        visible_(2 * count(desc.visible)),
        hidden_(2 * count(desc.hidden)),
        reconstruction_(count(desc.visible)) {
    RUBATO_CHECK(desc.visible > 0 && desc.hidden > 0 && desc.samples_max > 0 && desc.steps > 0, "an empty machine");
  }

  Status hidden(const RbmWeights& at, std::span<const float> visible, std::span<float> hidden) override {
    return up(at, visible.data(), samples_of(visible), hidden.data());
  }
  Result<double> reconstruction_error(const RbmWeights& at, std::span<const float> visible) override;
  Status gradient(const RbmWeights& at, const SampleKeys& keys, std::span<const float> visible,
                  std::vector<float>* chains, const RbmGradient& gradient) override;

 private:
  [[nodiscard]] std::size_t count(std::int64_t units) const {
    return static_cast<std::size_t>(desc_.samples_max * units);
  }
  [[nodiscard]] std::int64_t samples_of(std::span<const float> visible) const {
    const auto samples = static_cast<std::int64_t>(visible.size()) / desc_.visible;
    RUBATO_CHECK(samples >= 1 && samples <= desc_.samples_max &&
                     static_cast<std::int64_t>(visible.size()) == samples * desc_.visible,
                 "{} numbers for at most {} samples of {}", visible.size(), desc_.samples_max, desc_.visible);
    return samples;
  }
  static Status multiply(char left, char right, std::int64_t rows, std::int64_t columns, std::int64_t inner,
                         const float* a, std::int64_t a_row, const float* b, std::int64_t b_row, float* to) {
    const dnnl_status_t status =
        dnnl_sgemm(left, right, rows, columns, inner, 1.0f, a, a_row, b, b_row, 0.0f, to, columns);
    if (status != dnnl_success) return Error{Cause::kDevice, "oneDNN's sgemm failed"};
    return {};
  }
  // Equations 7 and 8.
  Status up(const RbmWeights& at, const float* visible, std::int64_t samples, float* hidden) const {
    RUBATO_TRY(multiply('N', 'T', samples, desc_.hidden, desc_.visible, visible, desc_.visible, at.weights.data(),
                        desc_.visible, hidden));
    squash(hidden, samples, at.hidden_bias);
    return {};
  }
  Status down(const RbmWeights& at, const float* hidden, std::int64_t samples, float* visible) const {
    RUBATO_TRY(multiply('N', 'N', samples, desc_.visible, desc_.hidden, hidden, desc_.hidden, at.weights.data(),
                        desc_.visible, visible));
    squash(visible, samples, at.visible_bias);
    return {};
  }
  void squash(float* rows, std::int64_t samples, std::span<const float> bias) const;
  void draw(float* rows, std::int64_t units, const SampleKeys& keys, std::int64_t step, RbmSide side) const;

  const int threads_;
  const RbmDesc desc_;
  std::vector<float> visible_, hidden_;  // of the data, and of the chains under it
  std::vector<float> reconstruction_;
};

void CpuRbm::squash(float* rows, std::int64_t samples, std::span<const float> bias) const {
  const auto units = static_cast<std::int64_t>(bias.size());
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    float* const row = rows + sample * units;
    for (std::int64_t i = 0; i < units; ++i) row[i] = 1.0f / (1.0f + std::exp(-(row[i] + bias[i])));
  }
}

// Probabilities become states.
void CpuRbm::draw(float* rows, std::int64_t units, const SampleKeys& keys, std::int64_t step, RbmSide side) const {
  const std::uint64_t key = stream_key(stream_key(desc_.seed, "gibbs", desc_.machine), "epoch", keys.epoch);
  const GibbsDraw place{key, static_cast<std::uint64_t>(step), side};
  const auto samples = static_cast<std::int64_t>(keys.ids.size());
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    float* const row = rows + sample * units;
    for (std::int64_t first = 0; first < units; first += 4) {
      const PhiloxBlock block =
          gibbs_bits(place, static_cast<std::uint64_t>(first / 4), keys.ids[static_cast<std::size_t>(sample)]);
      for (std::int64_t i = first; i < std::min(first + 4, units); ++i)
        row[i] = gibbs_state(block[static_cast<std::size_t>(i - first)], row[i]);
    }
  }
}

Result<double> CpuRbm::reconstruction_error(const RbmWeights& at, std::span<const float> visible) {
  const std::int64_t samples = samples_of(visible);
  RUBATO_TRY(up(at, visible.data(), samples, hidden_.data()));
  RUBATO_TRY(down(at, hidden_.data(), samples, reconstruction_.data()));
  double sum = 0.0;
  for (std::size_t i = 0; i < visible.size(); ++i) {
    const double off = static_cast<double>(visible[i]) - static_cast<double>(reconstruction_[i]);
    sum += off * off;
  }
  return sum / static_cast<double>(desc_.visible);
}

Status CpuRbm::gradient(const RbmWeights& at, const SampleKeys& keys, std::span<const float> visible,
                        std::vector<float>* chains, const RbmGradient& gradient) {
  const std::int64_t samples = samples_of(visible);
  RUBATO_CHECK(static_cast<std::int64_t>(keys.ids.size()) == samples, "{} ids for {} samples", keys.ids.size(),
               samples);
  float *const data = visible_.data(), *const chain = data + visible.size();
  float *const of_data = hidden_.data(), *const of_chain = of_data + samples * desc_.hidden;
  std::ranges::copy(visible, data);
  RUBATO_TRY(up(at, data, samples, of_data));

  // The first hidden states are those of the data, or of where the chains have come to.
  std::copy_n(of_data, samples * desc_.hidden, of_chain);
  if (chains != nullptr) {
    if (chains->size() < visible.size())
      chains->insert(chains->end(), visible.begin() + static_cast<std::ptrdiff_t>(chains->size()), visible.end());
    RUBATO_TRY(up(at, chains->data(), samples, of_chain));
  }
  for (std::int64_t step = 0; step < desc_.steps; ++step) {
    draw(of_chain, desc_.hidden, keys, step, RbmSide::kHidden);
    RUBATO_TRY(down(at, of_chain, samples, chain));
    draw(chain, desc_.visible, keys, step, RbmSide::kVisible);
    RUBATO_TRY(up(at, chain, samples, of_chain));
  }
  if (chains != nullptr) std::copy_n(chain, visible.size(), chains->begin());

  for (std::int64_t i = 0; i < samples * desc_.hidden; ++i) of_data[i] = -of_data[i];
  RUBATO_TRY(multiply('T', 'N', desc_.hidden, desc_.visible, 2 * samples, of_data, desc_.hidden, data, desc_.visible,
                      gradient.weights.data()));
  std::ranges::fill(gradient.hidden_bias, 0.0f);
  std::ranges::fill(gradient.visible_bias, 0.0f);
  for (std::int64_t row = 0; row < 2 * samples; ++row) {
    const float sign = row < samples ? -1.0f : 1.0f;
    for (std::int64_t j = 0; j < desc_.hidden; ++j) gradient.hidden_bias[j] += of_data[row * desc_.hidden + j];
    for (std::int64_t i = 0; i < desc_.visible; ++i) gradient.visible_bias[i] += sign * data[row * desc_.visible + i];
  }
  return {};
}

}  // namespace

std::unique_ptr<Rbm> make_rbm(const CpuContext& context, const RbmDesc& desc) {
  return std::make_unique<CpuRbm>(context, desc);
}

}  // namespace rubato::kernels
