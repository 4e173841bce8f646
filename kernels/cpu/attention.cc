// Causal attention, a head of a sample at a time, and of that a block of positions at a time against the positions up
// to its end: products of matrices in the cache (small_matmul.h), and of the half above the diagonal at most what a
// block has of it.
//
// Saved are two numbers for each head and position: the greatest score, and 1 over the sum of the exponentials.
// Backward computes the scores once more, to the same bits, and reads the output; nothing of size positions x positions
// is kept. Scratch is a thread's, and as large as a few copies of one head of one sample.
//
// Each head of a sample is computed by one thread, so bits do not depend on their number.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/small_matmul.h"
#include "kernels/parameterless_op.h"

namespace rubato::kernels {
namespace {

constexpr std::int64_t kBlock = 32;  // positions

std::int64_t padded(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

struct Normalizer {
  float most = 0.0f, share = 0.0f;  // the greatest scaled score, 1 / sum of exp(score - most)
};

// Consecutive pieces of a thread's scratch.
class Pieces {
 public:
  explicit Pieces(float* from) : next_(from) {}
  float* take(std::int64_t floats) {
    float* const piece = next_;
    next_ += floats;
    return piece;
  }

 private:
  float* next_;
};

class Attention final : public ParameterlessOp {
 public:
  Attention(const CpuContext& context, const AttentionDesc& desc, const PlanHint& hint);

  Status forward(const SampleKeys&) override;
  Status begin_backward() override { return {}; }
  Status backward_data() override;

 private:
  struct Head {
    std::int64_t index;  // of all heads of all samples
    const float *query, *key, *value, *output_gradient;
    float *output, *query_gradient, *key_gradient, *value_gradient;
  };
  [[nodiscard]] Head head(std::int64_t index) const;
  [[nodiscard]] Pieces pieces() const {
    return Pieces(static_cast<float*>(ports_.scratch) + omp_get_thread_num() * thread_floats_);
  }

  // (positions, size) from rows that are `step` apart, and the same transposed; zeros in the padding.
  void pack(const float* from, std::int64_t step, float* to) const;
  void pack_transposed(const float* from, std::int64_t step, float* to) const;
  void unpack(const float* from, std::int64_t rows, float* to, std::int64_t step) const;
  // Turns the scores of a position into exp(scaled score - most), and gives what normalizes them.
  [[nodiscard]] Normalizer exponentials(float* scores, std::int64_t position, std::int64_t columns) const;
  void score_gradients(float* chances, float* gradients, std::int64_t position, std::int64_t columns,
                       const Normalizer& normalizer, float delta) const;
  void forward_head(const Head& h) const;
  void backward_head(const Head& h) const;

  const int threads_;
  const bool training_;
  const std::int64_t positions_, width_, heads_, size_;  // size: features of a head
  const std::int64_t row_;                               // floats of a position of the input
  const std::int64_t wide_, long_;                       // size and positions, padded to whole registers
  const float scale_;
  std::int64_t thread_floats_ = 0;
};

Attention::Attention(const CpuContext& context, const AttentionDesc& desc, const PlanHint& hint)
    : threads_(context.threads),
      training_(hint.training),
      positions_(desc.input.height * desc.input.width),
      width_(desc.input.channels / 3),
      heads_(desc.heads),
      size_(desc.input.channels / 3 / desc.heads),
      row_(desc.input.channels),
      wide_(padded(size_)),
      long_(padded(positions_)),
      scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(size_)))) {
  RUBATO_CHECK(heads_ > 0 && size_ * heads_ * 3 == desc.input.channels,
               "{} channels are not queries, keys and values of {} heads", desc.input.channels, heads_);
  info_.input = desc.input;
  info_.output = output_shape(desc);
  // As the two functions for a head take it.
  const std::int64_t forward = long_ * 2 * wide_ + kBlock * (long_ + wide_);
  const std::int64_t backward = long_ * 7 * wide_ + kBlock * (2 * long_ + wide_);
  thread_floats_ = training_ ? backward : forward;
  info_.scratch_bytes = static_cast<std::size_t>(threads_ * thread_floats_) * sizeof(float);
  if (training_) {
    info_.saved_bytes = static_cast<std::size_t>(desc.input.samples * heads_ * positions_) * sizeof(Normalizer);
  }
  info_.algorithms = {{"forward", "blocks"}};
  if (training_) info_.algorithms.push_back({"backward_data", "blocks"});
}

