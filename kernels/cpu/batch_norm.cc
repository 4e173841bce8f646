// Batch normalization, fused with the addition and the ReLU that follow it in residual networks: three passes over
// memory forward and five backward, where as separate operations they would take more than twice as many.
//
// Rows, one for each pixel of each sample, are worked on in chunks that stay in the cache. A chunk's mean and sum of
// squares about it are merged with those of the chunks before it (Chan, Golub and LeVeque, "Updating formulae and a
// pairwise algorithm for computing sample variances", 1979, equation 2.1), in double: one pass over memory, and no
// cancellation. Chunks follow from the shape alone, so the bits are the same for any number of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/check.h"
#include "kernels/cpu/batch_norm_rows.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/tensor_layout.h"

namespace rubato::kernels {
namespace {

constexpr std::int64_t kChunkFloats = 16384, kChunksMax = 512;
constexpr std::int64_t kChunkRows = 3;  // of scratch, for each chunk

class BatchNorm final : public Op {
 public:
  BatchNorm(const CpuContext& context, const BatchNormDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys& keys) override;
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  // One number a channel each, in what is saved: of the call's samples, and what backward makes of them. The mean is in
  // two parts, since one float32 of a mean far from zero would be off by more than what it is taken from.
  enum Row : std::uint8_t { kMean, kMeanRest, kInverse, kVariance, kScale, kShift, kSum, kProduct, kRows };
  enum Parameter : std::uint8_t { kWeight, kBias, kRunningMean, kRunningVariance, kParameters };

  [[nodiscard]] float* row(Row which) const { return saved_ + which * channels_; }
  [[nodiscard]] float* rows_of(std::int64_t chunk) const { return scratch_ + kChunkRows * chunk * channels_; }
  // body(first row, rows, its rows of scratch), for every chunk, on all threads.
  template <typename Body>
  void in_chunks(Body&& body) const;
  // body(where it begins, rows, first channel), for every piece of a chunk.
  template <typename Body>
  void in_pieces(std::int64_t first, std::int64_t rows, Body&& body) const;
  template <std::int64_t kWidth>
  void measure(std::int64_t first, std::int64_t rows, float* own) const;
  template <std::int64_t kWidth, bool kSecond, bool kRelu>
  void reduce_chunk(std::int64_t first, std::int64_t rows, float* own) const;
  template <std::int64_t kWidth>
  void reduce_all() const;
  void merge_statistics();
  void take_running_means();
  void merge_sums();
  void normalize_all(const PerChannel& per);

