// Attention where what is multiplied is rounded, on devices that round it there: a GPU. A processor does not, and keeps
// the bounds all the more.
//
// Bounds. Inputs and output gradients are numbers of bfloat16, so that their products are exact. Rounded are the shares
// c of a softmax, before they weigh the values, and the gradients g of scores, before they multiply queries and keys:
// each by up to u of itself, 2^-8 for bfloat16 and 2^-11 for TF32. That moves an output by u sum |c v|, a value's
// gradient by u sum |c r|, a query's by u sum |g k| and a key's by u sum |g q|; what float32 does to the terms is in
// the bound for it (tests/kernels/rounded.h), times 1 + u.
//
// Of cuDNN's fused attention, results are rounded to bfloat16, too: by u of themselves, behind what moved them. And the
// mean m = sum c (r v) that a row's gradients of scores are off is made of the output o as it was rounded, as the sum
// of r o over features: moved by M, at most the sum of |r| times what o was moved by, u (1 + u) sum |c v| + u |o|. That
// moves g by scale c M. What float32 does to that sum, of at most 256 features, is less than u of it; so is what the
// rounding of g does to it, and what float32 did to o.
#include <gmock/gmock.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "base/float16.h"
#include "tests/kernels/differentiated.h"
#include "tests/kernels/planned_op.h"
#include "tests/kernels/sequence_reference.h"

namespace rubato::kernels {
namespace {

std::vector<AttentionDesc> cases() {
  return {{{1, 1, 1, 3}, 1},   {{3, 5, 1, 18}, 2}, {{1, 17, 1, 60}, 1}, {{1, 70, 1, 24}, 2},
          {{2, 33, 1, 48}, 2}, {{2, 9, 1, 21}, 1}, {{1, 65, 1, 72}, 1}};
}

PlannedOp planned(Device& device, const AttentionDesc& desc, const PlanHint& hint = {}, float fill = -7.0f) {
  PlannedOp run(device, desc, hint, fill);
  for (auto* factors : {&run.x, &run.r})
    for (float& factor : *factors) factor = from_bfloat(to_bfloat(factor));
  run.input.set(run.x);
  run.output_gradient.set(run.r);
  return run;
}

constexpr double kBfloatRoundoff = 0x1p-8;

bool is_fused(const Op& op) { return op.info().algorithms.front().implementation.starts_with("cudnn"); }

// One head of one sample in float64: its queries, keys, values and output gradients, and what comes of them.
class Head {
 public:
  Head(const AttentionDesc& desc, const PlannedOp& run, std::int64_t sample, std::int64_t head)
      : positions_(desc.input.height),
        width_(desc.input.channels / 3),
        size_(width_ / desc.heads),
        fused_(is_fused(*run.op)),
        run_(run) {
    first_in_ = sample * positions_ * 3 * width_ + head * size_;
    first_out_ = sample * positions_ * width_ + head * size_;
    for (std::int64_t i = 0; i < positions_; ++i) {
      add_position(i);
      means_moved_.push_back(fused_ ? mean_moved(i) : 0.0);
    }
  }

  // Sums of absolute values: what is rounded, times what it multiplies.
  [[nodiscard]] double output(std::int64_t i, std::int64_t c) const {
    return sum([&](std::int64_t j) { return share(i, j) * x(j, 2, c); });
  }
  [[nodiscard]] double query(std::int64_t i, std::int64_t c) const {
    return sum([&](std::int64_t j) { return moved(i, j) * x(j, 1, c); });
  }
  [[nodiscard]] double key(std::int64_t j, std::int64_t c) const {
    return sum([&](std::int64_t i) { return moved(i, j) * x(i, 0, c); });
  }
  [[nodiscard]] double value(std::int64_t j, std::int64_t c) const {
    return sum([&](std::int64_t i) { return share(i, j) * r(i, c); });
  }

 private:
  void add_position(std::int64_t i) {
    const double scale = 1.0 / std::sqrt(static_cast<double>(size_));
    std::vector<double> shares, gradients;
    double all = 0.0, mean = 0.0;
    for (std::int64_t j = 0; j < positions_; ++j) {
      double score = 0.0, gradient = 0.0;
      for (std::int64_t c = 0; c < size_; ++c) {
        score += x(i, 0, c) * x(j, 1, c);
        gradient += r(i, c) * x(j, 2, c);
      }
      shares.push_back(j <= i ? std::exp(scale * score) : 0.0);
      gradients.push_back(gradient);
      all += shares.back();
    }
    for (std::size_t j = 0; j < shares.size(); ++j) mean += (shares[j] /= all) * gradients[j];
    for (std::size_t j = 0; j < shares.size(); ++j) {
      shares_.push_back(shares[j]);
      slopes_.push_back(scale * shares[j] * (gradients[j] - mean));
    }
  }
  // By how many u a row's mean is moved.
  [[nodiscard]] double mean_moved(std::int64_t i) const {
    double moved = 0.0;
    for (std::int64_t c = 0; c < size_; ++c) {
      double mean = 0.0;
      for (std::int64_t j = 0; j < positions_; ++j) mean += share(i, j) * x(j, 2, c);
      moved += std::abs(r(i, c)) * ((1.0 + kBfloatRoundoff) * output(i, c) + std::abs(mean));
    }
    return (1.0 + kBfloatRoundoff) * (1.0 + kBfloatRoundoff) * moved;
  }
  // A gradient of a score: by how many u.
  [[nodiscard]] double moved(std::int64_t i, std::int64_t j) const {
    const double scale = 1.0 / std::sqrt(static_cast<double>(size_));
    return std::abs(slope(i, j)) + scale * share(i, j) * means_moved_[static_cast<std::size_t>(i)];
  }
  template <typename Term>
  [[nodiscard]] double sum(const Term& term) const {
    double total = 0.0;
    for (std::int64_t i = 0; i < positions_; ++i) total += std::abs(term(i));
    return total;
  }
  [[nodiscard]] double x(std::int64_t position, std::int64_t which, std::int64_t c) const {
    return run_.x[static_cast<std::size_t>(first_in_ + (3 * position + which) * width_ + c)];
  }
  [[nodiscard]] double r(std::int64_t position, std::int64_t c) const {
    return run_.r[static_cast<std::size_t>(first_out_ + position * width_ + c)];
  }
  [[nodiscard]] double share(std::int64_t i, std::int64_t j) const { return shares_[at(i, j)]; }
  [[nodiscard]] double slope(std::int64_t i, std::int64_t j) const { return slopes_[at(i, j)]; }
  [[nodiscard]] std::size_t at(std::int64_t i, std::int64_t j) const {
    return static_cast<std::size_t>(i * positions_ + j);
  }

