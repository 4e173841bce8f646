// The contract of every operation with a gradient, on every device: outputs against the float64
// reference, gradients against finite differences of it, over ragged shapes.
//
// Tolerances. A sum of n products in float32, in any order, is within n eps S of the true one, where S is
// the sum of the terms' absolute values (Higham, "Accuracy and stability of numerical algorithms", 3.1)
// and eps = 2^-24. n and S are exact: from the shape, and from the reference on absolute values.
// Activations have slope at most 1, GELU 1.13 (kSlope), and are computed to a few eps of 1 (kActivation),
// GELU to as much of its input, since it multiplies by it. Backward computes
// the slope from the output: 1 - y^2 and y (1 - y) move by at most 2 e when y is off by e, ReLU's not at
// all, GELU's, from its input, by 0.8 e; so an output's error e adds 2 e S to a gradient. Finite differences in float64
// with step h = 1e-5 add h^2 S to a derivative, and 2^-53 / h times the value differentiated (below 2000): 1e-7 covers
// both.
//
// With bfloat16 the factors are numbers that it has, so that their products are exact, and the bounds the same. But
// what comes out of an activation's slope, and is a factor of every gradient, is rounded to 8 bits: each term moves by
// up to 2^-8 of it. With TF32 the factors are the same numbers, and what is rounded is rounded less.
//
// On CUDA a convolution with bfloat16 is rounded once more: what its products are summed to, before bias and
// activation, and its gradients (kernels/cuda/convolution_plan.h). That moves a sum by up to 2^-8 of it, and is an
// output's error e as above. Where that may turn over which side of ReLU's corner a sum is on, all that an output adds
// to a gradient may be wrong, or missing.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "kernels/planned_device.h"
#include "tests/kernels/backend_reference.h"
#include "tests/kernels/differentiated.h"
#include "tests/kernels/planned_op.h"

namespace rubato::kernels {
namespace {

using reference::Doubles;

constexpr double kEps = 0x1p-24;
constexpr double kActivation = 16 * kEps;
constexpr double kSlope = 1.13;
constexpr double kBfloatEps = 0x1p-8;

struct Case {
  std::string name;
  OpDesc desc;
};

// The same operation in float64.
struct Reference {
  Reference(const OpDesc& op_desc, const PlannedOp& run) : desc(op_desc), r(reference::widen(run.r)) {
    values[0] = reference::widen(run.x);
    for (std::size_t i = 0; i < run.parameters.size(); ++i) values[i + 1] = reference::widen(run.parameters[i]);
  }

  [[nodiscard]] Doubles outputs() const {
    Doubles y = reference::linear(desc, values[0], values[1], values[2]);
    for (double& value : y) value = reference::activate(value, reference::activation_of(desc));
    return y;
  }
  // For each output the sum of the absolute values of its terms.
  [[nodiscard]] Doubles output_scales() const {
    return reference::linear(desc, reference::absolute(values[0]), reference::absolute(values[1]),
                             reference::absolute(values[2]));
  }
  // d(r . outputs) / d(values[which][index]).
  [[nodiscard]] double slope(std::size_t which, std::size_t index) {
    constexpr double h = 1e-5;
    const double kept = values[which][index];
    values[which][index] = kept + h;
    const double above = reference::dot(r, outputs());
    values[which][index] = kept - h;
    const double below = reference::dot(r, outputs());
    values[which][index] = kept;
    return (above - below) / (2.0 * h);
  }
  // Both, of elements that were asked for before.
  const std::pair<double, double>& slope_and_scale(std::size_t which, std::size_t index) {
    const auto [found, is_new] = known.try_emplace({which, index});
    if (is_new) found->second = {slope(which, index), slope_scale(which, index)};
    return found->second;
  }
  // The same for absolute values and no activation: the sum of the absolute values of the slope's terms.
  // Exact up to rounding, since dense layers and convolutions are linear in each argument.
  [[nodiscard]] double slope_scale(std::size_t which, std::size_t index) const {
    return slope_scale(which, index, reference::absolute(r));
  }
  // The same, of output gradients of these sizes.
  [[nodiscard]] double slope_scale(std::size_t which, std::size_t index, const Doubles& weight) const {
    Doubles a[3] = {reference::absolute(values[0]), reference::absolute(values[1]), reference::absolute(values[2])};
    const double before = reference::dot(weight, reference::linear(desc, a[0], a[1], a[2]));
    a[which][index] += 1.0;
    return reference::dot(weight, reference::linear(desc, a[0], a[1], a[2])) - before;
  }

