// Small networks train on the CUDA device as on the CPU.
//
// Bounds. In one step from equal weights, either device's loss is within 16 n eps of the true one, relative, where n is
// the number of products in all sums that lie between an input and the loss, as in tests/model/gradient_test.cc;
// forward and backward each pass every layer once. From then on weights differ. How much of a difference in weights is
// in a later loss is measured: by a run on the CPU whose weights are moved a little, at random, at first. Each of k
// steps moves weights apart by as much again, relative, as its gradients are off; four times of what was measured is
// allowed, for a direction that is worse than a random one.
#include <gmock/gmock.h>

#include <cmath>

#include "model/architectures.h"
#include "tests/cuda_fake/networks.h"

namespace rubato::model {
namespace {

constexpr std::size_t kSamples = 12, kSteps = 20;
constexpr float kRate = 0.05f;

// Loss per sample, of each step.
std::vector<double> losses_of(const SmallModel& small, const std::string& device_name, float moved) {
  const auto device = kernels::open_device({device_name}).value();
  const auto model = make_model(small.config, small.shape, kClasses, *device, kSamples, 5).value();
  Store store(*model);
  RandomStream random(stream_key(9, "moved"));
  for (auto& values : store.values)
    for (float& value : values) value += moved * static_cast<float>(2.0 * random.next_unit() - 1.0);
  std::vector<double> losses;
  for (std::size_t step = 0; step < kSteps; ++step) {
    const OwnedBatch batch = batch_for(small, kSamples);  // always the same: it can be learned, whatever its labels
    const auto stats = model->train_leaf(batch.view(step), store, store);
    EXPECT_TRUE(stats.ok()) << stats.error().message;
    if (!stats.ok()) return losses;
    losses.push_back(stats.value().loss_sum / kSamples);
    for (std::size_t p = 0; p < store.values.size(); ++p)
      for (std::size_t i = 0; i < store.values[p].size(); ++i)
        store.values[p][i] -= kRate / kSamples * store.gradients[p][i];
    ++store.version_number;
  }
  return losses;
}

// In all sums that lie between an input and the loss; normalizations, an average and attention
// have their sums, too.
double products(const SmallModel& small) {
  const std::vector<Layer> layers = build_layers(small.config, small.shape, kClasses, 5).value();
  double sum = 0.0;
  for (const Layer& layer : layers) {
    const kernels::TensorShape input = kernels::input_shape(layer.op);
    if (std::holds_alternative<kernels::DenseDesc>(layer.op))
      sum += static_cast<double>(kernels::parameter_shapes(layer.op)[0][1]);
    else if (std::holds_alternative<kernels::LayerNormDesc>(layer.op))
      sum += 2.0 * static_cast<double>(input.channels);
    else if (const auto* norm = std::get_if<kernels::GroupNormDesc>(&layer.op))
      sum += 2.0 * static_cast<double>(input.elements_per_sample() / norm->groups);
    else if (std::holds_alternative<kernels::GlobalAverageDesc>(layer.op))
      sum += static_cast<double>(input.height * input.width);
    else if (const auto* attention = std::get_if<kernels::AttentionDesc>(&layer.op))
      sum += static_cast<double>(input.channels / 3 / attention->heads + 2 * input.height);  // scores, softmax, mean
    else
      sum += 1.0;
  }
  return sum;
}

// Those of the small models that have nothing else, and the device's own, but for sums over a whole batch: a bound for
// twenty steps of those would let mistakes pass.
std::vector<SmallModel> networks() {
  std::vector<SmallModel> all = networks_on_cuda();
  std::erase_if(all, [](const SmallModel& small) { return small.title == "batch normalization"; });
  for (const SmallModel& small : small_models())
    if (small.title.starts_with("mlp") || small.title == "logistic" || small.title == "gpt") all.push_back(small);
  return all;
}

class CudaTraining : public testing::TestWithParam<SmallModel> {};
INSTANTIATE_TEST_SUITE_P(Networks, CudaTraining, testing::ValuesIn(networks()), network_test_name);

TEST_P(CudaTraining, GivesTheCpusLosses) {
  const SmallModel& small = GetParam();
  const std::vector<double> cpu = losses_of(small, "cpu", 0.0f), cuda = losses_of(small, "cuda", 0.0f);
  constexpr float kMoved = 1e-4f;
  const std::vector<double> moved = losses_of(small, "cpu", kMoved);
  ASSERT_EQ(cuda.size(), kSteps);
  EXPECT_LT(cpu.back(), cpu.front());
  const double relative = 2.0 * 16.0 * products(small) * 0x1p-24;
  double growth = 0.0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    growth = std::max(growth, std::abs(moved[step] - cpu[step]) / static_cast<double>(kMoved));
    const double allowed = relative * (2.0 * cpu[step] + 4.0 * growth * static_cast<double>(step));
    ASSERT_LT(allowed, 0.02) << "a bound that would let mistakes pass";
    EXPECT_NEAR(cuda[step], cpu[step], allowed) << "step " << step;
  }
}

}  // namespace
}  // namespace rubato::model
