// The loss and the gradients of whole networks, against the float64 reference of the operations
// (tests/kernels/backend_reference.h) put together, and finite differences of it.
//
// Tolerance. To first order the relative errors of the layers add: each result is a sum of n products,
// within n eps (eps = 2^-24) of its terms' absolute values. Those exceed the result by a factor that
// depends on the values; 16 is assumed for it, and forward and backward each pass every layer once.
// Finite differences with h = 1e-5 in float64 add 1e-8.
#include <algorithm>
#include <cmath>

#include "model/architectures.h"
#include "model/network.h"
#include "model/parameter_groups.h"
#include "tests/kernels/backend_reference.h"
#include "tests/kernels/sequence_reference.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

namespace reference = kernels::reference;
using Doubles = reference::Doubles;
using kernels::LossDesc;

constexpr std::size_t kSamples = 3;

double loss_of(const LossDesc& desc, const double* scores, std::size_t outputs, std::size_t label) {
  const LossDesc::Kind kind = desc.kind;
  double loss = 0.0, sum = 0.0;
  for (std::size_t c = 0; c < outputs; ++c) sum += std::exp(scores[c]);
  for (std::size_t c = 0; c < outputs; ++c) {
    const double spread = desc.smoothing / static_cast<double>(outputs);
    const double t = (c == label ? 1.0 - desc.smoothing : 0.0) + spread, p = 1.0 / (1.0 + std::exp(-scores[c]));
    const double share = 1.0 / static_cast<double>(outputs);
    if (kind == LossDesc::Kind::kCrossEntropy) loss -= t * std::log(std::exp(scores[c]) / sum);
    if (kind == LossDesc::Kind::kBinaryCrossEntropy) loss -= share * std::log(t == 1.0 ? p : 1.0 - p);
    if (kind == LossDesc::Kind::kMeanSquaredError) loss += share * (scores[c] - t) * (scores[c] - t);
  }
  return loss;
}

// Of an operation for sequences: without bounds and derivatives.
Doubles sequence(const kernels::OpDesc& op, const Doubles& x, const std::vector<Doubles>& parameters) {
  reference::Values values{{x.begin(), x.end()}};
  for (const Doubles& parameter : parameters) values.emplace_back(parameter.begin(), parameter.end());
  Doubles y;
  for (const reference::Dual& dual : reference::outputs(op, values)) y.push_back(dual.value.value);
  return y;
}

bool is_sequence(const kernels::OpDesc& op) {
  return std::holds_alternative<kernels::LayerNormDesc>(op) || std::holds_alternative<kernels::GroupNormDesc>(op) ||
         std::holds_alternative<kernels::EmbeddingDesc>(op) || std::holds_alternative<kernels::AttentionDesc>(op) ||
         std::holds_alternative<kernels::RecurrentDesc>(op);
}

struct ReferenceNetwork {
  std::vector<Layer> layers;
  LossDesc desc;
  std::vector<Doubles> parameters;
  bool training = true;