  const int threads_;
  const bool training_, adds_, relu_, fixed_;
  const double epsilon_;
  const std::int64_t channels_, rows_, pixels_;
  const bool blocked_;
  const std::int64_t width_;  // of a piece
  std::int64_t chunk_rows_ = 0, chunks_ = 0;
  OpInfo info_;
  Ports ports_;
  float* saved_ = nullptr;
  float* scratch_ = nullptr;
  const float* parameters_[kParameters] = {};
  std::vector<double> first_, second_;  // one number a channel, while chunks are merged
};

BatchNorm::BatchNorm(const CpuContext& context, const BatchNormDesc& desc, const PlanHint& hint)
    : threads_(context.threads),
      training_(hint.training),
      adds_(desc.adds),
      relu_(desc.activation == Activation::kRelu),
      fixed_(desc.fixed),
      epsilon_(desc.epsilon),
      channels_(desc.input.channels),
      rows_(desc.input.samples * desc.input.height * desc.input.width),
      pixels_(desc.input.height * desc.input.width),
      blocked_(hint.input == Layout::kOwn),
      width_(blocked_ ? kBlock : channels_) {
  RUBATO_CHECK(hint.input == hint.output, "a normalization from one layout to another");
  RUBATO_CHECK(relu_ || desc.activation == Activation::kNone, "a normalization with activation {}",
               static_cast<int>(desc.activation));
  chunk_rows_ = std::max({kChunkFloats / channels_, (rows_ + kChunksMax - 1) / kChunksMax, std::int64_t{1}});
  chunks_ = (rows_ + chunk_rows_ - 1) / chunk_rows_;
  info_.input = info_.output = desc.input;
  info_.adds_gradients = true;
  const auto row_bytes = static_cast<std::size_t>(channels_) * sizeof(float);
  info_.saved_bytes = training_ ? kRows * row_bytes : 0;
  info_.scratch_bytes = kChunkRows * row_bytes * static_cast<std::size_t>(training_ ? chunks_ : 1);
  info_.algorithms = {{"forward", "chunks"}, {"backward_weights", "chunks"}, {"backward_data", "chunks"}};
  first_.resize(static_cast<std::size_t>(channels_));
  second_.resize(static_cast<std::size_t>(channels_));
}

void BatchNorm::bind(const Ports& ports) {
  RUBATO_CHECK(!adds_ || ports.addend != nullptr, "a normalization without what it adds");
  ports_ = ports;
  saved_ = static_cast<float*>(ports.saved);
  scratch_ = static_cast<float*>(ports.scratch);
}

Status BatchNorm::load(std::size_t index, std::span<const float> values, Version /*version*/) {
  RUBATO_CHECK(index < kParameters && values.size() == static_cast<std::size_t>(channels_),
               "{} values for parameter {} of a normalization", values.size(), index);
  parameters_[index] = values.data();
  return {};
}

template <typename Body>
void BatchNorm::in_chunks(Body&& body) const {
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
    const std::int64_t first = chunk * chunk_rows_;
    body(first, std::min(chunk_rows_, rows_ - first), training_ ? rows_of(chunk) : nullptr);
  }
}

template <typename Body>
void BatchNorm::in_pieces(std::int64_t first, std::int64_t rows, Body&& body) const {
  if (!blocked_) return body(first * channels_, rows, std::int64_t{0});
  for (std::int64_t channel = 0; channel < channels_; channel += kBlock) {
    for (std::int64_t row = first; row < first + rows;) {
      const std::int64_t sample = row / pixels_, pixel = row % pixels_;
      const std::int64_t count = std::min(pixels_ - pixel, first + rows - row);
      body((sample * channels_ + channel) * pixels_ + pixel * kBlock, count, channel);
      row += count;
    }
  }
}

// Of one chunk: each channel's mean, as float32 sums make it; what is left of the sum about that mean, and the sum of
// squares about it, with which both are put right (the corrected two-pass algorithm, the same paper, equation 1.7).
template <std::int64_t kWidth>
void BatchNorm::measure(std::int64_t first, std::int64_t rows, float* own) const {
  float *const mean = own, *const rest = own + channels_, *const squares = rest + channels_;
  std::fill_n(own, kChunkRows * channels_, 0.0f);
  in_pieces(first, rows, [&](std::int64_t at, std::int64_t count, std::int64_t c) {
    add_rows<kWidth>(ports_.input + at, count, width_, mean + c);
  });
  const auto n = static_cast<float>(rows);
  for (std::int64_t c = 0; c < channels_; ++c) mean[c] /= n;
  in_pieces(first, rows, [&](std::int64_t at, std::int64_t count, std::int64_t c) {
    add_deviations<kWidth>(ports_.input + at, count, width_, mean + c, rest + c, squares + c);
  });
}

template <std::int64_t kWidth, bool kSecond, bool kRelu>
void BatchNorm::reduce_chunk(std::int64_t first, std::int64_t rows, float* own) const {
  std::fill_n(own, 2 * channels_, 0.0f);
  in_pieces(first, rows, [&](std::int64_t at, std::int64_t count, std::int64_t c) {
    reduce<kWidth, kSecond, kRelu>(ports_.output_gradient + at, kSecond ? ports_.second_gradient + at : nullptr,
                                   ports_.output + at, ports_.input + at, row(kMean) + c, count, width_, own + c,
                                   own + channels_ + c);
  });
}

template <std::int64_t kWidth>
void BatchNorm::reduce_all() const {
  in_chunks([this](std::int64_t first, std::int64_t rows, float* own) {
    if (ports_.second_gradient != nullptr)
      relu_ ? reduce_chunk<kWidth, true, true>(first, rows, own) : reduce_chunk<kWidth, true, false>(first, rows, own);
    else
      relu_ ? reduce_chunk<kWidth, false, true>(first, rows, own)
            : reduce_chunk<kWidth, false, false>(first, rows, own);
  });
}

// From each chunk's mean and squares to those of all rows.
void BatchNorm::merge_statistics() {
  std::fill(first_.begin(), first_.end(), 0.0);
  std::fill(second_.begin(), second_.end(), 0.0);
  for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
    const auto before = static_cast<double>(chunk * chunk_rows_);
    const auto own = static_cast<double>(std::min(chunk_rows_, rows_ - chunk * chunk_rows_));
    const double share = own / (before + own), weight = before * share;
    const float *const means = rows_of(chunk), *const rests = means + channels_, *const squares = rests + channels_;
    for (std::int64_t c = 0; c < channels_; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double rest = static_cast<double>(rests[c]);
      const double delta = static_cast<double>(means[c]) + rest / own - first_[at];
      first_[at] += delta * share;
      second_[at] += static_cast<double>(squares[c]) - rest * rest / own + delta * delta * weight;
    }
  }
  const auto n = static_cast<double>(rows_);
  for (std::int64_t c = 0; c < channels_; ++c) {
    const double mean = first_[static_cast<std::size_t>(c)];
    const double squares = std::max(second_[static_cast<std::size_t>(c)], 0.0);
    const double inverse = 1.0 / std::sqrt(squares / n + epsilon_);
    const double scale = inverse * static_cast<double>(parameters_[kWeight][c]);
    row(kMean)[c] = static_cast<float>(mean);
    const double rest = mean - static_cast<double>(row(kMean)[c]);
    row(kMeanRest)[c] = static_cast<float>(rest);
    row(kInverse)[c] = static_cast<float>(inverse);
    // Of a single row there is none that would say anything of others: the running one is to stay as it is.
    row(kVariance)[c] = rows_ > 1 ? static_cast<float>(squares / (n - 1.0)) : parameters_[kRunningVariance][c];
    row(kScale)[c] = static_cast<float>(scale);
    row(kShift)[c] = static_cast<float>(static_cast<double>(parameters_[kBias][c]) - rest * scale);
  }
}