  OpDesc desc;
  Doubles values[3];  // input, weights, bias
  Doubles r;
  std::map<std::pair<std::size_t, std::size_t>, std::pair<double, double>> known;
};

// Products in the longest sum of each kind, with the bias as one of them.
struct Terms {
  double output = 1, input_gradient = 1, parameter_gradient = 1;
};

Terms terms(const OpDesc& desc) {
  const TensorShape in = input_shape(desc), out = output_shape(desc);
  std::int64_t output = 1, input_gradient = 1;
  if (const auto* pool = std::get_if<PoolDesc>(&desc)) {
    output = input_gradient = pool->window * pool->window;
  } else if (const auto* convolution = std::get_if<ConvolutionDesc>(&desc)) {
    const std::int64_t window = convolution->kernel * convolution->kernel;
    output = window * in.channels + 1;
    input_gradient = window * convolution->channels;
  } else if (!std::holds_alternative<ActivationDesc>(desc)) {
    output = parameter_shapes(desc)[0][1] + 1;
    input_gradient = out.channels;
  }
  return {static_cast<double>(output), static_cast<double>(input_gradient),
          static_cast<double>(out.samples * out.height * out.width)};
}

// `sum_error`: what sums are rounded by, of themselves, beside float32's roundings.
void check_outputs(const OpDesc& desc, const PlannedOp& run, const Reference& expected, double sum_error) {
  const Doubles want = expected.outputs(), scale = expected.output_scales();
  const std::vector<float> got = run.output.values();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double allowed =
        kSlope * (terms(desc).output * kEps + sum_error) * scale[i] + kActivation * std::max(1.0, scale[i]);
    ASSERT_NEAR(got[i], want[i], allowed) << "output " << i;
  }
}

// Whether its activation has slopes other than 0 and 1.
bool is_curved(const OpDesc& desc) {
  const Activation activation = reference::activation_of(desc);
  return activation != Activation::kNone && activation != Activation::kRelu;
}

// The error of an activation's slope that comes from the error of an output.
double slope_error(const OpDesc& desc, const Reference& expected, double sum_error) {
  if (!is_curved(desc)) return 0.0;
  const Doubles scales = expected.output_scales();
  const double relative = terms(desc).output * kEps + sum_error;
  return 2.0 * (relative * *std::max_element(scales.begin(), scales.end()) + kActivation);
}

// The sizes of the output gradients of those outputs which rounded sums may put on either side of ReLU's corner.
Doubles at_the_corner(const OpDesc& desc, const Reference& expected, double sum_error) {
  Doubles sizes = reference::absolute(expected.r);
  if (sum_error == 0.0 || reference::activation_of(desc) != Activation::kRelu) return {};
  const Doubles sums = reference::linear(desc, expected.values[0], expected.values[1], expected.values[2]);
  const Doubles scales = expected.output_scales();
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (std::abs(sums[i]) > (sum_error + terms(desc).output * kEps) * scales[i]) sizes[i] = 0.0;
  return sizes;
}

// Relative; `thorough`: more of its elements.
struct Errors {
  double factors = 0.0;  // of output gradients behind an activation
  double sums = 0.0;     // of what products are summed to
  bool thorough = false;
};

void check_gradient(const OpDesc& desc, Reference& expected, std::size_t which, const std::vector<float>& got,
                    const Errors& errors) {
  const double n = which == 0 ? terms(desc).input_gradient : terms(desc).parameter_gradient;
  const double own = which < 2 ? errors.sums : 0.0;  // of a bias gradients are no products
  const double relative =
      kSlope * (n * kEps + own) + slope_error(desc, expected, errors.sums) + kSlope * errors.factors;
  const Doubles corner = at_the_corner(desc, expected, errors.sums);
  for (const std::size_t i : some_of(got.size(), (expected.r.size() > 10'000 ? 8 : 120) / (errors.thorough ? 1 : 4))) {
    const auto& [slope, terms_of_slope] = expected.slope_and_scale(which, i);
    // A pool's terms are at most 1 each: random output gradients, slopes of at most 1.
    const double scale = std::holds_alternative<PoolDesc>(desc) ? n : terms_of_slope;
    const double turned = corner.empty() ? 0.0 : expected.slope_scale(which, i, corner);
    ASSERT_NEAR(got[i], slope, relative * scale + turned + 1e-7) << "value " << which << ", element " << i;
  }
}

std::vector<Case> cases() {
  using A = Activation;
  std::vector<Case> all;
  const auto dense = [&](TensorShape in, std::int64_t units, A a) {
    all.push_back({"dense " + std::to_string(all.size()), DenseDesc{in, units, a}});
  };
  dense({1, 1, 1, 1}, 1, A::kNone);
  dense({5, 1, 1, 7}, 3, A::kRelu);
  dense({33, 3, 3, 5}, 17, A::kTanh);
  dense({16, 1, 1, 64}, 10, A::kSigmoid);
  dense({3, 7, 7, 2}, 33, A::kRelu);
  dense({33, 3, 3, 5}, 17, A::kGelu);
  dense({16, 1, 1, 64}, 10, A::kGeluTanh);
  all.push_back({"dense per position", DenseDesc{{3, 7, 1, 21}, 33, A::kGelu, true}});
  all.push_back({"dense per pixel", DenseDesc{{2, 3, 5, 4}, 19, A::kNone, true}});
  const auto convolution = [&](TensorShape in, std::int64_t channels, std::int64_t kernel, std::int64_t stride,
                               std::int64_t padding, A a) {
    all.push_back(
        {"convolution " + std::to_string(all.size()), ConvolutionDesc{in, channels, kernel, stride, padding, a}});
  };
  convolution({1, 5, 5, 1}, 1, 3, 1, 0, A::kNone);
  convolution({2, 9, 7, 1}, 6, 5, 1, 2, A::kRelu);
  convolution({3, 6, 6, 6}, 16, 5, 1, 0, A::kTanh);
  convolution({2, 7, 5, 3}, 5, 3, 2, 1, A::kSigmoid);
  convolution({2, 6, 6, 16}, 32, 3, 1, 1, A::kRelu);
  convolution({1, 5, 5, 17}, 33, 3, 1, 1, A::kNone);
  convolution({5, 4, 4, 8}, 4, 1, 1, 0, A::kRelu);
  convolution({2, 6, 6, 16}, 32, 3, 1, 1, A::kGelu);
  convolution({2, 9, 8, 3}, 16, 7, 2, 3, A::kNone);
  convolution({3, 7, 6, 1}, 32, 3, 1, 1, A::kNone);
  convolution({3, 6, 6, 32}, 16, 1, 2, 0, A::kNone);
  convolution({16, 5, 5, 64}, 64, 3, 1, 1, A::kRelu);  // tiles and channels enough for Winograd's algorithm
  convolution({2, 7, 7, 64}, 64, 3, 1, 0, A::kTanh);
  all.push_back({"convolution without bias", ConvolutionDesc{{2, 7, 5, 16}, 32, 3, 2, 1, A::kNone, false}});
  const auto pool = [&](TensorShape in, PoolDesc::Kind kind, std::int64_t window, std::int64_t stride, A a,
                        std::int64_t padding = 0) {
    all.push_back({"pool " + std::to_string(all.size()), PoolDesc{in, kind, window, stride, a, padding}});
  };
  pool({3, 4, 4, 1}, PoolDesc::Kind::kMax, 2, 2, A::kNone);
  pool({2, 7, 5, 6}, PoolDesc::Kind::kMax, 2, 2, A::kRelu);
  pool({2, 7, 7, 19}, PoolDesc::Kind::kMax, 3, 2, A::kTanh);
  pool({3, 6, 6, 16}, PoolDesc::Kind::kAverage, 2, 2, A::kNone);
  pool({2, 7, 5, 5}, PoolDesc::Kind::kAverage, 3, 1, A::kRelu);
  pool({2, 7, 7, 19}, PoolDesc::Kind::kMax, 3, 2, A::kGelu);
  pool({2, 8, 7, 16}, PoolDesc::Kind::kMax, 3, 2, A::kNone, 1);
  pool({2, 7, 6, 32}, PoolDesc::Kind::kMax, 2, 2, A::kRelu);
  pool({2, 6, 6, 32}, PoolDesc::Kind::kMax, 2, 2, A::kTanh);
  pool({2, 7, 7, 32}, PoolDesc::Kind::kAverage, 3, 2, A::kNone, 1);
  pool({3, 12, 8, 6}, PoolDesc::Kind::kMax, 2, 2, A::kRelu);
  pool({3, 9, 6, 5}, PoolDesc::Kind::kAverage, 3, 3, A::kNone);
  pool({2, 5, 5, 3}, PoolDesc::Kind::kAverage, 3, 2, A::kNone, 1);
  for (const A a : {A::kRelu, A::kTanh, A::kSigmoid, A::kGelu, A::kGeluTanh})
    all.push_back({"activation " + std::to_string(all.size()), ActivationDesc{{3, 5, 7, 3}, a}});
  return all;
}

bool has_factors(const OpDesc& desc) {
  return std::holds_alternative<DenseDesc>(desc) || std::holds_alternative<ConvolutionDesc>(desc);
}

class BackendOps : public BackendTest {
 protected:
  static PlannedOp planned(Device& device, const OpDesc& desc, const PlanHint& hint) {
    PlannedOp run(device, desc, hint);
    if (GetParam().rounds() && has_factors(desc)) run.round_factors();
    return run;
  }
  Reference reference_of(const OpDesc& desc) { return {desc, planned(*device_, desc, {})}; }

  static void check_all(Device& device, const OpDesc& desc, const PlanHint& hint, Reference& expected) {
    PlannedOp run = planned(device, desc, hint);
    run.forward();
    check_outputs(desc, run, expected, sum_error(desc));
    run.backward();
    const Errors errors{.factors = GetParam().rounds() && is_curved(desc) ? kBfloatEps : 0.0,
                        .sums = sum_error(desc),
                        .thorough = GetParam().threads == 1 && !GetParam().rounds()};
    check_gradient(desc, expected, 0, run.input_gradient.values(), errors);
    for (std::size_t i = 0; i < run.gradients.size(); ++i)
      check_gradient(desc, expected, i + 1, run.gradients[i], errors);
  }
  static double sum_error(const OpDesc& desc) {
    const bool narrow = GetParam().precision == Precision::kBfloat16 && std::string_view(GetParam().name) == "cuda:0";
    return narrow && std::holds_alternative<ConvolutionDesc>(desc) ? kBfloatEps : 0.0;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BackendOps, kDevices, device_test_name);
INSTANTIATE_TEST_SUITE_P(Rounding, BackendOps,
                         testing::Values(DeviceParam{"cpu", 1, Precision::kBfloat16},
                                         DeviceParam{"cpu", 2, Precision::kBfloat16},
                                         DeviceParam{"cuda:0", 1, Precision::kTf32},
                                         DeviceParam{"cuda:0", 1, Precision::kBfloat16}),
                         device_test_name);

TEST_P(BackendOps, OutputsAndGradientsAgreeWithTheReference) {
  for (const Case& c : cases()) {
    Reference expected = reference_of(c.desc);
    for (const PlanHint& hint : hints_for(*device_, c.desc)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      check_all(*device_, c.desc, hint, expected);
      if (HasFatalFailure()) return;
    }
  }
}

// Those that no rule chooses here, too.
TEST_P(BackendOps, EveryWayThatIsMeasuredAgreesWithTheReference) {
  if (!device_->description().starts_with("cpu")) GTEST_SKIP() << "this device has no ways to choose from";
  std::size_t ways = 0, convolutions = 0;
  for (const Case& c : cases()) {
    if (!std::holds_alternative<ConvolutionDesc>(c.desc)) continue;
    ++convolutions;
    Reference expected = reference_of(c.desc);
    for (const PlanHint& hint : hints_for(*device_, c.desc)) {
      PlanBook measured;
      const auto measuring = open_measuring_device(GetParam().config(), measured).value();
      ASSERT_TRUE(measuring->plan(c.desc, hint).ok());
      ASSERT_EQ(measured.size(), 3u) << c.name;  // forward, and both of backward
      for (const TimedWay& way : measured.entries().front().ways) {
        SCOPED_TRACE(testing::Message() << c.name << ", " << hint << ", " << way.way);
        auto plan = std::make_shared<PlanBook>();
        for (const PlanEntry& entry : measured.entries()) plan->add({entry.operation, entry.call, {way}});
        const auto device = open_planned_device(GetParam().config(), plan).value();
        check_all(*device, c.desc, hint, expected);
        if (HasFatalFailure()) return;
        ++ways;
      }
    }
  }
  EXPECT_GT(ways, convolutions);
}

TEST_P(BackendOps, EvaluationComputesWhatTrainingDoes) {
  for (const Case& c : cases()) {
    for (const PlanHint& hint : hints_for(*device_, c.desc, false)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      PlannedOp run = planned(*device_, c.desc, hint);
      EXPECT_EQ(run.op->info().saved_bytes, 0u);
      run.forward();
      check_outputs(c.desc, run, Reference(c.desc, run), sum_error(c.desc));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(BackendOps, BitsDoNotDependOnHistory) {
  for (const Case& c : cases()) {
    for (const PlanHint& hint : hints_for(*device_, c.desc)) {
      SCOPED_TRACE(testing::Message() << c.name << ", " << hint);
      check_that_history_does_not_matter(
          *device_, [&](Device& device, float fill) { return PlannedOp(device, c.desc, hint, fill); });
    }
  }
}

// Weights are read, and gradients written, in slots of shared memory here and in vectors there.
TEST_P(BackendOps, BitsDoNotDependOnAddresses) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    PlannedOp aligned(*device_, c.desc, {}), shifted(*device_, c.desc, {});
    aligned.forward();
    aligned.backward();
    std::vector<std::vector<float>> weights, gradients;
    std::vector<std::span<float>> spans;
    for (std::size_t i = 0; i < shifted.parameters.size(); ++i) {
      weights.emplace_back(1, 0.0f).insert(weights.back().end(), shifted.parameters[i].begin(),
                                           shifted.parameters[i].end());
      ASSERT_TRUE(shifted.op->load(i, std::span(weights.back()).subspan(1), 1).ok());
      gradients.emplace_back(weights.back().size(), 0.0f);
    }
    for (auto& gradient : gradients) spans.push_back(std::span(gradient).subspan(1));
    ASSERT_TRUE(shifted.op->forward({}).ok());
    ASSERT_TRUE(shifted.op->begin_backward().ok());
    if (!spans.empty()) {
      ASSERT_TRUE(shifted.op->backward_weights(spans).ok());
    }
    ASSERT_TRUE(shifted.op->backward_data().ok());
    EXPECT_EQ(aligned.output.values(), shifted.output.values());
    EXPECT_EQ(aligned.input_gradient.values(), shifted.input_gradient.values());
    for (std::size_t i = 0; i < spans.size(); ++i) {
      EXPECT_TRUE(std::equal(spans[i].begin(), spans[i].end(), aligned.gradients[i].begin()));
    }
  }
}

// As PyTorch has it, wherever in the window it is; and the gradient goes there.
TEST_P(BackendOps, TheMaximumOfWhatHasNoNumberIsNone) {
  for (const PoolDesc& desc : {PoolDesc{{1, 2, 2, 3}, PoolDesc::Kind::kMax, 2, 2, Activation::kNone},
                               PoolDesc{{1, 2, 2, 32}, PoolDesc::Kind::kMax, 2, 2, Activation::kNone},
                               PoolDesc{{1, 3, 3, 1}, PoolDesc::Kind::kMax, 3, 1, Activation::kNone}}) {
    const auto channels = static_cast<std::size_t>(desc.input.channels);
    for (std::size_t pixel = 0; pixel < count(desc.input) / channels; ++pixel) {
      SCOPED_TRACE(testing::Message() << "pixel " << pixel << " of " << desc.input.height << " x " << desc.input.width);
      std::vector<float> x = random_floats(count(desc.input), "input");
      x[pixel * channels] = std::numeric_limits<float>::quiet_NaN();
      PlannedOp run(*device_, desc, {}, x, 0.0f);
      run.forward();
      run.backward();
      const std::vector<float> y = run.output.values(), gradient = run.input_gradient.values();
      EXPECT_TRUE(std::isnan(y.front()));
      for (std::size_t c = 1; c < channels; ++c) EXPECT_FALSE(std::isnan(y[c])) << "channel " << c;
      for (std::size_t i = 0; i < gradient.size(); i += channels)
        EXPECT_EQ(gradient[i], i == pixel * channels ? run.r.front() : 0.0f) << "gradient " << i;
    }
  }
}

TEST_P(BackendOps, TreeAddAdds) {
  std::vector<float> dst = random_floats(1037, "dst");
  const std::vector<float> src = random_floats(1037, "src");
  std::vector<float> want(dst.size());
  for (std::size_t i = 0; i < want.size(); ++i) want[i] = dst[i] + src[i];
  device_->tree_add(dst, src);
  EXPECT_EQ(dst, want);
}

}  // namespace
}  // namespace rubato::kernels