  [[nodiscard]] Doubles scores(const OwnedBatch& batch) const {
    std::vector<Doubles> tensors{reference::widen(batch.inputs)};
    std::size_t parameter = 0;
    for (const Layer& layer : layers) {
      const auto op = kernels::with_samples(layer.op, static_cast<std::int64_t>(batch.ids.size()));
      std::vector<Doubles> own;
      for (std::size_t i = kernels::parameter_shapes(op).size(); i > 0; --i) own.push_back(parameters[parameter++]);
      const Doubles& x = tensors[layer.input];
      Doubles y;
      if (const auto* norm = std::get_if<kernels::BatchNormDesc>(&op)) {
        y = reference::batch_norm(*norm, x, own, training);
      } else if (std::holds_alternative<kernels::AddDesc>(op)) {
        y = x;
      } else if (is_sequence(op)) {
        y = sequence(op, x, own);
      } else {
        own.resize(2);
        y = reference::linear(op, x, own[0], own[1]);
      }
      const bool adds = kernels::has_addend(op);
      for (std::size_t i = 0; i < y.size(); ++i)
        y[i] = reference::activate(adds ? y[i] + tensors[layer.addend][i] : y[i], reference::activation_of(op));
      tensors.push_back(std::move(y));
    }
    return tensors.back();
  }
  [[nodiscard]] double loss(const OwnedBatch& batch) const {
    const Doubles s = scores(batch);
    const std::size_t outputs = s.size() / batch.labels.size();
    double sum = 0.0;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
      sum += loss_of(desc, s.data() + i * outputs, outputs, static_cast<std::size_t>(batch.labels[i]));
    }
    return sum * static_cast<double>(batch.ids.size()) / static_cast<double>(batch.labels.size());
  }
  [[nodiscard]] double slope(const OwnedBatch& batch, std::size_t parameter, std::size_t index) {
    constexpr double h = 1e-5;
    double& value = parameters[parameter][index];
    const double kept = value;
    value = kept + h;
    const double above = loss(batch);
    value = kept - h;
    const double below = loss(batch);
    value = kept;
    return (above - below) / (2.0 * h);
  }
  // Products in all sums that lie between an input and the loss.
  [[nodiscard]] double terms() const {
    double sum = 0.0;
    for (const Layer& layer : layers) {
      const auto shapes = kernels::parameter_shapes(layer.op);
      const auto height = static_cast<double>(kernels::input_shape(layer.op).height);
      if (std::holds_alternative<kernels::LayerNormDesc>(layer.op))
        sum += 2.0 * static_cast<double>(kernels::input_shape(layer.op).channels);
      if (const auto* norm = std::get_if<kernels::GroupNormDesc>(&layer.op))
        sum += 2.0 * static_cast<double>(norm->input.elements_per_sample() / norm->groups);
      if (std::holds_alternative<kernels::AttentionDesc>(layer.op))
        sum += height + static_cast<double>(kernels::input_shape(layer.op).channels);
      if (std::holds_alternative<kernels::BatchNormDesc>(layer.op))
        sum += 2.0 * kSamples *
               static_cast<double>(kernels::input_shape(layer.op).height * kernels::input_shape(layer.op).width);
      for (const auto& shape : shapes) {
        double product = 1.0;
        for (std::size_t axis = 1; axis < shape.size(); ++axis) product *= static_cast<double>(shape[axis]);
        sum += std::holds_alternative<kernels::RecurrentDesc>(layer.op) ? height * product : product;
      }
    }
    return sum;
  }
};

class GradientTest : public ModelTest {};

TEST_F(GradientTest, LossAndGradientsAreTheReferences) {
  for (const SmallModel& small : small_models()) {
    if (small.config.dropout > 0.0) continue;  // the reference draws no masks
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    Store store(*model);
    const OwnedBatch batch(kSamples, small);
    const auto stats = model->train_leaf(batch.view(), store, store);
    ASSERT_TRUE(stats.ok()) << stats.error().message;

    const LossDesc desc{.kind = parse_loss(small.config.loss).value(), .smoothing = small.config.label_smoothing};
    ReferenceNetwork expected{build_layers(small.config, small.shape, kClasses, 5).value(), desc, {}};
    for (const auto& values : store.values) expected.parameters.push_back(reference::widen(values));
    const double relative = 2.0 * 16.0 * expected.terms() * 0x1p-24;
    EXPECT_NEAR(stats.value().loss_sum, expected.loss(batch), relative * kSamples);
    EXPECT_EQ(stats.value().samples, kSamples);

    for (std::size_t p = 0; p < store.values.size(); ++p) {
      if (model->parameters()[p].average > 0.0f) continue;  // has no gradient, but a value of its own
      const auto& gradient = store.gradients[p];
      float greatest = 0.0f;
      for (float g : gradient) greatest = std::max(greatest, std::abs(g));
      RandomStream random(stream_key(4, "element", p));
      const int draws = store.values.size() > 20 ? 1 : 6;  // deep networks take their time
      for (int draw = 0; draw < draws; ++draw) {
        const std::size_t i = random.below(gradient.size());
        EXPECT_NEAR(gradient[i], expected.slope(batch, p, i), relative * static_cast<double>(greatest) + 1e-8)
            << model->parameters()[p].name << "[" << i << "]";
      }
    }
  }
}

