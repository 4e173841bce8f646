// Group normalization, a sample at a time. Channels-last, a group is a few neighbours of every pixel, so all loops run
// over channels, with each group's numbers spread over its channels; sums are gathered for each channel, in float32
// over a stretch of pixels and in float64 over the stretches.
//
// Mean and variance by the corrected two-pass algorithm, as in layer_norm.cc. Saved: these for each group, and, left by
// begin_backward, two sums for each channel of a sample, from which both parameters' gradients and the input's follow.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/check.h"
#include "kernels/cpu/ops.h"

namespace rubato::kernels {
namespace {

constexpr std::int64_t kStretch = 32;  // pixels

struct Moments {
  float shift = 0.0f, rest = 0.0f, scale = 0.0f;  // scale: 1 / sqrt(variance + epsilon)
};

class GroupNorm final : public Op {
 public:
  GroupNorm(const CpuContext& context, const GroupNormDesc& desc, const PlanHint& hint);

  [[nodiscard]] const OpInfo& info() const override { return info_; }
  void bind(const Ports& ports) override;
  Status load(std::size_t index, std::span<const float> values, Version version) override;
  Status forward(const SampleKeys&) override;
  Status begin_backward() override;
  Status backward_weights(std::span<const std::span<float>> gradients) override;
  Status backward_data() override;

 private:
  // A sample's own scratch.
  struct Work {
    double *sums, *products;           // for each channel
    float *part_sums, *part_products;  // of a stretch
    float *shift, *slope, *offset;     // of each channel's group, or of the channel itself
  };
  static constexpr std::int64_t kWorkFloats = 9;  // for each channel

  [[nodiscard]] Work work(std::int64_t sample) const;
  // sums[c] = sum of first(pixel, c), products[c] of second, over the pixels.
  template <typename Two>
  void gather(const Work& w, const Two& two) const;
  // The numbers of a group, from those of its channels.
  [[nodiscard]] double total(const double* channels, std::int64_t group) const;
  void forward_sample(std::int64_t sample);
  void begin_backward_sample(std::int64_t sample);
  void backward_sample(std::int64_t sample);

