// The CUDA launcher against the CPU's, bit for bit. Skips where there is no GPU.
#include <gtest/gtest.h>

#include <array>

#include "kernels/cpu/apply_rule.h"
#include "kernels/cuda/apply_rule.h"
#include "kernels/cuda/cuda_check.h"
#include "tests/kernels/rule_fixture.h"

namespace rubato::kernels {
namespace {

using testing::HeapSlot;
using testing::trained_slot;

// From one thread's worth to more than one sweep of the largest grid.
const std::vector<std::size_t> kSizes = {0, 1, 31, 257, 4099, 1'000'003};

#define ASSERT_OK(expression)                           \
  do {                                                  \
    const Status status = (expression);                 \
    ASSERT_TRUE(status.ok()) << status.error().message; \
  } while (false)

class CudaRule : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const Result<int> devices = cuda::device_count(); !devices.ok()) {
      GTEST_SKIP() << "no GPU here, the CUDA update rules are not compared: " << devices.error().message;
    }
    rule_ = testing::rule_named(GetParam(), 0.01, 0.4);
    rule_.average_decay = 0.75;
  }

  RuleConfig rule_;
};

// A slot in device memory; the planes lie one after the other.
struct DeviceSlot {
  cuda::DeviceFloats memory;
  std::size_t size;

  static constexpr std::size_t kPlanes = 2 + kStatePlanesMax;
  static DeviceSlot of(std::size_t size) { return {cuda::DeviceFloats::allocate(size * kPlanes).value(), size}; }
  [[nodiscard]] std::span<float> plane(std::size_t index) const { return memory.span().subspan(index * size, size); }
  [[nodiscard]] SlotView view() const { return {plane(0), {plane(1), plane(2)}, {}, plane(1 + kStatePlanesMax)}; }
};

TEST_P(CudaRule, EqualsTheCpuBitForBit) {
  cuda::Stream stream = cuda::Stream::create().value();
  for (std::size_t size : kSizes) {
    SCOPED_TRACE(size);
    HeapSlot expected = trained_slot(size, 11);
    DeviceSlot slots[2] = {DeviceSlot::of(size), DeviceSlot::of(size)};
    cuda::DeviceFloats gradient = cuda::DeviceFloats::allocate(size).value();
    for (std::size_t p = 0; p < DeviceSlot::kPlanes; ++p) {
      ASSERT_OK(cuda::enqueue_copy(slots[0].plane(p), expected.plane(p), stream));
      ASSERT_OK(cuda::enqueue_copy(slots[1].plane(p), expected.plane(p), stream));
    }
    ASSERT_OK(stream.synchronize());  // `expected` is about to change
    // Out of place, back again, and then in place.
    const std::size_t from[] = {0, 1, 0}, to[] = {1, 0, 0};
    for (std::uint64_t t = 1; t <= 3; ++t) {
      const std::vector<float> host = testing::normals(size, 20 + t);
      const UpdateScalars scalars = update_scalars(rule_, {}, 0.05, 0.5, t, 1.0 / static_cast<double>(t));
      cpu::apply_rule(rule_, scalars, expected.averaged_view(), host, expected.averaged_view());
      ASSERT_OK(cuda::enqueue_copy(gradient.span(), host, stream));
      ASSERT_OK(cuda::apply_rule(rule_, scalars, slots[from[t - 1]].view(), gradient.span(), slots[to[t - 1]].view(),
                                 stream));
      ASSERT_OK(stream.synchronize());
    }
    HeapSlot actual(size);
    for (std::size_t p = 0; p < DeviceSlot::kPlanes; ++p) {
      ASSERT_OK(cuda::enqueue_copy(actual.plane(p), slots[0].plane(p), stream));
    }
    ASSERT_OK(stream.synchronize());
    EXPECT_TRUE(actual.same_bits(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, CudaRule, ::testing::ValuesIn(testing::kAllRuleNames),
                         [](const auto& rule) { return rule.param; });

TEST(CudaPart, EqualsTheCpuBitForBit) {
  if (const Result<int> devices = cuda::device_count(); !devices.ok()) {
    GTEST_SKIP() << "no GPU here, what pushes bring to a sum is not compared: " << devices.error().message;
  }
  cuda::Stream stream = cuda::Stream::create().value();
  for (const CompensationKind kind :
       {CompensationKind::kNone, CompensationKind::kConstant, CompensationKind::kAdaptive}) {
    const Compensation compensation{.kind = kind, .lambda = 0.5};
    for (std::size_t size : kSizes) {
      // Gradient, weights, what was read, mean square and sum, one after the other.
      std::vector<float> host = testing::normals(5 * size, 5), actual(5 * size);
      for (std::size_t i = 3 * size; i < 4 * size; ++i) host[i] *= host[i];
      cuda::DeviceFloats device = cuda::DeviceFloats::allocate(5 * size).value();
      ASSERT_OK(cuda::enqueue_copy(device.span(), host, stream));
      ASSERT_OK(stream.synchronize());  // `host` is about to change
      const auto part_of = [size](std::span<float> at) {
        return GradientPart{at.subspan(0, size),
                            3,
                            0.25,
                            at.subspan(size, size),
                            at.subspan(2 * size, size),
                            at.subspan(3 * size, size),
                            at.subspan(3 * size, size)};
      };
      const auto sum_of = [size](std::span<float> at) { return at.subspan(4 * size, size); };
      for (const bool first : {true, false}) {
        cpu::add_part(compensation, part_of(host), sum_of(host), first);
        ASSERT_OK(cuda::add_part(compensation, part_of(device.span()), sum_of(device.span()), first, stream));
      }
      ASSERT_OK(cuda::enqueue_copy(actual, device.span(), stream));
      ASSERT_OK(stream.synchronize());
      EXPECT_EQ(actual, host) << size;
    }
  }
}

TEST(CudaSum, EqualsTheCpuBitForBit) {
  if (const Result<int> devices = cuda::device_count(); !devices.ok()) {
    GTEST_SKIP() << "no GPU here, the CUDA sum is not compared: " << devices.error().message;
  }
  cuda::Stream stream = cuda::Stream::create().value();
  for (std::size_t size : kSizes) {
    std::vector<float> expected = testing::normals(size, 1), addend = testing::normals(size, 2), actual(size);
    cuda::DeviceFloats sum = cuda::DeviceFloats::allocate(size).value();
    cuda::DeviceFloats device_addend = cuda::DeviceFloats::allocate(size).value();
    ASSERT_OK(cuda::enqueue_copy(sum.span(), expected, stream));
    ASSERT_OK(cuda::enqueue_copy(device_addend.span(), addend, stream));
    ASSERT_OK(cuda::sum_into(sum.span(), device_addend.span(), stream));
    ASSERT_OK(cuda::enqueue_copy(actual, sum.span(), stream));
    ASSERT_OK(stream.synchronize());
    cpu::add_up(std::array<SumTerm, 2>{{{expected}, {addend, 1}}}, expected);
    EXPECT_EQ(actual, expected) << size;
  }
}

TEST(CudaCheck, NamesTheCallAndTheError) {
  EXPECT_TRUE(cuda::check(cudaSuccess, "cudaMalloc").ok());
  const Status status = cuda::check(cudaErrorMemoryAllocation, "cudaMalloc");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kDevice);
  EXPECT_EQ(status.error().message.rfind("cudaMalloc: ", 0), 0u) << status.error().message;
}

}  // namespace
}  // namespace rubato::kernels
