// A test of what the real cuDNN plans for a GPU that is described: it runs once for each of
// tests/kernels/described_gpus.h, and skips, saying why, where cuDNN is not there or too old.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/engine_plan.h"
#include "tests/kernels/described_gpus.h"

namespace rubato::kernels::cuda {

class DescribedGpuTest : public testing::TestWithParam<DescribedGpu> {
 protected:
  void SetUp() override {
    constexpr std::size_t kFirstWithProperties = 90'800;
    if (cudnnGetVersion() == 0) GTEST_SKIP() << cudnnGetErrorString(CUDNN_STATUS_NOT_INITIALIZED);
    if (cudnnGetVersion() < kFirstWithProperties)
      GTEST_SKIP() << "cuDNN " << cudnnGetVersion() << " makes no plans for a GPU that is not there: 9.8 does";
    const char* json = GetParam().json;
    auto made = make_descriptor(
        CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "a GPU",
        Attribute{CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(json, json + std::strlen(json) + 1)});
    ASSERT_TRUE(made.ok()) << made.error().message;
    properties_ = std::move(made).value();
  }

  [[nodiscard]] PlanTarget target() const { return {.handle = nullptr, .properties = &properties_}; }

  CudnnDescriptor properties_;
};

inline std::string described_gpu_name(const testing::TestParamInfo<DescribedGpu>& gpu) { return gpu.param.name; }

}  // namespace rubato::kernels::cuda
