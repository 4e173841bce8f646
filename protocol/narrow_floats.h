// float32 values in 16 bits, for gradients and weights on their way (`cluster.wire`), and back.
//
// Rounding is IEEE 754's, to the nearest and of two equally near ones to the even, with float16's subnormals. What is
// larger than the largest 16-bit value by half a step or more becomes an infinity, so it is dropped and counted like
// any other gradient that is not finite, instead of training on as another number. Infinities stay, a NaN stays a NaN.
// Every 16-bit value is a float32, so widening is exact, and narrowing what was widened gives the same bits.
//
// Bits alone decide: the same on every processor, however it is set to treat subnormals, vectorized or not.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/job.h"
#include "protocol/header.h"

namespace rubato::protocol {

// How gradients and weights of this job travel.
[[nodiscard]] DType wire_of(const Job& job);

// Bytes of a value; 0 of a type that is not spoken here.
[[nodiscard]] std::size_t bytes_of(DType type);

// Spans are equally long; `type` is one of 16 bits.
void narrow(DType type, std::span<const float> values, std::span<std::uint16_t> narrowed);
void widen(DType type, std::span<const std::uint16_t> narrowed, std::span<float> values);

// Of whole payloads. float32 is passed through. `widened`: its size and alignment are a multiple of the type's.
[[nodiscard]] Payload narrowed(DType type, const Payload& floats);
[[nodiscard]] Payload widened(DType type, const Payload& payload);

// What arrives at the other end.
[[nodiscard]] Payload carried(DType type, const Payload& floats);

}  // namespace rubato::protocol
