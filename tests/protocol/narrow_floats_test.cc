#include "protocol/narrow_floats.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace rubato::protocol {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

std::uint16_t one(DType type, float value) {
  std::uint16_t narrowed = 0;
  narrow(type, {&value, 1}, {&narrowed, 1});
  return narrowed;
}
float back(DType type, std::uint16_t narrowed) {
  float value = 0;
  widen(type, {&narrowed, 1}, {&value, 1});
  return value;
}

struct Format {
  DType type;
  int fraction_bits, exponent_min, exponent_max;
};
constexpr Format kFloat16{DType::kFloat16, 10, -14, 15}, kBFloat16{DType::kBFloat16, 7, -126, 127};

// The value of 16 bits, by the definition.
double meaning(const Format& format, std::uint32_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const std::uint32_t ones = 1u << format.fraction_bits, size = bits & 0x7FFF;
  const std::uint32_t exponent = size / ones, fraction = size % ones;
  if (exponent == 0) return sign * std::ldexp(fraction, format.exponent_min - format.fraction_bits);
  return sign *
         std::ldexp(ones + fraction, format.exponent_min - 1 + static_cast<int>(exponent) - format.fraction_bits);
}

// To the nearest multiple of the last place, and to the even one of two, in float64, which holds all of this exactly.
double rounded(const Format& format, float value) {
  if (value == 0.0f || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), format.exponent_min);
  const double place = std::ldexp(1.0, exponent - format.fraction_bits);
  const double near = std::nearbyint(static_cast<double>(value) / place) * place;
  const double above = std::ldexp(1.0, format.exponent_max + 1);
  return std::fabs(near) >= above ? std::copysign(kInf, value) : near;
}

class NarrowFloats : public ::testing::TestWithParam<Format> {};

TEST_P(NarrowFloats, AllBitsMeanWhatTheFormatSays) {
  const Format& format = GetParam();
  const std::uint32_t infinity = ((1u << (15 - format.fraction_bits)) - 1) << format.fraction_bits;
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const float value = back(format.type, static_cast<std::uint16_t>(bits));
    const std::uint32_t size = bits & 0x7FFF;
    if (size > infinity)
      ASSERT_TRUE(std::isnan(value)) << bits;
    else if (size == infinity)
      ASSERT_EQ(value, bits == size ? kInf : -kInf) << bits;
    else
      ASSERT_EQ(static_cast<double>(value), meaning(format, bits)) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
  }
}

TEST_P(NarrowFloats, NarrowingWhatWasWidenedGivesTheSameBits) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits)
    ASSERT_EQ(one(GetParam().type, back(GetParam().type, static_cast<std::uint16_t>(bits))), bits);
}

// Between any two neighbours: just below the middle, the middle, just above it.
TEST_P(NarrowFloats, RoundsToTheNearestAndOfTwoToTheEven) {
  const Format& format = GetParam();
  const std::uint32_t infinity = ((1u << (15 - format.fraction_bits)) - 1) << format.fraction_bits;
  for (std::uint32_t low = 0; low + 1 < infinity; ++low) {
    const double a = meaning(format, low), b = meaning(format, low + 1);
    const auto middle = static_cast<float>((a + b) / 2);  // exact: it has one bit more
    ASSERT_EQ(static_cast<double>(middle), (a + b) / 2);
    for (const float value : {std::nextafterf(middle, 0), middle, std::nextafterf(middle, kInf)}) {
      const std::uint32_t expected = value < middle ? low : value > middle ? low + 1 : low + low % 2;
      ASSERT_EQ(one(format.type, value), expected) << value;
      ASSERT_EQ(one(format.type, -value), expected | 0x8000) << -value;
    }
  }
}

TEST_P(NarrowFloats, AnyFloatIsRoundedAsInFloat64) {
  const Format& format = GetParam();
  RandomStream random(stream_key(1, "narrow_floats"));
  std::vector<float> values(1 << 20);
  for (float& value : values) value = std::bit_cast<float>(random.next_u32());
  std::vector<std::uint16_t> narrowed(values.size());
  std::vector<float> widened(values.size());
  narrow(format.type, values, narrowed);
  widen(format.type, narrowed, widened);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i]))
      ASSERT_TRUE(std::isnan(widened[i]));
    else
      ASSERT_EQ(static_cast<double>(widened[i]), rounded(format, values[i])) << values[i];
    ASSERT_EQ(std::signbit(widened[i]), std::signbit(values[i]));
  }
}

TEST_P(NarrowFloats, WhatIsNotFiniteStaysSo) {
  const DType type = GetParam().type;
  EXPECT_EQ(back(type, one(type, kInf)), kInf);
  EXPECT_EQ(back(type, one(type, -kInf)), -kInf);
  EXPECT_TRUE(std::isnan(back(type, one(type, kNaN))));
  // Its only bit lies where 16 bits have none.
  EXPECT_TRUE(std::isnan(back(type, one(type, std::bit_cast<float>(0x7F800001u)))));
}

INSTANTIATE_TEST_SUITE_P(Formats, NarrowFloats, ::testing::Values(kFloat16, kBFloat16), [](const auto& format) {
  return format.param.type == DType::kFloat16 ? "float16" : "bfloat16";
});

TEST(NarrowFloats, WhatIsTooLargeIsInfinite) {
  EXPECT_EQ(back(DType::kFloat16, one(DType::kFloat16, 65504.0f)), 65504.0f);
  EXPECT_EQ(back(DType::kFloat16, one(DType::kFloat16, 65519.996f)), 65504.0f);
  EXPECT_EQ(back(DType::kFloat16, one(DType::kFloat16, 65520.0f)), kInf);
  EXPECT_EQ(back(DType::kFloat16, one(DType::kFloat16, -1e30f)), -kInf);
  EXPECT_EQ(back(DType::kBFloat16, one(DType::kBFloat16, std::numeric_limits<float>::max())), kInf);
  EXPECT_EQ(back(DType::kBFloat16, one(DType::kBFloat16, -1e30f)), -0x1.94p+99f);
}

TEST(NarrowFloats, PayloadsKeepTheirLength) {
  const Payload floats = Payload::of_floats(std::vector<float>{1.0f, -0.1f, 3e-8f});
  EXPECT_EQ(narrowed(DType::kFloat32, floats).bytes().data(), floats.bytes().data());
  for (const DType type : {DType::kFloat16, DType::kBFloat16}) {
    EXPECT_EQ(narrowed(type, floats).size(), 3 * bytes_of(type));
    const Payload there = carried(type, floats);
    ASSERT_EQ(there.size(), floats.size());
    EXPECT_EQ(there.floats()[0], 1.0f);
    EXPECT_NE(there.floats()[1], -0.1f);
    EXPECT_TRUE(carried(type, Payload()).empty());
  }
  EXPECT_EQ(bytes_of(DType::kInt8), 0u);
}

}  // namespace
}  // namespace rubato::protocol