// In place of what the samples say.
void BatchNorm::take_running_means() {
  for (std::int64_t c = 0; c < channels_; ++c) {
    const double deviation = std::sqrt(static_cast<double>(parameters_[kRunningVariance][c]) + epsilon_);
    row(kMean)[c] = parameters_[kRunningMean][c];
    row(kMeanRest)[c] = 0.0f;
    row(kInverse)[c] = static_cast<float>(1.0 / deviation);
    row(kVariance)[c] = parameters_[kRunningVariance][c];
    row(kScale)[c] = static_cast<float>(static_cast<double>(parameters_[kWeight][c]) / deviation);
    row(kShift)[c] = parameters_[kBias][c];
  }
}

void BatchNorm::normalize_all(const PerChannel& per) {
  const auto run = [&]<bool kAdds, bool kRelu>() {
    in_chunks([&](std::int64_t first, std::int64_t rows, float*) {
      in_pieces(first, rows, [&](std::int64_t at, std::int64_t count, std::int64_t c) {
        const PerChannel own{per.mean + c, per.scale + c, per.shift + c};
        const float* const addend = kAdds ? ports_.addend + at : nullptr;
        if (blocked_)
          normalize<kBlock, kAdds, kRelu>(ports_.input + at, addend, ports_.output + at, count, width_, own);
        else
          normalize<0, kAdds, kRelu>(ports_.input + at, addend, ports_.output + at, count, width_, own);
      });
    });
  };
  if (adds_) return relu_ ? run.operator()<true, true>() : run.operator()<true, false>();
  return relu_ ? run.operator()<false, true>() : run.operator()<false, false>();
}

