// Small networks train on the CUDA device as on the CPU.
//
// Bounds. In one step from equal weights, either device's loss is within 16 n eps of the true one, relative, where n is
// the number of products in all sums that lie between an input and the loss, as in tests/model/gradient_test.cc;
// forward and backward each pass every layer once. Gradients are off by as much of the greatest one of their parameter:
// terms that cancel in another one are no greater than those in it.
//
// From then on weights differ. How much of that is in a later loss is measured: by runs on the CPU whose gradients are
// off by as much, at random, in each step. Four times of what was measured is allowed, for errors that have one
// direction.
//
// Where normalizations sum over a whole batch this is no bound to speak of. There each step begins with the CPU's
// weights, and of n roundings in a sum 8 sqrt(n) are taken to go one way, which fails one time in 10^13 (Higham and
// Mary, "A new approach to probabilistic rounding error analysis", 2019, theorem 2.4). Of gradients that is the length,
// all of them as one vector: what lies within roundings of ReLU's corner may be taken for either side, which is seen in
// a single number, and is nothing beside what the others of a batch add to it.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "model/architectures.h"
#include "tests/cuda_fake/training.h"

namespace rubato::model {
namespace {

float greatest_of(const std::vector<float>& values) {
  float greatest = 0.0f;
  for (const float value : values) greatest = std::max(greatest, std::abs(value));
  return greatest;
}

// Loss per sample, of each step. Gradients are made to be off by this share of their greatest.
std::vector<double> losses_of(const SmallModel& small, const std::string& device_name, double gradient_error = 0.0,
                              std::uint64_t seed = 0) {
  const auto device = kernels::open_device({device_name}).value();
  const auto model = make_model(small.config, small.shape, kClasses, *device, kSamples, 5).value();
  PinnedStore pinned(*model, *device);
  EXPECT_TRUE(pinned.pin().ok());
  Store& store = *pinned;
  RandomStream random(stream_key(9, "gradient error", seed));
  std::vector<double> losses;
  for (std::size_t step = 0; step < kSteps; ++step) {
    losses.push_back(loss_of_step(*model, small, store, step));
    for (auto& gradient : store.gradients) {
      const double off = gradient_error * static_cast<double>(greatest_of(gradient));
      for (float& value : gradient) value += static_cast<float>(off * (2.0 * random.next_unit() - 1.0));
    }
    descend(store);
  }
  return losses;
}

// In all sums that lie between an input and the loss; normalizations, an average and attention have their sums, too.
// `count`: how many of n roundings in a sum go one way.
template <typename Count>
double products(const SmallModel& small, const Count& count) {
  const std::vector<Layer> layers = build_layers(small.config, small.shape, kClasses, 5).value();
  double sum = 0.0;
  for (const Layer& layer : layers) {
    const kernels::TensorShape input = kernels::input_shape(layer.op);
    if (std::holds_alternative<kernels::DenseDesc>(layer.op))
      sum += count(static_cast<double>(kernels::parameter_shapes(layer.op)[0][1]));
    else if (const auto* convolution = std::get_if<kernels::ConvolutionDesc>(&layer.op))
      sum += count(static_cast<double>(convolution->kernel * convolution->kernel * input.channels));
    else if (std::holds_alternative<kernels::LayerNormDesc>(layer.op))
      sum += 2.0 * count(static_cast<double>(input.channels));
    else if (const auto* norm = std::get_if<kernels::GroupNormDesc>(&layer.op))
      sum += 2.0 * count(static_cast<double>(input.elements_per_sample() / norm->groups));
    else if (std::holds_alternative<kernels::BatchNormDesc>(layer.op))
      sum += 2.0 * count(static_cast<double>(kSamples) * static_cast<double>(input.height * input.width));
    else if (std::holds_alternative<kernels::GlobalAverageDesc>(layer.op))
      sum += count(static_cast<double>(input.height * input.width));
    else if (const auto* attention = std::get_if<kernels::AttentionDesc>(&layer.op))
      sum += count(static_cast<double>(input.channels / 3 / attention->heads)) +
             2.0 * count(static_cast<double>(input.height));  // scores; softmax and mean
    else if (const auto* recurrent = std::get_if<kernels::RecurrentDesc>(&layer.op))
      sum += count(static_cast<double>(input.height * (input.channels + recurrent->units)));
    else
      sum += 1.0;
  }
  return sum;
}

class CudaTraining : public testing::TestWithParam<SmallModel> {};
INSTANTIATE_TEST_SUITE_P(Networks, CudaTraining, testing::ValuesIn(networks(false)), network_test_name);

TEST_P(CudaTraining, GivesTheCpusLosses) {
  const SmallModel& small = GetParam();
  const std::vector<double> cpu = losses_of(small, "cpu"), cuda = losses_of(small, "cuda");
  const double relative = 2.0 * 16.0 * products(small, [](double n) { return n; }) * 0x1p-24;
  std::vector<std::vector<double>> others;
  for (const std::uint64_t seed : {1, 2, 3}) others.push_back(losses_of(small, "cpu", relative, seed));
  EXPECT_LT(cpu.back(), cpu.front());
  double apart = 0.0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    for (const auto& other : others) apart = std::max(apart, std::abs(other[step] - cpu[step]));
    const double allowed = 2.0 * relative * cpu[step] + 4.0 * apart;
    ASSERT_LT(allowed, 0.02) << "a bound that would let mistakes pass, in step " << step;
    EXPECT_NEAR(cuda[step], cpu[step], allowed) << "step " << step;
  }
}

class CudaTrainingOverBatches : public testing::TestWithParam<SmallModel> {};
INSTANTIATE_TEST_SUITE_P(Networks, CudaTrainingOverBatches, testing::ValuesIn(networks(true)), network_test_name);

TEST_P(CudaTrainingOverBatches, EachStepIsTheCpus) {
  const SmallModel& small = GetParam();
  const auto count = [](double n) { return std::min(n, 8.0 * std::sqrt(n)); };
  const double relative = 2.0 * 16.0 * products(small, count) * 0x1p-24;
  ASSERT_LT(relative, 0.03) << "a bound that would let mistakes pass";
  const auto cpu = kernels::open_device({"cpu"}).value(), cuda = kernels::open_device({"cuda"}).value();
  const auto cpu_model = make_model(small.config, small.shape, kClasses, *cpu, kSamples, 5).value();
  const auto cuda_model = make_model(small.config, small.shape, kClasses, *cuda, kSamples, 5).value();
  Store store(*cpu_model), cuda_store(*cuda_model);
  double first = 0.0, last = 0.0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    cuda_store.values = store.values;
    cuda_store.version_number = store.version_number;
    last = loss_of_step(*cpu_model, small, store, step);
    if (step == 0) first = last;
    EXPECT_NEAR(loss_of_step(*cuda_model, small, cuda_store, step), last, relative * last) << "step " << step;
    EXPECT_LT(distance(store.gradients, cuda_store.gradients), relative) << "step " << step;
    descend(store);
  }
  EXPECT_LT(last, first);
}

