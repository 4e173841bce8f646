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
  Precision precision = Precision::kFloat32;

  [[nodiscard]] bool rounds() const { return precision != Precision::kFloat32; }
  [[nodiscard]] const char* rounding() const {
    return precision == Precision::kTf32 ? "tf32" : rounds() ? "bfloat16" : "";
  }
  [[nodiscard]] DeviceConfig config() const { return {name, threads, precision}; }
  friend std::ostream& operator<<(std::ostream& out, const DeviceParam& p) {
    return out << p.name << " with " << p.threads << " thread(s)" << (p.rounds() ? ", " : "") << p.rounding();
  }
};

inline std::string device_test_name(const testing::TestParamInfo<DeviceParam>& info) {
  std::string name = info.param.name + std::to_string(info.param.threads) + info.param.rounding();
  std::erase(name, ':');
  return name;
}

inline const auto kDevices = testing::Values(DeviceParam{"cpu", 1}, DeviceParam{"cpu", 2}, DeviceParam{"cuda:0", 1});

class BackendTest : public testing::TestWithParam<DeviceParam> {
 protected:
  void SetUp() override {
    auto opened = open_device(GetParam().config());
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

// By number of a channels-last tensor: where it lies in that layout. What a device's own layout is, is its secret but
// for these tests: the CPU's is blocks of 16 channels.
inline std::vector<std::size_t> places(const TensorShape& shape, Layout layout) {
  constexpr std::int64_t block = 16;
  std::vector<std::size_t> at;
  const std::int64_t pixels = shape.height * shape.width;
  for (std::int64_t n = 0; n < shape.samples; ++n)
    for (std::int64_t p = 0; p < pixels; ++p)
      for (std::int64_t c = 0; c < shape.channels; ++c)
        at.push_back(static_cast<std::size_t>(
            layout == Layout::kRows ? (n * pixels + p) * shape.channels + c
                                    : (n * shape.channels + c / block * block) * pixels + p * block + c % block));
  return at;
}

// Floats on a device, filled with `fill` where no values are given. `at`: where each of them lies; empty: in their
// order.
class DeviceFloats {
 public:
  DeviceFloats(Device& device, std::size_t count, float fill, std::vector<std::size_t> at = {})
      : DeviceFloats(device, std::vector<float>(count, fill), std::move(at)) {}
  DeviceFloats(Device& device, const std::vector<float>& values, std::vector<std::size_t> at = {})
      : device_(&device), at_(std::move(at)), count_(values.size()) {
    buffer_ = device.allocate(count_ * sizeof(float)).value();
    set(values);
  }

  [[nodiscard]] float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  void set(const std::vector<float>& values) {
    std::vector<float> host = values;
    for (std::size_t i = 0; i < at_.size(); ++i) host[at_[i]] = values[i];
    EXPECT_TRUE(device_->copy_in(data(), host).ok());
  }
  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> host(count_);
    EXPECT_TRUE(device_->copy_out(host, data()).ok());
    std::vector<float> ordered = host;
    for (std::size_t i = 0; i < at_.size(); ++i) ordered[i] = host[at_[i]];
    return ordered;
  }

 private:
  Device* device_;
  std::vector<std::size_t> at_;
  std::size_t count_;
  Buffer buffer_;
};

// In every layout that its tensors may have together.
inline std::vector<PlanHint> hints_for(const Device& device, const OpDesc& desc, bool training = true) {
  const OwnLayouts own = device.own_layouts(desc);
  std::vector<PlanHint> hints;
  for (const Layout input : {Layout::kRows, Layout::kOwn})
    for (const Layout output : {Layout::kRows, Layout::kOwn}) {
      if ((input == Layout::kOwn && !own.input) || (output == Layout::kOwn && !own.output)) continue;
      if (own.alike && input != output) continue;
      hints.push_back({.training = training, .input_gradient = training, .input = input, .output = output});
    }
  return hints;
}

inline std::ostream& operator<<(std::ostream& out, const PlanHint& hint) {
  const auto name = [](Layout layout) { return layout == Layout::kOwn ? "own" : "rows"; };
  return out << name(hint.input) << " to " << name(hint.output);
}

}  // namespace rubato::kernels
