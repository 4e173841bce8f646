// Embeddings: rows of a table by the numbers of tokens, with a row for each position added where the model learns
// those. The gradient is a dense table: the same update rule serves it as every other parameter.
//
// Every element of a gradient is summed in the order of samples and positions, by the one thread that has its columns:
// the bits are those of a single thread.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/ops.h"
#include "kernels/token_error.h"
#include "kernels/tokens.h"

namespace rubato::kernels {
namespace {

class Embedding final : public Op {
 public:
  Embedding(const CpuContext& context, const EmbeddingDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override { ports_ = ports; }
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return {}; }
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  [[nodiscard]] Status check_tokens() const;
  [[nodiscard]] std::int64_t token(std::int64_t at) const { return static_cast<std::int64_t>(ports_.input[at]); }
  void add_columns(std::int64_t first, std::int64_t last, std::span<const std::span<float>> gradients) const;

  const int threads_;
  const std::int64_t positions_, tokens_, rows_, width_;
  const std::size_t parameters_;
  OpInfo info_;
  Ports ports_;
  const float *table_ = nullptr, *position_table_ = nullptr;
};

Embedding::Embedding(const CpuContext& context, const EmbeddingDesc& desc, const PlanHint& hint)
    : threads_(context.threads),
      positions_(desc.input.elements_per_sample()),
      tokens_(desc.input.elements()),
      rows_(desc.rows),
      width_(desc.width),
      parameters_(desc.positions ? 2 : 1) {
  RUBATO_CHECK(desc.rows > 0 && desc.input.channels == 1, "an embedding of {} rows over {} channels", desc.rows,
               desc.input.channels);
  info_.input = desc.input;
  info_.output = output_shape(desc);
  info_.algorithms = {{"forward", "rows"}};
  if (hint.training) info_.algorithms.push_back({"backward_weights", "columns"});
}

Status Embedding::load(std::size_t index, std::span<const float> values, Version) {
  RUBATO_CHECK(
      index < parameters_ && values.size() == static_cast<std::size_t>((index == 0 ? rows_ : positions_) * width_),
      "{} values for parameter {} of an embedding", values.size(), index);
  (index == 0 ? table_ : position_table_) = values.data();
  return {};
}

Status Embedding::check_tokens() const {
  for (std::int64_t at = 0; at < tokens_; ++at)
    if (!is_token(ports_.input[at], rows_)) return not_a_token(at, positions_, ports_.input[at], rows_);
  return {};
}

Status Embedding::forward(const SampleKeys&) {
  RUBATO_TRY(check_tokens());
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t at = 0; at < tokens_; ++at) {
    const float* const row = table_ + token(at) * width_;
    float* __restrict const to = ports_.output + at * width_;
    if (parameters_ == 1) {
      std::copy_n(row, width_, to);
      continue;
    }
    const float* const position = position_table_ + at % positions_ * width_;
    for (std::int64_t c = 0; c < width_; ++c) to[c] = row[c] + position[c];
  }
  return {};
}

void Embedding::add_columns(std::int64_t first, std::int64_t last, std::span<const std::span<float>> gradients) const {
  const auto clear = [&](float* table, std::int64_t rows) {
    for (std::int64_t row = 0; row < rows; ++row)
      std::fill(table + row * width_ + first, table + row * width_ + last, 0.0f);
  };
  const auto add = [&](float* __restrict to, const float* __restrict from) {
    for (std::int64_t c = first; c < last; ++c) to[c] += from[c];
  };
  clear(gradients[0].data(), rows_);
  if (parameters_ == 2) clear(gradients[1].data(), positions_);
  for (std::int64_t at = 0; at < tokens_; ++at) {
    const float* const gradient = ports_.output_gradient + at * width_;
    add(gradients[0].data() + token(at) * width_, gradient);
    if (parameters_ == 2) add(gradients[1].data() + at % positions_ * width_, gradient);
  }
}

Status Embedding::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == parameters_ && gradients[0].size() == static_cast<std::size_t>(rows_ * width_) &&
                   (parameters_ == 1 || gradients[1].size() == static_cast<std::size_t>(positions_ * width_)),
               "gradient buffers of an embedding");
  // Whole cache lines where there are several: two threads write no line together.
  constexpr std::int64_t kColumns = 16;
  const std::int64_t blocks = (width_ + kColumns - 1) / kColumns;
#pragma omp parallel for num_threads(threads_)
  for (int share = 0; share < threads_; ++share) {
    const std::int64_t first = blocks * share / threads_ * kColumns;
    const std::int64_t last = std::min(width_, blocks * (share + 1) / threads_ * kColumns);
    if (first < last) add_columns(first, last, gradients);
  }
  return {};
}

Status Embedding::backward_data() {
  std::fill_n(ports_.input_gradient, tokens_, 0.0f);
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const EmbeddingDesc& desc, const PlanHint& hint) {
  return std::make_unique<Embedding>(context, desc, hint);
}

}  // namespace rubato::kernels