  const std::int64_t positions_, width_, size_;
  const bool fused_;
  const PlannedOp& run_;
  std::int64_t first_in_ = 0, first_out_ = 0;
  std::vector<double> shares_, slopes_, means_moved_;
};

// By number: how much rounding by all of itself would move it.
struct Scales {
  std::vector<double> output, input_gradient;
};

Scales scales_of(const AttentionDesc& desc, const PlannedOp& run) {
  const std::int64_t positions = desc.input.height, width = desc.input.channels / 3, size = width / desc.heads;
  Scales all{std::vector<double>(run.r.size()), std::vector<double>(run.x.size())};
  for (std::int64_t sample = 0; sample < desc.input.samples; ++sample)
    for (std::int64_t index = 0; index < desc.heads; ++index) {
      const Head head(desc, run, sample, index);
      for (std::int64_t i = 0; i < positions; ++i)
        for (std::int64_t c = 0; c < size; ++c) {
          const std::int64_t row = sample * positions + i, channel = index * size + c;
          all.output[static_cast<std::size_t>(row * width + channel)] = head.output(i, c);
          double* const in = &all.input_gradient[static_cast<std::size_t>(row * 3 * width + channel)];
          in[0] = head.query(i, c);
          in[width] = head.key(i, c);
          in[2 * width] = head.value(i, c);
        }
    }
  return all;
}

class BackendAttention : public BackendTest {
 protected:
  static double rounding() { return GetParam().precision == Precision::kTf32 ? 0x1p-11 : kBfloatRoundoff; }
  // `exact`: what float32 may make of it; `scale`: how much rounding all of its terms would move it.
  static double allowed(const Op& op, double value, double exact, double scale) {
    const double u = rounding(), summed = (1.0 + u) * exact + u * scale;
    return is_fused(op) ? (1.0 + u) * summed + u * std::abs(value) : summed;
  }
};
INSTANTIATE_TEST_SUITE_P(Rounding, BackendAttention,
                         testing::Values(DeviceParam{"cpu", 1, Precision::kBfloat16},
                                         DeviceParam{"cuda:0", 1, Precision::kTf32},
                                         DeviceParam{"cuda:0", 1, Precision::kBfloat16}),
                         device_test_name);

TEST_P(BackendAttention, OutputsAndGradientsAgreeWithTheReference) {
  for (const AttentionDesc& desc : cases()) {
    SCOPED_TRACE(testing::Message() << desc.input.samples << " x " << desc.input.height << " x "
                                    << desc.input.channels);
    PlannedOp run = planned(*device_, desc);
    Differentiated expected(
        run, [&](const reference::Values& values) { return reference::outputs(OpDesc(desc), values, {}); });
    const Scales scales = scales_of(desc, run);
    run.forward();
    const reference::Duals want = expected.outputs();
    const std::vector<float> got = run.output.values();
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want[i].value.value,
                  allowed(*run.op, want[i].value.value, want[i].value.error, scales.output[i]))
          << "output " << i;
    run.backward();
    const std::vector<float> gradient = run.input_gradient.values();
    for (const std::size_t i : some_of(gradient.size())) {
      const double exact = 2.0 * expected.slope(0, i).error + 1e-7, slope = expected.finite_difference(0, i);
      ASSERT_NEAR(gradient[i], slope, allowed(*run.op, slope, exact, scales.input_gradient[i])) << "element " << i;
    }
  }
}

// A share of 1/3 has no end: on a GPU it is rounded before it weighs the values, on a processor behind that.
TEST_P(BackendAttention, SharesAreRoundedOnAGpu) {
  const bool gpu = device_->description().starts_with("cuda");
  PlannedOp run(*device_, AttentionDesc{{1, 3, 1, 3}, 1}, {.training = false}, {0, 0, 1, 0, 0, 1, 0, 0, 1}, 0.0f);
  run.forward();
  const float third = run.output.values()[2] / 3.0f;
  const float rounded = GetParam().precision == Precision::kTf32 ? 0x1.554p-2f : from_bfloat(to_bfloat(1.0f / 3.0f));
  EXPECT_EQ(std::abs(third - rounded) < 0x1p-22f, gpu) << third;
}

TEST_P(BackendAttention, BitsDoNotDependOnHistory) {
  for (const AttentionDesc& desc : cases())
    check_that_history_does_not_matter(*device_,
                                       [&](Device& device, float fill) { return planned(device, desc, {}, fill); });
}

}  // namespace
}  // namespace rubato::kernels
