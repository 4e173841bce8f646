// Restricted Boltzmann machines: products of matrices are cuBLASLt's, what is between them kernels of our own, and what
// is drawn is what the CPU draws (kernels/gibbs_draw.h), but where a probability's last bit, which differs between
// devices, decides.
//
// Products are planned once, for the most samples that there may be. Of fewer the rows behind them are zeros: so are
// then their products, and what those add to a gradient. As on the CPU the gradient is one product: rows of the data
// and of the chains stand one under the other, and the hidden probabilities of the data have a minus.
#include "kernels/rbm.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "base/rng.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/rbm_kernel.h"

namespace rubato::kernels::cuda {
namespace {

class CudaRbm final : public Rbm {
 public:
  CudaRbm(const CudaContext& context, const RbmDesc& desc);
  Status plan();

  Status hidden(const RbmWeights& at, std::span<const float> visible, std::span<float> hidden) override;
  Result<double> reconstruction_error(const RbmWeights& at, std::span<const float> visible) override;
  Status gradient(const RbmWeights& at, const SampleKeys& keys, std::span<const float> visible,
                  std::vector<float>* chains, const RbmGradient& gradient) override;

 private:
  // Of a unit for each row.
  [[nodiscard]] std::size_t data(std::size_t units) const { return rows_ * units; }
  [[nodiscard]] float* chain() const { return visible_.data() + data(units_); }
  [[nodiscard]] float* hidden_of_chain() const { return hidden_.data() + data(hidden_units_); }

  Status plan_product(MatrixProduct& product, const ProductDesc& desc);
  // As many samples as there are; weights and rows go to the device, zeros behind the rows.
  Result<std::size_t> take(const RbmWeights& at, std::span<const float> visible);
  Status upload_rows(std::span<const float> rows, float* to) const;
  // Equations 7 and 8, of the first `samples` rows.
  Status up(const float* visible, std::size_t samples, float* hidden) const;
  Status down(const float* hidden, std::size_t samples, float* visible) const;
  Status squash(const DeviceFloats& bias, float* rows, std::size_t samples) const;
  Status draw(float* rows, std::size_t samples, std::size_t units, const GibbsDraw& draw) const;
  Status walk(std::size_t samples, std::uint64_t epoch) const;
  Status give_gradient(std::size_t samples, const RbmGradient& gradient) const;
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of the {} of a machine of {} and {} units on stream {}", kernel, units_, hidden_units_,
                 context_.stream.name());
  }

  const CudaContext& context_;
  const RbmDesc desc_;
  // Of visible units there are `units_`; rows are so many that the chains' begin aligned.
  const std::size_t units_, hidden_units_, rows_;
  DeviceFloats weights_, hidden_bias_, visible_bias_;
  DeviceFloats weight_gradient_, hidden_gradient_, visible_gradient_;
  DeviceFloats visible_, hidden_;  // of the data, and of the chains under it
  DeviceFloats reconstruction_;
  DeviceArray<std::uint64_t> ids_;
  DeviceArray<std::byte> scratch_;
  std::size_t scratch_bytes_ = 0;
  MatrixProduct up_, down_, gradient_;
  std::vector<float> back_;  // the reconstruction, on the host
};

CudaRbm::CudaRbm(const CudaContext& context, const RbmDesc& desc)
    : context_(context),
      desc_(desc),
      units_(static_cast<std::size_t>(desc.visible)),
      hidden_units_(static_cast<std::size_t>(desc.hidden)),
      rows_((static_cast<std::size_t>(desc.samples_max) + 31) / 32 * 32) {
  RUBATO_CHECK(desc.visible > 0 && desc.hidden > 0 && desc.samples_max > 0 && desc.steps > 0, "an empty machine");
}

