// The real cuDNN has an engine, as the CUDA device chooses it, for every convolution of every network here: for GPUs
// that are described (tests/kernels/described_gpus.h), since there need not be one. What a plan computes is not seen
// here.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "base/job.h"
#include "kernels/cuda/convolution_plan.h"
#include "model/architectures.h"
#include "tests/kernels/described_gpu_test.h"

namespace rubato::kernels::cuda {
namespace {

class CudnnPlans : public DescribedGpuTest {};
INSTANTIATE_TEST_SUITE_P(Gpus, CudnnPlans, testing::ValuesIn(kDescribedGpus), described_gpu_name);

struct Network {
  std::string name;
  ModelConfig config;
  model::InputShape input;
  std::int64_t classes = 0;
  std::vector<std::int64_t> training, evaluation;  // numbers of samples
};

// Of the job files those that read images, which are Fashion-MNIST's. A leaf is a part of a batch in bsp, and a batch
// in the other modes.
std::vector<Network> networks() {
  std::vector<Network> all;
  std::set<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(RUBATO_JOBS)) files.insert(file.path());
  for (const auto& file : files) {
    const Job job = load_job(file).value();
    if (job.data.kind != "idx" && job.data.kind != "folder") continue;
    all.push_back({file.filename(),
                   job.model,
                   {28, 28, 1},
                   10,
                   {job.train.batch / job.train.micro_batches, job.train.batch},
                   {job.evaluation.batch}});
  }
  for (const char* name : {"resnet18", "resnet34", "resnet50"}) {
    Network imagenet{name, {}, {224, 224, 3}, 1000, {32, 128}, {500}};
    imagenet.config.name = name;
    imagenet.config.stem = "imagenet";
    all.push_back(imagenet);
  }
  return all;
}

std::string text_of(const ConvolutionDesc& desc) {
  const TensorShape& in = desc.input;
  return fmt::format("{:>3} x {:>3} x {:>3} x {:>4}, {:>4} of {} x {}, stride {}, padding {}", in.samples, in.height,
                     in.width, in.channels, desc.channels, desc.kernel, desc.kernel, desc.stride, desc.padding);
}

// A row of the table for each plan, and how many it has.
std::size_t plan_all(const PlanTarget& target, const Network& network, const ConvolutionDesc& desc,
                     const std::vector<ConvolutionCall>& calls, Precision precision) {
  for (const ConvolutionCall call : calls) {
    const auto plan = ConvolutionPlan::choose(target, desc, call, {.precision = precision});
    EXPECT_TRUE(plan.ok()) << network.name << ": " << plan.error().message;
    if (!plan.ok()) continue;
    EXPECT_LE(plan->scratch_bytes(), EngineLimits().scratch_max);
    std::cout << fmt::format("{:<21} {} {:<16} {:<8} engine {:>2}, {:>9} bytes\n", network.name, text_of(desc),
                             name_of(call), precision == Precision::kBfloat16 ? "bfloat16" : "float32", plan->engine(),
                             plan->scratch_bytes());
  }
  return calls.size();
}

std::size_t plan_all_networks(const PlanTarget& target, Precision precision) {
  using Call = ConvolutionCall;
  std::set<std::string> known;
  std::size_t plans = 0;
  for (const Network& network : networks()) {
    const auto layers = model::build_layers(network.config, network.input, network.classes, 1).value();
    for (const model::Layer& layer : layers) {
      const auto* convolution = std::get_if<ConvolutionDesc>(&layer.op);
      if (convolution == nullptr) continue;
      ConvolutionDesc desc = *convolution;
      const bool first = layer.input == 0;  // nobody asks for the gradient of what is read
      for (const std::int64_t samples : network.training) {
        desc.input.samples = samples;
        if (!known.insert(text_of(desc)).second) continue;
        plans += plan_all(target, network, desc,
                          first ? std::vector{Call::kForward, Call::kBackwardWeights}
                                : std::vector{Call::kForward, Call::kBackwardWeights, Call::kBackwardData},
                          precision);
      }
      for (const std::int64_t samples : network.evaluation) {
        desc.input.samples = samples;
        if (known.insert(text_of(desc)).second) plans += plan_all(target, network, desc, {Call::kForward}, precision);
      }
    }
  }
  return plans;
}

TEST_P(CudnnPlans, AreThereForEveryConvolutionOfEveryNetwork) {
  EXPECT_GT(plan_all_networks(target(), Precision::kFloat32), 200u);
}

// Their scratch memory, too, has the limit of all.
TEST_P(CudnnPlans, AreThereForEveryConvolutionInBfloat16) {
  EXPECT_GT(plan_all_networks(target(), Precision::kBfloat16), 200u);
}

// Equal workers choose alike.
TEST_P(CudnnPlans, AreTheSameWheneverTheyAreMade) {
  const ConvolutionDesc desc{{32, 28, 28, 64}, 64, 3, 1, 1};
  for (const auto call :
       {ConvolutionCall::kForward, ConvolutionCall::kBackwardData, ConvolutionCall::kBackwardWeights}) {
    const auto once = ConvolutionPlan::choose(target(), desc, call).value();
    const auto again = ConvolutionPlan::choose(target(), desc, call).value();
    EXPECT_EQ(once.engine(), again.engine());
    EXPECT_EQ(once.scratch_bytes(), again.scratch_bytes());
  }
}

TEST_P(CudnnPlans, AskForNoMoreScratchThanThereIs) {
  const ConvolutionDesc desc{{32, 28, 28, 64}, 64, 3, 1, 1};
  constexpr auto kCall = ConvolutionCall::kBackwardData;
  const auto free = ConvolutionPlan::choose(target(), desc, kCall).value();
  ASSERT_GT(free.scratch_bytes(), 0u);
  const auto bound = ConvolutionPlan::choose(target(), desc, kCall, {.scratch_max = free.scratch_bytes() - 1});
  ASSERT_TRUE(bound.ok()) << bound.error().message;
  EXPECT_LT(bound->scratch_bytes(), free.scratch_bytes());
}

// Tensor cores are what its heuristics name first.
TEST_P(CudnnPlans, AreOnTensorCoresWhereRoundedFactorsAreAskedFor) {
  const ConvolutionDesc desc{{32, 28, 28, 64}, 64, 3, 1, 1};
  for (const auto call :
       {ConvolutionCall::kForward, ConvolutionCall::kBackwardData, ConvolutionCall::kBackwardWeights}) {
    const auto exact = ConvolutionPlan::choose(target(), desc, call).value();
    for (const Precision precision : {Precision::kTf32, Precision::kBfloat16}) {
      const auto rounded = ConvolutionPlan::choose(target(), desc, call, {.precision = precision});
      ASSERT_TRUE(rounded.ok()) << rounded.error().message;
      EXPECT_NE(rounded->engine(), exact.engine());
    }
  }
}

// A description that does not fit together is refused by name.
TEST_P(CudnnPlans, OfShapesThatDoNotFitAreErrors) {
  const auto plan = ConvolutionPlan::choose(target(), {{2, 2, 2, 3}, 5, 3, 1, 0}, ConvolutionCall::kForward);
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message,
              testing::StartsWith("convolution forward of 2 x 2 x 2 x 3, 5 of 3 x 3, stride 1, padding 0: "
                                  "cudnnBackendFinalize of an operation: CUDNN_STATUS_BAD_PARAM"));
}

}  // namespace
}  // namespace rubato::kernels::cuda
