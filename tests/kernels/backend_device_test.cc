// Opening devices by name: what is there opens, what is not gives one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/device_remark.h"

namespace rubato::kernels {
namespace {

using testing::HasSubstr;

TEST(OpenDevice, CpuAndAutoOpen) {
  const bool has_gpu = open_device({"cuda", 1}).ok();
  for (const std::string name : {"cpu", "auto"}) {
    auto device = open_device({name, 1});
    ASSERT_TRUE(device.ok()) << device.error().message;
    const bool cpu = name == "cpu" || !has_gpu;
    EXPECT_THAT(device.value()->description(), HasSubstr(cpu ? "cpu, 1 thread" : "cuda:0"));
    const auto remark = device_remark({name, 1});
    ASSERT_TRUE(remark.ok());
    if (name == "cpu")
      EXPECT_EQ(remark.value(), "");
    else
      EXPECT_THAT(remark.value(), testing::StartsWith(has_gpu ? "worker.device = \"auto\" takes cuda:0"
                                                              : "worker.device = \"auto\" takes the CPU: no GPU"));
  }
}

TEST(OpenDevice, AMissingGpuIsNamedWithAWayOn) {
  for (const std::string name : {"cuda", "cuda:0", "cuda:7", "cuda:99999999999999999999"}) {
    const auto device = open_device({name, 1});
    if (device.ok() && name.size() < 10) continue;  // here there is one
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(device.error().cause, Cause::kDevice) << name;
    EXPECT_THAT(device.error().message, HasSubstr("\"" + name + "\""));
    EXPECT_THAT(device.error().message, HasSubstr("worker.device = \"auto\""));
    EXPECT_EQ(device_remark({name, 1}).error().message, device.error().message);
  }
}

TEST(OpenDevice, OtherNamesAreAMistakeInTheJob) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "}) {
    const auto device = open_device({name, 1});
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(device.error().cause, Cause::kUsage) << name;
  }
  EXPECT_EQ(open_device({"cpu", 0}).error().cause, Cause::kUsage);
}

TEST(Buffer, MovesAndReleasesOnce) {
  auto device = open_device({"cpu", 1}).value();
  Buffer first = device->allocate(1 << 20).value();
  std::byte* const data = first.data();
  Buffer second = std::move(first);
  EXPECT_EQ(second.data(), data);
  second = device->allocate(64).value();
  EXPECT_NE(second.data(), nullptr);
  EXPECT_EQ(second.data()[63], std::byte{0});
}

}  // namespace
}  // namespace rubato::kernels