Status CudaRbm::plan() {
  const auto rows = static_cast<std::int64_t>(rows_);
  RUBATO_TRY(
      plan_product(up_, {.rows = rows, .columns = desc_.hidden, .inner = desc_.visible, .right_transposed = true}));
  RUBATO_TRY(plan_product(down_, {.rows = rows, .columns = desc_.visible, .inner = desc_.hidden}));
  RUBATO_TRY(plan_product(
      gradient_, {.rows = desc_.hidden, .columns = desc_.visible, .inner = 2 * rows, .left_transposed = true}));
  RUBATO_ASSIGN(weights_, DeviceFloats::allocate(units_ * hidden_units_));
  RUBATO_ASSIGN(weight_gradient_, DeviceFloats::allocate(units_ * hidden_units_));
  RUBATO_ASSIGN(hidden_bias_, DeviceFloats::allocate(hidden_units_));
  RUBATO_ASSIGN(hidden_gradient_, DeviceFloats::allocate(hidden_units_));
  RUBATO_ASSIGN(visible_bias_, DeviceFloats::allocate(units_));
  RUBATO_ASSIGN(visible_gradient_, DeviceFloats::allocate(units_));
  RUBATO_ASSIGN(visible_, DeviceFloats::allocate(2 * data(units_)));
  RUBATO_ASSIGN(hidden_, DeviceFloats::allocate(2 * data(hidden_units_)));
  RUBATO_ASSIGN(reconstruction_, DeviceFloats::allocate(data(units_)));
  RUBATO_ASSIGN(ids_, DeviceArray<std::uint64_t>::allocate(rows_));
  RUBATO_ASSIGN(scratch_, DeviceArray<std::byte>::allocate(scratch_bytes_));
  back_.resize(data(units_));
  return {};
}

Status CudaRbm::plan_product(MatrixProduct& product, const ProductDesc& desc) {
  RUBATO_ASSIGN(product, MatrixProduct::plan(context_.lt, desc));
  scratch_bytes_ = std::max(scratch_bytes_, product.scratch_bytes());
  return {};
}

Result<std::size_t> CudaRbm::take(const RbmWeights& at, std::span<const float> visible) {
  const std::size_t samples = visible.size() / units_;
  RUBATO_CHECK(
      samples >= 1 && samples <= static_cast<std::size_t>(desc_.samples_max) && visible.size() == samples * units_,
      "{} numbers for at most {} samples of {}", visible.size(), desc_.samples_max, units_);
  RUBATO_TRY(context_.upload(at.weights, weights_.data()));
  RUBATO_TRY(context_.upload(at.hidden_bias, hidden_bias_.data()));
  RUBATO_TRY(context_.upload(at.visible_bias, visible_bias_.data()));
  RUBATO_TRY(upload_rows(visible, visible_.data()));
  return samples;
}

Status CudaRbm::upload_rows(std::span<const float> rows, float* to) const {
  RUBATO_TRY(context_.upload(rows, to));
  const std::size_t bytes = (data(units_) - rows.size()) * sizeof(float);
  if (bytes == 0) return {};
  return check(cudaMemsetAsync(to + rows.size(), 0, bytes, context_.stream.get()),
               "cudaMemsetAsync of {} bytes on stream {}", bytes, context_.stream.name());
}

Status CudaRbm::up(const float* visible, std::size_t samples, float* hidden) const {
  RUBATO_TRY(up_.run(context_.lt, visible, weights_.data(), hidden, scratch_.data(), context_.stream));
  return squash(hidden_bias_, hidden, samples);
}

Status CudaRbm::down(const float* hidden, std::size_t samples, float* visible) const {
  RUBATO_TRY(down_.run(context_.lt, hidden, weights_.data(), visible, scratch_.data(), context_.stream));
  return squash(visible_bias_, visible, samples);
}

Status CudaRbm::squash(const DeviceFloats& bias, float* rows, std::size_t samples) const {
  return launched(enqueue_probabilities(bias.data(), rows, samples, bias.size(), context_.stream.get()),
                  "probabilities");
}

Status CudaRbm::draw(float* rows, std::size_t samples, std::size_t units, const GibbsDraw& draw) const {
  return launched(enqueue_gibbs_states(draw, ids_.data(), rows, samples, units, context_.stream.get()), "states");
}

Status CudaRbm::hidden(const RbmWeights& at, std::span<const float> visible, std::span<float> hidden) {
  RUBATO_ASSIGN(const std::size_t samples, take(at, visible));
  RUBATO_TRY(up(visible_.data(), samples, hidden_.data()));
  return context_.download<float>(hidden_.data(), hidden);
}