// Tensors that two and three layers read, made by layers that add gradients themselves and by others.
TEST_F(GradientTest, OfATensorIsTheSumOverItsReaders) {
  using kernels::Activation;
  NetworkBuilder net({1, 6, 5, 2});
  net.convolution("conv1", {.channels = 4, .kernel = 3, .padding = 1, .activation = Activation::kTanh});
  const TensorId first = net.here();
  net.convolution("conv2", {.channels = 4, .kernel = 3, .padding = 1});
  net.add("sum1", first, Activation::kRelu);
  const TensorId second = net.here();
  net.convolution("conv3", {.channels = 4, .kernel = 3, .padding = 1, .activation = Activation::kTanh});
  net.add("sum2", first, Activation::kNone);
  net.add("sum3", second, Activation::kNone);
  net.dense("fc", kClasses, Activation::kNone);
  std::vector<Layer> layers = std::move(net).finish().value();
  Network model(*device_, layers, grouped_parameters({}, layers).value(), LossDesc{}, kSamplesMax);
  Store store(model);
  const OwnedBatch batch(kSamples, {6, 5, 2});
  const auto stats = model.train_leaf(batch.view(), store, store);
  ASSERT_TRUE(stats.ok()) << stats.error().message;
  ReferenceNetwork expected{layers, LossDesc{}, {}};
  for (const auto& values : store.values) expected.parameters.push_back(reference::widen(values));
  const double relative = 2.0 * 16.0 * expected.terms() * 0x1p-24;
  EXPECT_NEAR(stats.value().loss_sum, expected.loss(batch), relative * kSamples);
  for (std::size_t p = 0; p < store.values.size(); ++p) {
    const auto& gradient = store.gradients[p];
    const auto [least, most] = std::ranges::minmax(gradient);
    const double greatest = std::max(std::abs(least), std::abs(most));
    for (std::size_t i = 0; i < gradient.size(); i += 7)
      EXPECT_NEAR(gradient[i], expected.slope(batch, p, i), relative * greatest + 1e-8)
          << model.parameters()[p].name << "[" << i << "]";
  }
}

TEST_F(GradientTest, EvaluationGivesTheSameLossAndTheScores) {
  for (const SmallModel& small : small_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    Store store(*model);
    const OwnedBatch batch(5, small);
    const LossDesc desc{.kind = parse_loss(small.config.loss).value()};  // a label is not smoothed here
    ModelConfig without_dropout = small.config;
    without_dropout.dropout = 0.0;
    ReferenceNetwork expected{build_layers(without_dropout, small.shape, kClasses, 5).value(), desc, {}, false};
    for (const auto& values : store.values) expected.parameters.push_back(reference::widen(values));

    const auto evaluation = model->evaluate(batch.view(), store);
    ASSERT_TRUE(evaluation.ok()) << evaluation.error().message;
    const double tolerance = 2.0 * 16.0 * expected.terms() * 0x1p-24;
    EXPECT_NEAR(evaluation.value().loss_sum, expected.loss(batch), 5.0 * tolerance);
    const Doubles scores = expected.scores(batch);
    ASSERT_EQ(evaluation.value().outputs.size(), scores.size());
    double correct = 0.0;
    for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(evaluation.value().outputs[i], scores[i], tolerance);
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
      correct += evaluation.value().predictions[i] == batch.labels[i] ? 1.0 : 0.0;
    }
    correct *= 5.0 / static_cast<double>(batch.labels.size());
    EXPECT_NEAR(evaluation.value().correct, correct, 1e-12);
  }
}

}  // namespace
}  // namespace rubato::model