// States are drawn by probabilities, which weights that differ turn over: so each step is from equal weights. Two
// epochs for each of two machines, and one with labels. A probability is off by a quarter of its argument's error, a
// sum of at most n products and its additions, as in tests/kernels/rbm_test.cc; a gradient is a sum over samples of two
// terms each, a loss one of squares of at most 2 times that, on either device.
TEST(CudaDbn, TrainsAsOnTheCpu) {
  const SmallModel small = networks_on_cuda().front();
  ASSERT_EQ(small.title, "dbn");
  const auto cpu = kernels::open_device({"cpu"}).value(), cuda = kernels::open_device({"cuda"}).value();
  const auto there = make_model(small.config, small.shape, kClasses, *cpu, kSamples, 5).value();
  const auto here = make_model(small.config, small.shape, kClasses, *cuda, kSamples, 5).value();
  Store store(*there), other(*here);
  const OwnedBatch batch = batch_for(small, kSamples);
  constexpr double kEps = 0x1p-24, n = 13.0;
  const double probability = 0.25 * n * n * kEps + 4.0 * kEps;
  const double allowed = 2.0 * (2.0 * kSamples * probability + 4.0 * kSamples * kSamples * kEps);
  for (std::size_t step = 0; step < kSteps; ++step) {
    SCOPED_TRACE(step);
    const auto want = there->train_leaf(batch.view(step / 4), store, store);
    other.values = store.values;
    const auto got = here->train_leaf(batch.view(step / 4), other, other);
    ASSERT_TRUE(want.ok() && got.ok());
    EXPECT_NEAR(got->loss_sum, want->loss_sum, 2.0 * allowed);
    for (std::size_t p = 0; p < store.values.size(); ++p)
      for (std::size_t i = 0; i < store.values[p].size(); ++i) {
        ASSERT_NEAR(other.gradients[p][i], store.gradients[p][i], allowed) << p << ", " << i;
        store.values[p][i] -= kRate / kSamples * store.gradients[p][i];
      }
    other.version_number = ++store.version_number;
  }
}

}  // namespace
}  // namespace rubato::model