Result<double> CudaRbm::reconstruction_error(const RbmWeights& at, std::span<const float> visible) {
  RUBATO_ASSIGN(const std::size_t samples, take(at, visible));
  RUBATO_TRY(up(visible_.data(), samples, hidden_.data()));
  RUBATO_TRY(down(hidden_.data(), samples, reconstruction_.data()));
  RUBATO_TRY(context_.download<float>(reconstruction_.data(), std::span(back_).first(visible.size())));
  double sum = 0.0;
  for (std::size_t i = 0; i < visible.size(); ++i) {
    const double off = static_cast<double>(visible[i]) - static_cast<double>(back_[i]);
    sum += off * off;
  }
  return sum / static_cast<double>(units_);
}

// From the chains' hidden probabilities, by steps of Gibbs sampling, to where the chains come.
Status CudaRbm::walk(std::size_t samples, std::uint64_t epoch) const {
  const std::uint64_t key = stream_key(stream_key(desc_.seed, "gibbs", desc_.machine), "epoch", epoch);
  for (std::uint64_t step = 0; step < static_cast<std::uint64_t>(desc_.steps); ++step) {
    RUBATO_TRY(draw(hidden_of_chain(), samples, hidden_units_, {key, step, RbmSide::kHidden}));
    RUBATO_TRY(down(hidden_of_chain(), samples, chain()));
    RUBATO_TRY(draw(chain(), samples, units_, {key, step, RbmSide::kVisible}));
    RUBATO_TRY(up(chain(), samples, hidden_of_chain()));
  }
  return {};
}

Status CudaRbm::gradient(const RbmWeights& at, const SampleKeys& keys, std::span<const float> visible,
                         std::vector<float>* chains, const RbmGradient& gradient) {
  RUBATO_ASSIGN(const std::size_t samples, take(at, visible));
  RUBATO_CHECK(keys.ids.size() == samples, "{} ids for {} samples", keys.ids.size(), samples);
  RUBATO_TRY(context_.upload(keys.ids, ids_.data()));
  RUBATO_TRY(up(visible_.data(), samples, hidden_.data()));
  // The first hidden states are those of the data, or of where the chains have come to.
  if (chains == nullptr) {
    RUBATO_TRY(
        enqueue_copy({hidden_of_chain(), data(hidden_units_)}, {hidden_.data(), data(hidden_units_)}, context_.stream));
  } else {
    if (chains->size() < visible.size())
      chains->insert(chains->end(), visible.begin() + static_cast<std::ptrdiff_t>(chains->size()), visible.end());
    RUBATO_TRY(upload_rows(std::span<const float>(*chains).first(visible.size()), chain()));
    RUBATO_TRY(up(chain(), samples, hidden_of_chain()));
  }
  RUBATO_TRY(walk(samples, keys.epoch));
  if (chains != nullptr) RUBATO_TRY(context_.download<float>(chain(), std::span(*chains).first(visible.size())));
  return give_gradient(samples, gradient);
}

Status CudaRbm::give_gradient(std::size_t samples, const RbmGradient& gradient) const {
  const cudaStream_t stream = context_.stream.get();
  RUBATO_TRY(launched(enqueue_negative(hidden_.data(), hidden_.data(), samples * hidden_units_, stream), "minus"));
  RUBATO_TRY(gradient_.run(context_.lt, hidden_.data(), visible_.data(), weight_gradient_.data(), scratch_.data(),
                           context_.stream));
  RUBATO_TRY(launched(enqueue_signed_sums(hidden_.data(), 2 * rows_, 0, hidden_units_, hidden_gradient_.data(), stream),
                      "hidden sums"));
  RUBATO_TRY(launched(enqueue_signed_sums(visible_.data(), 2 * rows_, rows_, units_, visible_gradient_.data(), stream),
                      "visible sums"));
  RUBATO_TRY(context_.download<float>(weight_gradient_.data(), gradient.weights));
  RUBATO_TRY(context_.download<float>(hidden_gradient_.data(), gradient.hidden_bias));
  return context_.download<float>(visible_gradient_.data(), gradient.visible_bias);
}

}  // namespace

Result<std::unique_ptr<Rbm>> make_rbm(const CudaContext& context, const RbmDesc& desc) {
  auto rbm = std::make_unique<CudaRbm>(context, desc);
  RUBATO_TRY(rbm->plan());
  return std::unique_ptr<Rbm>(std::move(rbm));
}

}  // namespace rubato::kernels::cuda
