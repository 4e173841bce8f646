// What is said of what is no token (kernels/tokens.h), on every device.
//
// Thread-safety: pure.
#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "base/result.h"

namespace rubato::kernels {

// `at`: in the batch, whose samples have so many positions each.
inline Error not_a_token(std::int64_t at, std::int64_t positions, float value, std::int64_t rows) {
  return {Cause::kData, fmt::format("sample {} of the batch has token {} at position {}, both counted from 0; "
                                    "tokens are whole numbers from 0 to {}",
                                    at / positions, value, at % positions, rows - 1)};
}

}  // namespace rubato::kernels
