// What every backend is put through: the tests of this suite run once for each device named here, and
// skip, saying why, where one is not there.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "kernels/backend.h"

namespace rubato::kernels {

struct DeviceParam {
  const char* name;
  int threads;
  friend std::ostream& operator<<(std::ostream& out, const DeviceParam& p) {
    return out << p.name << " with " << p.threads << " thread(s)";
  }
};

inline std::string device_test_name(const testing::TestParamInfo<DeviceParam>& info) {
  std::string name = info.param.name + std::to_string(info.param.threads);
  std::erase(name, ':');
  return name;
}

inline const auto kDevices = testing::Values(DeviceParam{"cpu", 1}, DeviceParam{"cpu", 2}, DeviceParam{"cuda:0", 1});

class BackendTest : public testing::TestWithParam<DeviceParam> {
 protected:
  void SetUp() override {
    auto opened = open_device(GetParam().name, GetParam().threads);
    if (!opened.ok() && opened.error().cause == Cause::kDevice) GTEST_SKIP() << opened.error().message;
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    device_ = std::move(opened).value();
    device_->enter();
  }

  std::unique_ptr<Device> device_;
};

inline std::vector<float> random_floats(std::size_t count, std::string_view purpose) {
  RandomStream random(stream_key(1, purpose));
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(2.0 * random.next_unit() - 1.0);
  return values;
}

// Floats on a device, filled with `fill` where no values are given.
class DeviceFloats {
 public:
  DeviceFloats(Device& device, std::size_t count, float fill) : DeviceFloats(device, std::vector<float>(count, fill)) {}
  DeviceFloats(Device& device, const std::vector<float>& values) : device_(&device), count_(values.size()) {
    buffer_ = device.allocate(count_ * sizeof(float)).value();
    EXPECT_TRUE(device.copy_in(data(), values).ok());
  }

  [[nodiscard]] float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> host(count_);
    EXPECT_TRUE(device_->copy_out(host, data()).ok());
    return host;
  }

 private:
  Device* device_;
  std::size_t count_;
  Buffer buffer_;
};

}  // namespace rubato::kernels
