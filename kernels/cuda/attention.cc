// Causal attention: of each head the scores of all samples at once, as many products of cuBLASLt in one call, their
// softmax by a kernel of our own, and the products with the values. Queries, keys and values are read where they lie in
// the input, a head's columns of it, and so are outputs and gradients written.
//
// Nothing is saved: backward makes the softmax from the input once more, to the same bits. Scratch holds one head's
// scores, and in training their gradients, positions x positions of each sample; and where bfloat16 is multiplied, all
// that is a factor: inputs, shares, and the gradients of outputs and scores (kernels/cuda/factor.h). Above the diagonal
// scores are computed and not looked at: half of the products' work is for nothing. Where bfloat16 is multiplied, and
// cuDNN has its fused attention for the shape and the GPU, that is taken in the place of all this
// (kernels/cuda/fused_attention.cc).
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/softmax_kernel.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels::cuda {
namespace {

class Attention final : public ParameterlessOp {
 public:
  Attention(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint);
  Status plan();

  void bind(const Ports& ports) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return {}; }
  Status backward_data() override;

 private:
  // Where one head's numbers of the first sample begin.
  struct Head {
    const void *query, *key, *value, *output_gradient;
    float *output, *query_gradient, *key_gradient, *value_gradient;
  };
  [[nodiscard]] Head head(std::int64_t index) const;
  Status plan_product(MatrixProduct& product, const char* call, ProductDesc desc);
  Status plan_backward(const MatrixSteps& in, const MatrixSteps& out, const MatrixSteps& square);
  Status multiply(const MatrixProduct& product, const void* left, const void* right, float* result) const {
    return product.run(context_.lt, left, right, result, ports_.scratch, context_.stream);
  }
  // The softmax of a head, into scores_at_, and as a factor.
  Status weigh(const Head& h) const;
  [[nodiscard]] Status launched(cudaError_t error, const char* kernel) const {
    return check(error, "launch of attention's {} of {} x {} x {} scores on stream {}", kernel, shape_.matrices,
                 shape_.positions, shape_.positions, context_.stream.name());
  }

  const CudaContext& context_;
  const bool backward_;
  const std::int64_t samples_, positions_, heads_, width_, size_;  // size: features of a head
  const ScoreShape shape_;
  const std::size_t score_bytes_;
  Factor input_, shares_, output_gradient_, score_gradients_;
  std::size_t library_bytes_ = 0;                   // of scratch
  float *scores_at_ = nullptr, *slopes_ = nullptr;  // of one head, and their gradients
  MatrixProduct scores_, output_, chance_gradient_, value_gradient_, query_gradient_, key_gradient_;
};

std::size_t scores_of(const AttentionDesc& desc) {
  const std::int64_t positions = desc.input.height * desc.input.width;
  return static_cast<std::size_t>(desc.input.samples * positions * positions);
}

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
      score_bytes_(aligned(scores_of(desc) * sizeof(float))),
      input_(context, static_cast<std::size_t>(desc.input.elements())),
      shares_(context, scores_of(desc)),
      output_gradient_(context, static_cast<std::size_t>(output_shape(desc).elements())),
      score_gradients_(context, scores_of(desc)) {
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
  library_bytes_ = aligned(info_.scratch_bytes);
  info_.scratch_bytes = library_bytes_ + score_bytes_ + input_.bytes() + shares_.bytes();
  if (backward_) info_.scratch_bytes += score_bytes_ + output_gradient_.bytes() + score_gradients_.bytes();
  return {};
}

void Attention::bind(const Ports& ports) {
  ports_ = ports;
  std::byte* next = static_cast<std::byte*>(ports.scratch) + library_bytes_;
  const auto take = [&](std::size_t bytes) { return std::exchange(next, next + bytes); };
  scores_at_ = reinterpret_cast<float*>(take(score_bytes_));
  input_.bind(ports.input, take(input_.bytes()));
  shares_.bind(scores_at_, take(shares_.bytes()));
  if (!backward_) return;
  slopes_ = reinterpret_cast<float*>(take(score_bytes_));
  output_gradient_.bind(ports.output_gradient, take(output_gradient_.bytes()));
  score_gradients_.bind(slopes_, take(score_gradients_.bytes()));
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

// A head begins anywhere in a row: what addresses have in common is what its size has of 128 bytes, of factors.
Status Attention::plan_product(MatrixProduct& product, const char* call, ProductDesc desc) {
  const auto bytes = static_cast<std::uint32_t>(static_cast<std::size_t>(size_) * input_.number_bytes());
  desc.products = samples_;
  desc.precision = context_.precision;
  desc.alignment = std::min(desc.alignment, bytes & (~bytes + 1));
  RUBATO_ASSIGN(product, MatrixProduct::plan(context_.lt, desc));
  info_.algorithms.push_back({call, "cublasLt"});
  info_.scratch_bytes = std::max(info_.scratch_bytes, product.scratch_bytes());
  return {};
}

Attention::Head Attention::head(std::int64_t index) const {
  const std::int64_t first = index * size_;
  Head h{input_.from(first),
         input_.from(first + width_),
         input_.from(first + 2 * width_),
         nullptr,
         ports_.output + first,
         nullptr,
         nullptr,
         nullptr};
  if (!backward_) return h;
  h.output_gradient = output_gradient_.from(first);
  h.query_gradient = ports_.input_gradient + first;
  h.key_gradient = h.query_gradient + width_;
  h.value_gradient = h.query_gradient + 2 * width_;
  return h;
}

Status Attention::weigh(const Head& h) const {
  RUBATO_TRY(multiply(scores_, h.query, h.key, scores_at_));
  RUBATO_TRY(launched(enqueue_causal_softmax(shape_, scores_at_, context_.stream.get()), "softmax"));
  return shares_.round();
}

Status Attention::forward(const SampleKeys&) {
  RUBATO_TRY(input_.round());
  for (std::int64_t index = 0; index < heads_; ++index) {
    const Head h = head(index);
    RUBATO_TRY(weigh(h));
    RUBATO_TRY(multiply(output_, shares_.data(), h.value, h.output));
  }
  return {};
}

Status Attention::backward_data() {
  RUBATO_TRY(input_.round());
  RUBATO_TRY(output_gradient_.round());
  for (std::int64_t index = 0; index < heads_; ++index) {
    const Head h = head(index);
    RUBATO_TRY(weigh(h));
    RUBATO_TRY(multiply(value_gradient_, shares_.data(), h.output_gradient, h.value_gradient));
    RUBATO_TRY(multiply(chance_gradient_, h.output_gradient, h.value, slopes_));
    RUBATO_TRY(launched(enqueue_causal_softmax_gradient(shape_, scores_at_, slopes_, context_.stream.get()),
                        "softmax's gradient"));
    RUBATO_TRY(score_gradients_.round());
    RUBATO_TRY(multiply(query_gradient_, score_gradients_.data(), h.key, h.query_gradient));
    RUBATO_TRY(multiply(key_gradient_, score_gradients_.data(), h.query, h.key_gradient));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Op>> make_op(const CudaContext& context, const AttentionDesc& desc, const PlanHint& hint) {
  RUBATO_ASSIGN(auto fused, make_fused_attention(context, desc, hint));
  if (fused != nullptr) return fused;
  return planned<Attention>(context, desc, hint);
}

}  // namespace rubato::kernels::cuda