Attention::Head Attention::head(std::int64_t index) const {
  const std::int64_t sample = index / heads_, first = index % heads_ * size_;
  const std::int64_t in = sample * positions_ * row_ + first, out = sample * positions_ * width_ + first;
  const float* const x = ports_.input + in;
  Head h{index, x, x + width_, x + 2 * width_, nullptr, ports_.output + out, nullptr, nullptr, nullptr};
  if (ports_.input_gradient != nullptr) {
    h.output_gradient = ports_.output_gradient + out;
    h.query_gradient = ports_.input_gradient + in;
    h.key_gradient = h.query_gradient + width_;
    h.value_gradient = h.query_gradient + 2 * width_;
  }
  return h;
}

void Attention::pack(const float* from, std::int64_t step, float* to) const {
  for (std::int64_t p = 0; p < positions_; ++p, from += step, to += wide_) {
    over_lanes(size_, [&](std::int64_t c, auto part) { write(to + c, read(from + c, part)); });
  }
}

void Attention::pack_transposed(const float* from, std::int64_t step, float* to) const {
  for (std::int64_t first = 0; first < positions_; first += kLanes) {
    const std::int64_t some = std::min(kLanes, positions_ - first);
    for (std::int64_t c = 0; c < size_; ++c) {
      for (std::int64_t p = 0; p < some; ++p) to[c * long_ + first + p] = from[(first + p) * step + c];
      for (std::int64_t p = some; p < kLanes; ++p) to[c * long_ + first + p] = 0.0f;
    }
  }
}

void Attention::unpack(const float* from, std::int64_t rows, float* to, std::int64_t step) const {
  for (std::int64_t p = 0; p < rows; ++p, from += wide_, to += step) {
    over_lanes(size_, [&](std::int64_t c, auto part) { write(to + c, read(from + c), part); });
  }
}

Normalizer Attention::exponentials(float* scores, std::int64_t position, std::int64_t columns) const {
  const std::int64_t seen = position + 1;
  // Whole registers throughout: a row of scores is as long, and what lies beyond `seen` is a number.
  Lanes most = Lanes{} + scores[0];
  over_lanes(seen, [&](std::int64_t at, auto part) { most = max_of(most, keep(read(scores + at), part, scores[0])); });
  const float top = max_of(most) * scale_;
  Lanes sum{};
  over_lanes(seen, [&](std::int64_t at, auto part) {
    const Lanes chances = keep(exp_of(read(scores + at) * scale_ - top), part);
    write(scores + at, chances);  // a part's other lanes: zero, which is what the diagonal's other side needs
    sum += chances;
  });
  std::fill(scores + padded(seen), scores + columns, 0.0f);
  return {top, 1.0f / sum_of(sum)};
}

void Attention::forward_head(const Head& h) const {
  Pieces scratch = pieces();
  float* const keys = scratch.take(long_ * wide_);
  float* const values = scratch.take(long_ * wide_);
  float* const scores = scratch.take(kBlock * long_);
  float* const sums = scratch.take(kBlock * wide_);
  pack_transposed(h.key, row_, keys);
  pack(h.value, row_, values);
  auto* const normalizers = static_cast<Normalizer*>(ports_.saved) + h.index * positions_;
  for (std::int64_t first = 0; first < positions_; first += kBlock) {
    const std::int64_t rows = std::min(kBlock, positions_ - first), seen = first + rows, columns = padded(seen);
    multiply({rows, columns, size_}, {h.query + first * row_, row_, 1}, keys, long_, scores, long_, false);
    Normalizer block[kBlock];
    for (std::int64_t r = 0; r < rows; ++r) block[r] = exponentials(scores + r * long_, first + r, columns);
    multiply({rows, wide_, seen}, {scores, long_, 1}, values, wide_, sums, wide_, false);
    for (std::int64_t r = 0; r < rows; ++r) {
      float* const y = h.output + (first + r) * width_;
      for (std::int64_t c = 0; c < size_; ++c) y[c] = sums[r * wide_ + c] * block[r].share;
      if (training_) normalizers[first + r] = block[r];
    }
  }
}

