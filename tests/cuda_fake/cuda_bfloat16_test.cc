// Small networks train on the CUDA device in bfloat16 as on the CPU in bfloat16.
//
// Bounds. Both round the same factors, of numbers that differ by what float32 has rounded before: of those some come to
// lie on the other side of a bfloat16's border. And the device rounds what the CPU does not: results of convolutions,
// and what attention multiplies. Each rounding is by at most 2^-8 of a number. What roundings of that size do to a
// step's loss and gradients is measured: by steps on the CPU in which every weight that is multiplied is off by as
// much, at random; a sum of products of either sign is off then by what it would be if it were rounded. Weights are off
// for all samples of a batch alike, where roundings of results are each by themselves, and cancel. Of three such steps
// the greatest difference counts, and four times of it is allowed, as in cuda_training_test.cc.
//
// Where nothing sums over a batch, the device trains by itself, twenty steps, and the others do, too. Where
// normalizations do, each step begins with the CPU's weights.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "tests/cuda_fake/training.h"

namespace rubato::model {
namespace {

constexpr double kRounding = 0x1p-8;

struct Trained {
  Trained(const SmallModel& small, const std::string& name)
      : device(kernels::open_device({name, 1, kernels::Precision::kBfloat16}).value()),
        model(make_model(small.config, small.shape, kClasses, *device, kSamples, 5).value()),
        store(*model) {}

  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<Model> model;
  Store store;
};

// A step's loss, with all weights that are multiplied off by up to `error` of themselves; they stay as they were.
double loss_with(Trained& trained, const SmallModel& small, std::size_t step, double error, RandomStream& random) {
  const auto kept = trained.store.values;
  for (std::size_t p = 0; p < kept.size(); ++p) {
    if (trained.model->parameters()[p].shape.size() < 2) continue;
    for (float& value : trained.store.values[p])
      value *= static_cast<float>(1.0 + error * (2.0 * random.next_unit() - 1.0));
  }
  const double loss = loss_of_step(*trained.model, small, trained.store, step);
  trained.store.values = kept;
  return loss;
}

std::vector<double> losses_of(const SmallModel& small, const std::string& device, double error = 0.0,
                              std::uint64_t seed = 0) {
  Trained trained(small, device);
  RandomStream random(stream_key(9, "weights", seed));
  std::vector<double> losses;
  for (std::size_t step = 0; step < kSteps; ++step) {
    losses.push_back(loss_with(trained, small, step, error, random));
    descend(trained.store);
  }
  return losses;
}

bool has_bfloat16() { return kernels::open_device({"cpu", 1, kernels::Precision::kBfloat16}).ok(); }

// Heads of 8 features are cuDNN's to compute.
std::vector<SmallModel> networks_and_fused_attention() {
  std::vector<SmallModel> all = networks(false);
  const auto narrow = std::ranges::find(all, std::string("attention"), &SmallModel::title);
  SmallModel fused = *narrow;
  fused.title = "attention that is fused";
  fused.config.network[1] = "dense 48 per_position";
  all.push_back(fused);
  return all;
}

class CudaBfloat16Training : public testing::TestWithParam<SmallModel> {
 protected:
  void SetUp() override {
    if (!has_bfloat16()) GTEST_SKIP() << "this processor has no bfloat16 to compare with";
  }
};
class CudaBfloat16TrainingOverBatches : public CudaBfloat16Training {};
INSTANTIATE_TEST_SUITE_P(Networks, CudaBfloat16Training, testing::ValuesIn(networks_and_fused_attention()),
                         network_test_name);
INSTANTIATE_TEST_SUITE_P(Networks, CudaBfloat16TrainingOverBatches, testing::ValuesIn(networks(true)),
                         network_test_name);

TEST_P(CudaBfloat16Training, GivesTheCpusLosses) {
  const SmallModel& small = GetParam();
  const std::vector<double> cpu = losses_of(small, "cpu"), cuda = losses_of(small, "cuda");
  std::vector<std::vector<double>> others;
  for (const std::uint64_t seed : {1, 2, 3}) others.push_back(losses_of(small, "cpu", kRounding, seed));
  EXPECT_LT(cpu.back(), cpu.front());
  double apart = 0.0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    for (const auto& other : others) apart = std::max(apart, std::abs(other[step] - cpu[step]));
    ASSERT_LT(4.0 * apart, 0.02) << "a bound that would let mistakes pass, in step " << step;
    EXPECT_NEAR(cuda[step], cpu[step], 4.0 * apart) << "step " << step;
  }
}

TEST_P(CudaBfloat16TrainingOverBatches, EachStepIsTheCpus) {
  const SmallModel& small = GetParam();
  Trained cpu(small, "cpu"), cuda(small, "cuda"), other(small, "cpu");
  RandomStream random(stream_key(9, "weights"));
  double first = 0.0, last = 0.0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    last = loss_of_step(*cpu.model, small, cpu.store, step);
    if (step == 0) first = last;
    double apart = 0.0, gradients_apart = 0.0;
    for (int times = 0; times < 3; ++times) {
      other.store.values = cpu.store.values;
      ++other.store.version_number;
      apart = std::max(apart, std::abs(loss_with(other, small, step, kRounding, random) - last));
      gradients_apart = std::max(gradients_apart, distance(cpu.store.gradients, other.store.gradients));
    }
    cuda.store.values = cpu.store.values;
    ++cuda.store.version_number;
    const double loss = loss_of_step(*cuda.model, small, cuda.store, step);
    const double off = distance(cpu.store.gradients, cuda.store.gradients);
    ASSERT_LT(4.0 * apart, 0.1 * last) << "a bound that would let mistakes pass, in step " << step;
    ASSERT_LT(4.0 * gradients_apart, 0.8) << "a bound that would let mistakes pass, in step " << step;
    EXPECT_NEAR(loss, last, 4.0 * apart) << "step " << step;
    EXPECT_LT(off, 4.0 * gradients_apart) << "step " << step;
    descend(cpu.store);
  }
  EXPECT_LT(last, first);
}

}  // namespace
}  // namespace rubato::model
