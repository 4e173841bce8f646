// The names of a Precision: as job files write them, and as people do.
//
// Thread-safety: pure functions.
#pragma once

#include <string_view>

#include "kernels/backend.h"

namespace rubato::kernels {

// Of worker.precision, which is one of "float32", "tf32" and "bfloat16".
[[nodiscard]] constexpr Precision precision_of(std::string_view name) {
  if (name == "bfloat16") return Precision::kBfloat16;
  return name == "tf32" ? Precision::kTf32 : Precision::kFloat32;
}

[[nodiscard]] constexpr const char* text_of(Precision precision) {
  switch (precision) {
    case Precision::kTf32:
      return "TF32";
    case Precision::kBfloat16:
      return "bfloat16";
    case Precision::kFloat32:
      break;
  }
  return "float32";
}

}  // namespace rubato::kernels