// chance = exp(scaled score - most) / sum; its score's gradient = scale * chance * (chance's gradient - delta).
void Attention::score_gradients(float* chances, float* gradients, std::int64_t position, std::int64_t columns,
                                const Normalizer& normalizer, float delta) const {
  const std::int64_t seen = position + 1;
  over_lanes(seen, [&](std::int64_t at, auto part) {
    const Lanes chance = keep(exp_of(read(chances + at) * scale_ - normalizer.most), part) * normalizer.share;
    write(chances + at, chance);
    write(gradients + at, scale_ * (chance * (read(gradients + at) - delta)));
  });
  std::fill(chances + padded(seen), chances + columns, 0.0f);
  std::fill(gradients + padded(seen), gradients + columns, 0.0f);
}

void Attention::backward_head(const Head& h) const {
  Pieces scratch = pieces();
  float* const keys_transposed = scratch.take(long_ * wide_);
  float* const values_transposed = scratch.take(long_ * wide_);
  float* const queries = scratch.take(long_ * wide_);
  float* const keys = scratch.take(long_ * wide_);
  float* const gradients = scratch.take(long_ * wide_);
  float* const key_sums = scratch.take(long_ * wide_);
  float* const value_sums = scratch.take(long_ * wide_);
  float* const chances = scratch.take(kBlock * long_);
  float* const slopes = scratch.take(kBlock * long_);
  float* const query_sums = scratch.take(kBlock * wide_);
  pack_transposed(h.key, row_, keys_transposed);
  pack_transposed(h.value, row_, values_transposed);
  pack(h.query, row_, queries);
  pack(h.key, row_, keys);
  pack(h.output_gradient, width_, gradients);
  std::fill_n(key_sums, long_ * wide_, 0.0f);
  std::fill_n(value_sums, long_ * wide_, 0.0f);
  const auto* const normalizers = static_cast<const Normalizer*>(ports_.saved) + h.index * positions_;
  for (std::int64_t first = 0; first < positions_; first += kBlock) {
    const std::int64_t rows = std::min(kBlock, positions_ - first), seen = first + rows, columns = padded(seen);
    const LeftMatrix query{h.query + first * row_, row_, 1}, gradient{gradients + first * wide_, wide_, 1};
    multiply({rows, columns, size_}, query, keys_transposed, long_, chances, long_, false);
    multiply({rows, columns, size_}, gradient, values_transposed, long_, slopes, long_, false);
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* const y = h.output + (first + r) * width_;
      Lanes delta{};
      over_lanes(size_, [&](std::int64_t c, auto part) {
        delta += read(y + c, part) * read(gradients + (first + r) * wide_ + c, part);
      });
      score_gradients(chances + r * long_, slopes + r * long_, first + r, columns, normalizers[first + r],
                      sum_of(delta));
    }
    multiply({seen, wide_, rows}, {chances, 1, long_}, gradients + first * wide_, wide_, value_sums, wide_, true);
    multiply({seen, wide_, rows}, {slopes, 1, long_}, queries + first * wide_, wide_, key_sums, wide_, true);
    multiply({rows, wide_, seen}, {slopes, long_, 1}, keys, wide_, query_sums, wide_, false);
    unpack(query_sums, rows, h.query_gradient + first * row_, row_);
  }
  unpack(key_sums, positions_, h.key_gradient, row_);
  unpack(value_sums, positions_, h.value_gradient, row_);
}

Status Attention::forward(const SampleKeys&) {
  const std::int64_t all = info_.input.samples * heads_;
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < all; ++i) forward_head(head(i));
  return {};
}

Status Attention::backward_data() {
  const std::int64_t all = info_.input.samples * heads_;
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t i = 0; i < all; ++i) backward_head(head(i));
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const AttentionDesc& desc, const PlanHint& hint) {
  return std::make_unique<Attention>(context, desc, hint);
}

}  // namespace rubato::kernels
