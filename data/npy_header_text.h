// The text in the header of a numpy array: {'descr': '<u2', 'fortran_order': False, 'shape': (3, 28, 28), }
//
// Thread-safety: a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rubato::data {

struct NpyHeaderText {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

// All three keys, each once, in any order, and no other. Errors: kData, saying what was expected.
[[nodiscard]] Result<NpyHeaderText> parse_npy_header(std::string_view text);

}  // namespace rubato::data
