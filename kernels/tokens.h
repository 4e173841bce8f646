// What is a token of an embedding: a whole number that its table has a row for.
//
// Device code includes this header. Thread-safety: pure.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace rubato::kernels {

RUBATO_HOST_DEVICE inline bool is_token(float value, std::int64_t rows) {
  return value >= 0.0f && value < static_cast<float>(rows) && value == floorf(value);
}

}  // namespace rubato::kernels