Status BatchNorm::forward(const SampleKeys& /*keys*/) {
  if (training_) {
    if (fixed_) {
      take_running_means();
    } else {
      in_chunks([this](std::int64_t first, std::int64_t rows, float* own) {
        blocked_ ? measure<kBlock>(first, rows, own) : measure<0>(first, rows, own);
      });
      merge_statistics();
    }
    normalize_all({row(kMean), row(kScale), row(kShift)});
    return {};
  }
  for (std::int64_t c = 0; c < channels_; ++c)
    scratch_[c] = static_cast<float>(static_cast<double>(parameters_[kWeight][c]) /
                                     std::sqrt(static_cast<double>(parameters_[kRunningVariance][c]) + epsilon_));
  normalize_all({parameters_[kRunningMean], scratch_, parameters_[kBias]});
  return {};
}

void BatchNorm::merge_sums() {
  std::fill(first_.begin(), first_.end(), 0.0);
  std::fill(second_.begin(), second_.end(), 0.0);
  for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
    const float *const sums = rows_of(chunk), *const products = sums + channels_;
    for (std::int64_t c = 0; c < channels_; ++c) {
      first_[static_cast<std::size_t>(c)] += static_cast<double>(sums[c]);
      second_[static_cast<std::size_t>(c)] += static_cast<double>(products[c]);
    }
  }
  for (std::int64_t c = 0; c < channels_; ++c) {
    const double sum = first_[static_cast<std::size_t>(c)], rest = static_cast<double>(row(kMeanRest)[c]);
    row(kSum)[c] = static_cast<float>(sum);
    row(kProduct)[c] = static_cast<float>(second_[static_cast<std::size_t>(c)] - rest * sum);
  }
}

Status BatchNorm::begin_backward() {
  blocked_ ? reduce_all<kBlock>() : reduce_all<0>();
  merge_sums();
  return {};
}

Status BatchNorm::backward_weights(std::span<const std::span<float>> gradients) {
  RUBATO_CHECK(gradients.size() == kParameters, "{} gradients of a normalization", gradients.size());
  const auto samples = static_cast<float>(info_.input.samples);
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels_); ++c) {
    gradients[kWeight][c] = row(kProduct)[c] * row(kInverse)[c];
    gradients[kBias][c] = row(kSum)[c];
    gradients[kRunningMean][c] = samples * row(kMean)[c];
    gradients[kRunningVariance][c] = samples * row(kVariance)[c];
  }
  return {};
}

// With x^ for the normalized input, the means over all rows: scale (g - mean(g) - x^ mean(g x^)). Fixed, scale g.
Status BatchNorm::backward_data() {
  const auto n = static_cast<double>(rows_);
  if (fixed_) std::fill_n(scratch_, 2 * channels_, 0.0f);
  for (std::int64_t c = 0; c < channels_ && !fixed_; ++c) {
    const auto inverse = static_cast<double>(row(kInverse)[c]), rest = static_cast<double>(row(kMeanRest)[c]);
    const double slope = static_cast<double>(row(kProduct)[c]) * inverse * inverse / n;
    scratch_[c] = static_cast<float>(static_cast<double>(row(kSum)[c]) / n - rest * slope);
    scratch_[channels_ + c] = static_cast<float>(slope);
  }
  in_chunks([this](std::int64_t first, std::int64_t rows, float*) {
    in_pieces(first, rows, [&](std::int64_t at, std::int64_t count, std::int64_t c) {
      const float *const x = ports_.input + at, *const g = ports_.output_gradient + at;
      const PerChannel per{row(kMean) + c, row(kScale) + c, scratch_ + c};
      const float* const slope = scratch_ + channels_ + c;
      if (blocked_)
        differentiate<kBlock>(x, g, ports_.input_gradient + at, count, width_, per, slope);
      else
        differentiate<0>(x, g, ports_.input_gradient + at, count, width_, per, slope);
    });
  });
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const BatchNormDesc& desc, const PlanHint& hint) {
  return std::make_unique<BatchNorm>(context, desc, hint);
}

}  // namespace rubato::kernels
