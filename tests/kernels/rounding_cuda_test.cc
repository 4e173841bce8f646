// What is rounded to bfloat16 on the device, and widened again, has the bits that base/float16.h gives on the host.
// Skips where there is no GPU.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/float16.h"
#include "base/rng.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/rounding_kernel.h"

namespace rubato::kernels {
namespace {

class CudaRounding : public testing::Test {
 protected:
  void SetUp() override {
    if (const Result<int> devices = cuda::device_count(); !devices.ok())
      GTEST_SKIP() << "no GPU here, roundings are not compared: " << devices.error().message;
  }
};

// Any bits there are: of all exponents, so of infinities and NaNs, too; and those in the middle of two bfloat16.
std::vector<float> any_floats(std::size_t count) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = {0.0f,      -0.0f,     kInfinity, -kInfinity,   std::nanf(""),
                               0x1.01p0f, 0x1.03p0f, 0x1.FFp0f, 0x1.FFp127f,  0x1.FEp127f,
                               0x1p-149f, 0x1p-134f, 0x3p-135f, -0x1.03p-126f};
  values.push_back(std::bit_cast<float>(0x7F800001u));  // a NaN whose upper half is an infinity's
  RandomStream random(stream_key(3, "any floats"));
  while (values.size() < count)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random.below(1ull << 32))));
  values.resize(count);
  return values;
}

TEST_F(CudaRounding, GivesTheHostsBits) {
  const cuda::Stream stream = cuda::Stream::create().value();
  for (const std::size_t count : {0u, 1u, 15u, 31u, 257u, 4099u, 700'001u}) {
    SCOPED_TRACE(count);
    const std::vector<float> values = any_floats(count);
    std::vector<std::uint16_t> rounded(count);
    std::vector<float> widened(count);
    const auto from = cuda::DeviceFloats::allocate(count).value(), back = cuda::DeviceFloats::allocate(count).value();
    const auto to = cuda::DeviceArray<std::uint16_t>::allocate(count).value();
    ASSERT_TRUE(cuda::copy_and_wait<float>(from.span(), values, stream).ok());
    ASSERT_EQ(cuda::enqueue_round(from.data(), to.data(), count, stream.get()), cudaSuccess);
    ASSERT_EQ(cuda::enqueue_widen(to.data(), back.data(), count, stream.get()), cudaSuccess);
    ASSERT_TRUE(cuda::copy_and_wait<std::uint16_t>(rounded, to.span(), stream).ok());
    ASSERT_TRUE(cuda::copy_and_wait<float>(widened, back.span(), stream).ok());
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(rounded[i], to_bfloat(values[i])) << i << ": " << values[i];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(widened[i]), static_cast<std::uint32_t>(rounded[i]) << 16) << i;
    }
  }
}

}  // namespace
}  // namespace rubato::kernels
