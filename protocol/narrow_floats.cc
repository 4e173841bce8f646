#include "protocol/narrow_floats.h"

#include <bit>
#include <memory>

namespace rubato::protocol {
namespace {

// Of the bits of a float32 or float16 without their signs.
constexpr std::uint32_t kInfinity = 0x7F800000, kHalfInfinity = 0x7C00;
constexpr std::uint32_t kHalfLeastNormal = 0x400;
constexpr std::uint32_t kLeastNormalHalf = 113u << 23;  // 2^-14, as a float32
constexpr std::uint32_t kAboveHalf = 143u << 23;        // 2^16: larger than every float16
constexpr std::uint32_t kRebias = 112u << 23;           // between their exponents, 127 - 15

// `yes` or `no`, without a branch: all ways are computed and one is chosen, so the loops over them become vectors.
inline std::uint32_t choose(bool condition, std::uint32_t yes, std::uint32_t no) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

inline std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000, size = bits & 0x7FFFFFFF;
  // Adds a bit less than half of the last place kept, and that bit where the place is odd. A carry goes into the
  // exponent, as it should, and from the largest value on into the infinity.
  const std::uint32_t normal = (size - kRebias + 0xFFF + ((size >> 13) & 1)) >> 13;
  // 0.5 has the last place of float16's subnormals, 2^-24: the addition rounds.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5f) - std::bit_cast<std::uint32_t>(0.5f);
  const std::uint32_t payload = (size >> 13) & 0x3FF;
  const std::uint32_t nan = kHalfInfinity | choose(payload == 0, 0x200, payload);
  std::uint32_t half = choose(size < kLeastNormalHalf, subnormal, normal);
  half = choose(size >= kAboveHalf, kHalfInfinity, half);
  half = choose(size > kInfinity, nan, half);
  return static_cast<std::uint16_t>(sign | half);
}

inline float from_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16, size = half & 0x7FFFu;
  const std::uint32_t normal = (size << 13) + kRebias;
  const std::uint32_t not_finite = (size << 13) + 2 * kRebias;
  const auto subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(size)) * 0x1p-24f);
  std::uint32_t bits = choose(size < kHalfLeastNormal, subnormal, normal);
  bits = choose(size >= kHalfInfinity, not_finite, bits);
  return std::bit_cast<float>(sign | bits);
}

inline std::uint16_t to_bfloat(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t cut = bits >> 16;
  const std::uint32_t rounded = (bits + 0x7FFF + (cut & 1)) >> 16;
  const std::uint32_t nan = (cut & 0x7F) == 0 ? cut | 0x40 : cut;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFF) > kInfinity ? nan : rounded);
}

inline float from_bfloat(std::uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat) << 16);
}

template <typename T>
std::span<const T> view_as(const Payload& payload) {
  return {reinterpret_cast<const T*>(payload.bytes().data()), payload.size() / sizeof(T)};
}

// Not filled with zeros first: it is written in one pass.
template <typename T>
std::pair<Payload, std::span<T>> new_values(std::size_t count) {
  auto owner = std::make_shared_for_overwrite<T[]>(count);
  const std::span<T> values(owner.get(), count);
  return {Payload(std::move(owner), std::as_bytes(values)), values};
}

bool is_narrow(DType type) { return type == DType::kFloat16 || type == DType::kBFloat16; }

}  // namespace

DType wire_of(const Job& job) {
  if (job.cluster.wire == "float16") return DType::kFloat16;
  if (job.cluster.wire == "bfloat16") return DType::kBFloat16;
  return DType::kFloat32;
}

std::size_t bytes_of(DType type) {
  if (type == DType::kFloat32) return sizeof(float);
  return is_narrow(type) ? sizeof(std::uint16_t) : 0;
}

void narrow(DType type, std::span<const float> values, std::span<std::uint16_t> narrowed) {
  RUBATO_CHECK(is_narrow(type) && values.size() == narrowed.size());
  const float* __restrict from = values.data();
  std::uint16_t* __restrict to = narrowed.data();
  if (type == DType::kFloat16)
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = to_half(from[i]);
  else
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = to_bfloat(from[i]);
}

void widen(DType type, std::span<const std::uint16_t> narrowed, std::span<float> values) {
  RUBATO_CHECK(is_narrow(type) && values.size() == narrowed.size());
  const std::uint16_t* __restrict from = narrowed.data();
  float* __restrict to = values.data();
  if (type == DType::kFloat16)
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = from_half(from[i]);
  else
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = from_bfloat(from[i]);
}

Payload narrowed(DType type, const Payload& floats) {
  if (type == DType::kFloat32 || floats.empty()) return floats;
  auto [payload, values] = new_values<std::uint16_t>(floats.floats().size());
  narrow(type, floats.floats(), values);
  return payload;
}

Payload widened(DType type, const Payload& payload) {
  if (type == DType::kFloat32 || payload.empty()) return payload;
  const auto from = view_as<std::uint16_t>(payload);
  auto [floats, values] = new_values<float>(from.size());
  widen(type, from, values);
  return floats;
}

Payload carried(DType type, const Payload& floats) { return widened(type, narrowed(type, floats)); }

}  // namespace rubato::protocol
