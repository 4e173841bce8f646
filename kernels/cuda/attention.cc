// Causal attention: of each head the scores of all samples at once, as many products of cuBLASLt in one call, their
// softmax by a kernel of our own, and the products with the values. Queries, keys and values are read where they lie in
// the input, a head's columns of it, and so are outputs and gradients written.
//
// Nothing is saved: backward makes the softmax from the input once more, to the same bits. Scratch holds one head's
// scores, and in training their gradients, positions x positions of each sample. Above the diagonal scores are computed
// and not looked at: half of the products' work is for nothing, which a library's fused attention spares.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/softmax_kernel.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class Attention final : public ParameterlessOp {
 public:
  Attention(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint);
  Status plan();

  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return {}; }
  Status backward_data() override;

 private:
  // Where one head's numbers of the first sample begin.
  struct Head {
    const float *query, *key, *value, *output_gradient;
    float *output, *query_gradient, *key_gradient, *value_gradient;
  };
  [[nodiscard]] Head head(std::int64_t index) const;
  // Of the two pieces of scratch, and the libraries' behind them.
  [[nodiscard]] float* scores() const { return static_cast<float*>(ports_.scratch); }
  [[nodiscard]] float* slopes() const { return scores() + score_floats_; }
  [[nodiscard]] void* library_scratch() const { return backward_ ? slopes() + score_floats_ : slopes(); }

  Status plan_product(MatrixProduct& product, const char* call, ProductDesc desc);
  Status plan_backward(const MatrixSteps& in, const MatrixSteps& out, const MatrixSteps& square);
  Status multiply(const MatrixProduct& product, const float* left, const float* right, float* result) const {
    return product.run(context_.lt, left, right, result, library_scratch(), context_.stream);
  }
  // The softmax of a head, into scores().
  Status weigh(const Head& h) const;
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of attention's {} of {} x {} x {} scores on stream {}", kernel, shape_.matrices,
                 shape_.positions, shape_.positions, context_.stream.name());
  }

  const CudaContext& context_;
  const bool backward_;
  const std::int64_t samples_, positions_, heads_, width_, size_;  // size: features of a head
  const ScoreShape shape_;
  const std::size_t score_floats_;
  MatrixProduct scores_, output_, chance_gradient_, value_gradient_, query_gradient_, key_gradient_;
};

// A number of floats that leaves what lies behind it aligned as everything is.
std::size_t aligned_floats(std::int64_t floats) { return (static_cast<std::size_t>(floats) + 31) / 32 * 32; }

Attention::Attention(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint)
    : context_(context),
      backward_(hint.training && hint.input_gradient),
      samples_(desc.input.samples),
      positions_(desc.input.height * desc.input.width),
      heads_(desc.heads),
      width_(desc.input.channels / 3),
      size_(width_ / desc.heads),
      shape_{static_cast<std::size_t>(samples_), static_cast<std::size_t>(positions_),
             static_cast<float>(1.0 / std::sqrt(static_cast<double>(size_)))},
      score_floats_(aligned_floats(samples_ * positions_ * positions_)) {
  RUBATO_CHECK(heads_ > 0 && size_ * heads_ * 3 == desc.input.channels,
               "{} channels are not queries, keys and values of {} heads", desc.input.channels, heads_);
  info_.input = desc.input;
  info_.output = output_shape(desc);
}

Status Attention::plan() {
  const MatrixSteps in{3 * width_, positions_ * 3 * width_}, out{width_, positions_ * width_};
  const MatrixSteps square{positions_, positions_ * positions_};
  RUBATO_TRY(plan_product(scores_, "forward",
                          {.rows = positions_,
                           .columns = positions_,
                           .inner = size_,
                           .right_transposed = true,
                           .left = in,
                           .right = in,
                           .result = square}));
  RUBATO_TRY(plan_product(
      output_, "forward",
      {.rows = positions_, .columns = size_, .inner = positions_, .left = square, .right = in, .result = out}));
  if (backward_) RUBATO_TRY(plan_backward(in, out, square));
  info_.algorithms.push_back({"softmax", "kernel"});
  info_.scratch_bytes += (backward_ ? 2 : 1) * score_floats_ * sizeof(float);
  return {};
}

Status Attention::plan_backward(const MatrixSteps& in, const MatrixSteps& out, const MatrixSteps& square) {
  RUBATO_TRY(plan_product(chance_gradient_, "backward_data",
                          {.rows = positions_,
                           .columns = positions_,
                           .inner = size_,
                           .right_transposed = true,
                           .left = out,
                           .right = in,
                           .result = square}));
  ProductDesc from_scores{
      .rows = positions_, .columns = size_, .inner = positions_, .left = square, .right = in, .result = in};
  RUBATO_TRY(plan_product(query_gradient_, "backward_data", from_scores));
  from_scores.left_transposed = true;
  RUBATO_TRY(plan_product(key_gradient_, "backward_data", from_scores));
  from_scores.right = out;
  return plan_product(value_gradient_, "backward_data", from_scores);
}

// A head begins anywhere in a row: what addresses have in common is what its size has of 128 bytes.
Status Attention::plan_product(MatrixProduct& product, const char* call, ProductDesc desc) {
  const auto bytes = static_cast<std::uint32_t>(size_) * std::uint32_t{sizeof(float)};
  desc.products = samples_;
  desc.alignment = std::min(desc.alignment, bytes & (~bytes + 1));
  RUBATO_ASSIGN(product, MatrixProduct::plan(context_.lt, desc));
  info_.algorithms.push_back({call, "cublasLt"});
  info_.scratch_bytes = std::max(info_.scratch_bytes, product.scratch_bytes());
  return {};
}

Attention::Head Attention::head(std::int64_t index) const {
  const std::int64_t first = index * size_;
  const float* const x = ports_.input + first;
  Head h{x, x + width_, x + 2 * width_, nullptr, ports_.output + first, nullptr, nullptr, nullptr};
  if (!backward_) return h;
  h.output_gradient = ports_.output_gradient + first;
  h.query_gradient = ports_.input_gradient + first;
  h.key_gradient = h.query_gradient + width_;
  h.value_gradient = h.query_gradient + 2 * width_;
  return h;
}

Status Attention::weigh(const Head& h) const {
  RUBATO_TRY(multiply(scores_, h.query, h.key, scores()));
  return launched(enqueue_causal_softmax(shape_, scores(), context_.stream.get()), "softmax");
}

Status Attention::forward(const SampleKeys&) {
  for (std::int64_t index = 0; index < heads_; ++index) {
    const Head h = head(index);
    RUBATO_TRY(weigh(h));
    RUBATO_TRY(multiply(output_, scores(), h.value, h.output));
  }
  return {};
}

Status Attention::backward_data() {
  for (std::int64_t index = 0; index < heads_; ++index) {
    const Head h = head(index);
    RUBATO_TRY(weigh(h));
    RUBATO_TRY(multiply(value_gradient_, scores(), h.output_gradient, h.value_gradient));
    RUBATO_TRY(multiply(chance_gradient_, h.output_gradient, h.value, slopes()));
    RUBATO_TRY(launched(enqueue_causal_softmax_gradient(shape_, scores(), slopes(), context_.stream.get()),
                        "softmax's gradient"));
    RUBATO_TRY(multiply(query_gradient_, slopes(), h.key, h.query_gradient));
    RUBATO_TRY(multiply(key_gradient_, slopes(), h.query, h.key_gradient));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint) {
  return planned<Attention>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
