// The real cuDNN has an engine, as the CUDA device chooses it, for the attention of the `gpt` of jobs/ and of GPT-2:
// for GPUs that are described (tests/kernels/described_gpus.h), since there need not be one. Engines are compiled when
// a plan is made, to code for that GPU, by the real NVRTC; a driver to give it to is made up (no_gpu_driver.cc). What a
// plan computes is not seen here.
#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <iostream>

#include "base/job.h"
#include "kernels/cuda/attention_plan.h"
#include "model/architectures.h"
#include "tests/kernels/described_gpu_test.h"

namespace rubato::kernels::cuda {
namespace {

constexpr AttentionCall kCalls[] = {AttentionCall::kForward, AttentionCall::kBackward};

class CudnnAttentionPlans : public DescribedGpuTest {
 protected:
  void SetUp() override {
    // Before cuDNN is opened, which then takes it for the system's. It stays open.
    ASSERT_NE(dlopen(RUBATO_NO_GPU_DRIVER, RTLD_NOW | RTLD_LOCAL), nullptr) << dlerror();
    DescribedGpuTest::SetUp();
  }
};
INSTANTIATE_TEST_SUITE_P(Gpus, CudnnAttentionPlans, testing::ValuesIn(kDescribedGpus), described_gpu_name);

// As the job's layers have it, a leaf's worth of samples, and an evaluation's.
std::vector<AttentionDesc> of_the_job() {
  const Job job = load_job(std::filesystem::path(RUBATO_JOBS) / "licences_gpt.toml").value();
  const auto layers = model::build_layers(job.model, {job.data.window, 1, 1}, job.data.classes, 1).value();
  std::vector<AttentionDesc> all;
  for (const std::int64_t samples : {job.train.batch / job.train.micro_batches, job.train.batch, job.evaluation.batch})
    for (const model::Layer& layer : layers)
      if (const auto* attention = std::get_if<AttentionDesc>(&layer.op)) {
        all.push_back(*attention);
        all.back().input.samples = samples;
        break;
      }
  return all;
}

// Radford et al. 2019: 1,024 positions, heads of 64; 12 of them in the smallest one.
AttentionDesc gpt2(std::int64_t samples, std::int64_t heads = 12) {
  return {{samples, 1024, 1, 3 * heads * 64}, heads};
}

void check_plans(const PlanTarget& target, const AttentionDesc& desc) {
  ASSERT_TRUE(AttentionPlan::fits(desc));
  for (const AttentionCall call : kCalls) {
    const auto plan = AttentionPlan::choose(target, desc, call);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ASSERT_NE(*plan, nullptr) << "none for " << name_of(call);
    EXPECT_LE((*plan)->scratch_bytes(), EngineLimits().scratch_max);
    std::cout << fmt::format("{}: engine {}, {} bytes\n", (*plan)->text(), (*plan)->engine(), (*plan)->scratch_bytes());
  }
}

TEST_P(CudnnAttentionPlans, AreThereForTheJobsShapes) {
  const std::vector<AttentionDesc> all = of_the_job();
  ASSERT_EQ(all.size(), 3u);
  for (const AttentionDesc& desc : all) check_plans(target(), desc);
}

TEST_P(CudnnAttentionPlans, AreThereForGpt2) {
  check_plans(target(), gpt2(8));
  check_plans(target(), gpt2(2, 25));  // 1.5 billion parameters
}

// Positions that fill no tile.
TEST_P(CudnnAttentionPlans, AreThereForShapesThatFillNoTile) {
  check_plans(target(), {{3, 100, 1, 3 * 2 * 24}, 2});
  check_plans(target(), {{1, 2, 1, 24}, 1});
}

// Gradients of scores are two bytes each: what they need and do not get is somebody else's to compute.
TEST_P(CudnnAttentionPlans, BackwardIsNotThereWhereItsScratchIsTooMuch) {
  const auto backward = AttentionPlan::choose(target(), gpt2(16), AttentionCall::kBackward);
  ASSERT_TRUE(backward.ok()) << backward.error().message;
  EXPECT_EQ(*backward, nullptr);
}

// Forward there is one; who trains has to have both from one hand.
TEST_P(CudnnAttentionPlans, BackwardIsNotThereForHeadsThatAreTooWide) {
  const auto backward = AttentionPlan::choose(target(), {{2, 128, 1, 3 * 512}, 1}, AttentionCall::kBackward);
  ASSERT_TRUE(backward.ok()) << backward.error().message;
  EXPECT_EQ(*backward, nullptr);
}

// Equal workers choose alike.
TEST_P(CudnnAttentionPlans, AreTheSameWheneverTheyAreMade) {
  for (const AttentionCall call : kCalls) {
    const auto once = AttentionPlan::choose(target(), gpt2(2), call).value();
    const auto again = AttentionPlan::choose(target(), gpt2(2), call).value();
    EXPECT_EQ(once->engine(), again->engine());
    EXPECT_EQ(once->scratch_bytes(), again->scratch_bytes());
  }
}

}  // namespace
}  // namespace rubato::kernels::cuda
