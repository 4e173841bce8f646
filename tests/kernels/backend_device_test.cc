// Opening devices by name: what is there opens, what is not gives one clear line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/backend.h"

namespace rubato::kernels {
namespace {

using testing::HasSubstr;

TEST(OpenDevice, CpuAndAutoOpen) {
  for (const char* name : {"cpu", "auto"}) {
    auto device = open_device({name, 1});
    ASSERT_TRUE(device.ok()) << device.error().message;
    EXPECT_THAT(device.value()->description(), HasSubstr("cpu, 1 thread"));
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
