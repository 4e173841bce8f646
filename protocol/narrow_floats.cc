#include "protocol/narrow_floats.h"

#include <memory>

#include "base/float16.h"

namespace rubato::protocol {
namespace {

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