  const int threads_;
  const bool training_;
  const std::int64_t samples_, pixels_, channels_, groups_, width_;  // width: channels of a group
  const double epsilon_;
  OpInfo info_;
  Ports ports_;
  Moments* moments_ = nullptr;     // sample, group
  float* channel_sums_ = nullptr;  // sample, sum of dy or of dy times the normalized input, channel
  const float *weight_ = nullptr, *bias_ = nullptr;
};

GroupNorm::GroupNorm(const CpuContext& context, const GroupNormDesc& desc, const PlanHint& hint)
    : threads_(context.threads),
      training_(hint.training),
      samples_(desc.input.samples),
      pixels_(desc.input.height * desc.input.width),
      channels_(desc.input.channels),
      groups_(desc.groups),
      width_(desc.input.channels / desc.groups),
      epsilon_(desc.epsilon) {
  RUBATO_CHECK(groups_ > 0 && width_ * groups_ == channels_, "{} channels in {} groups", channels_, groups_);
  info_.input = info_.output = desc.input;
  const auto floats = [](std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); };
  info_.scratch_bytes = floats(samples_ * kWorkFloats * channels_);
  if (training_) {
    info_.saved_bytes =
        static_cast<std::size_t>(samples_ * groups_) * sizeof(Moments) + floats(samples_ * 2 * channels_);
  }
  info_.algorithms = {{"forward", "channels"}};
  if (training_) info_.algorithms.push_back({"backward", "channels"});
}

void GroupNorm::bind(const Ports& ports) {
  ports_ = ports;
  if (!training_) return;
  moments_ = static_cast<Moments*>(ports.saved);
  channel_sums_ = reinterpret_cast<float*>(moments_ + samples_ * groups_);
}

Status GroupNorm::load(std::size_t index, std::span<const float> values, Version) {
  RUBATO_CHECK(index < 2 && values.size() == static_cast<std::size_t>(channels_),
               "{} values for parameter {} of a group normalization", values.size(), index);
  (index == 0 ? weight_ : bias_) = values.data();
  return {};
}

// All doubles first: scratch is aligned for them, whatever the number of channels.
GroupNorm::Work GroupNorm::work(std::int64_t sample) const {
  auto* const doubles = static_cast<double*>(ports_.scratch) + sample * 2 * channels_;
  auto* const floats = reinterpret_cast<float*>(static_cast<double*>(ports_.scratch) + samples_ * 2 * channels_) +
                       sample * 5 * channels_;
  return {doubles,
          doubles + channels_,
          floats,
          floats + channels_,
          floats + 2 * channels_,
          floats + 3 * channels_,
          floats + 4 * channels_};
}

template <typename Two>
void GroupNorm::gather(const Work& w, const Two& two) const {
  std::fill_n(w.sums, 2 * channels_, 0.0);
  for (std::int64_t first = 0; first < pixels_; first += kStretch) {
    std::fill_n(w.part_sums, 2 * channels_, 0.0f);
    for (std::int64_t p = first; p < std::min(pixels_, first + kStretch); ++p) {
      two(p * channels_, w.part_sums, w.part_products);
    }
    for (std::int64_t c = 0; c < channels_; ++c) {
      w.sums[c] += static_cast<double>(w.part_sums[c]);
      w.products[c] += static_cast<double>(w.part_products[c]);
    }
  }
}

double GroupNorm::total(const double* channels, std::int64_t group) const {
  double sum = 0.0;
  for (std::int64_t c = group * width_; c < (group + 1) * width_; ++c) sum += channels[c];
  return sum;
}

void GroupNorm::forward_sample(std::int64_t sample) {
  const Work w = work(sample);
  const float* const x = ports_.input + sample * pixels_ * channels_;
  float* const y = ports_.output + sample * pixels_ * channels_;
  const double share = 1.0 / static_cast<double>(pixels_ * width_);
  gather(w, [&](std::int64_t at, float* __restrict sums, float*) {
    for (std::int64_t c = 0; c < channels_; ++c) sums[c] += x[at + c];
  });
  for (std::int64_t group = 0; group < groups_; ++group) {
    std::fill_n(w.shift + group * width_, width_, static_cast<float>(share * total(w.sums, group)));
  }
  gather(w, [&](std::int64_t at, float* __restrict sums, float* __restrict products) {
    for (std::int64_t c = 0; c < channels_; ++c) {
      const float d = x[at + c] - w.shift[c];
      sums[c] += d;
      products[c] += d * d;
    }
  });
  for (std::int64_t group = 0; group < groups_; ++group) {
    const double rest = share * total(w.sums, group);
    const double variance = share * total(w.products, group) - rest * rest;
    const double scale = 1.0 / std::sqrt(variance + epsilon_);
    for (std::int64_t c = group * width_; c < (group + 1) * width_; ++c) {
      const double slope = scale * static_cast<double>(weight_[c]);
      w.slope[c] = static_cast<float>(slope);
      w.offset[c] = static_cast<float>(static_cast<double>(bias_[c]) - rest * slope);
    }
    if (training_) {
      moments_[sample * groups_ + group] = {w.shift[group * width_], static_cast<float>(rest),
                                            static_cast<float>(scale)};
    }
  }
  for (std::int64_t p = 0; p < pixels_; ++p) {
    const float* const from = x + p * channels_;
    float* __restrict const to = y + p * channels_;
    for (std::int64_t c = 0; c < channels_; ++c) to[c] = (from[c] - w.shift[c]) * w.slope[c] + w.offset[c];
  }
}

void GroupNorm::begin_backward_sample(std::int64_t sample) {
  const Work w = work(sample);
  const float* const x = ports_.input + sample * pixels_ * channels_;
  const float* const dy = ports_.output_gradient + sample * pixels_ * channels_;
  for (std::int64_t c = 0; c < channels_; ++c) {
    const Moments m = moments_[sample * groups_ + c / width_];
    w.shift[c] = m.shift;
    w.slope[c] = m.scale;
    w.offset[c] = m.rest;
  }
  gather(w, [&](std::int64_t at, float* __restrict sums, float* __restrict products) {
    for (std::int64_t c = 0; c < channels_; ++c) {
      sums[c] += dy[at + c];
      products[c] += dy[at + c] * ((x[at + c] - w.shift[c] - w.offset[c]) * w.slope[c]);
    }
  });
  float* const out = channel_sums_ + sample * 2 * channels_;
  for (std::int64_t c = 0; c < 2 * channels_; ++c) out[c] = static_cast<float>(w.sums[c]);
}

// dx = scale (g - mean(g) - normal mean(g normal)) with g = weight dy: of x - shift and dy a linear function, whose
// three numbers are the same all over a channel of a sample.
void GroupNorm::backward_sample(std::int64_t sample) {
  const Work w = work(sample);
  const float* const x = ports_.input + sample * pixels_ * channels_;
  const float* const dy = ports_.output_gradient + sample * pixels_ * channels_;
  float* const dx = ports_.input_gradient + sample * pixels_ * channels_;
  const float* const sums = channel_sums_ + sample * 2 * channels_;
  const double share = 1.0 / static_cast<double>(pixels_ * width_);
  for (std::int64_t group = 0; group < groups_; ++group) {
    const Moments m = moments_[sample * groups_ + group];
    double gradient = 0.0, product = 0.0;
    for (std::int64_t c = group * width_; c < (group + 1) * width_; ++c) {
      gradient += static_cast<double>(weight_[c]) * static_cast<double>(sums[c]);
      product += static_cast<double>(weight_[c]) * static_cast<double>(sums[channels_ + c]);
    }
    const auto scale = static_cast<double>(m.scale);
    const double by_x = scale * scale * share * product;
    for (std::int64_t c = group * width_; c < (group + 1) * width_; ++c) {
      w.shift[c] = m.shift;
      w.slope[c] = static_cast<float>(by_x);
      w.offset[c] = static_cast<float>(scale * share * gradient - static_cast<double>(m.rest) * by_x);
      w.part_sums[c] = static_cast<float>(scale * static_cast<double>(weight_[c]));
    }
  }
  for (std::int64_t p = 0; p < pixels_; ++p) {
    const std::int64_t at = p * channels_;
    float* __restrict const to = dx + at;
    for (std::int64_t c = 0; c < channels_; ++c) {
      to[c] = dy[at + c] * w.part_sums[c] - (x[at + c] - w.shift[c]) * w.slope[c] - w.offset[c];
    }
  }
}

Status GroupNorm::forward(const SampleKeys&) {
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples_; ++sample) forward_sample(sample);
  return {};
}

Status GroupNorm::begin_backward() {
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples_; ++sample) begin_backward_sample(sample);
  return {};
}

Status GroupNorm::backward_data() {
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t sample = 0; sample < samples_; ++sample) backward_sample(sample);
  return {};
}

Status GroupNorm::backward_weights(std::span<const std::span<float>> gradients) {
  const auto size = static_cast<std::size_t>(channels_);
  RUBATO_CHECK(gradients.size() == 2 && gradients[0].size() == size && gradients[1].size() == size,
               "gradient buffers of a group normalization");
  std::ranges::fill(gradients[0], 0.0f);
  std::ranges::fill(gradients[1], 0.0f);
  for (std::int64_t sample = 0; sample < samples_; ++sample) {
    const float* const sums = channel_sums_ + sample * 2 * channels_;
    for (std::size_t c = 0; c < size; ++c) {
      gradients[1][c] += sums[c];
      gradients[0][c] += sums[size + c];
    }
  }
  return {};
}

}  // namespace

std::unique_ptr<Op> make_op(const CpuContext& context, const GroupNormDesc& desc, const PlanHint& hint) {
  return std::make_unique<GroupNorm>(context, desc, hint);
}

}  // namespace rubato::kernels
