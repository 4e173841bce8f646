// An archive of numpy's arrays, as numpy.savez writes it: a zip of stored .npy members.
//
// Thread-safety: pure functions, one of them over a file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace rubato::data {

struct NpyArray {
  std::string name;  // without .npy
  std::vector<std::int64_t> extents;
  // Of texts their letters, as many of each.
  std::variant<std::span<const float>, std::span<const std::int64_t>, std::span<const char32_t>> values;
};

// The letters of an array of texts: of each as many as the longest has and at least one, the rest zeros. A text that is
// no UTF-8 has the letters whose numbers its bytes are.
[[nodiscard]] std::vector<char32_t> npy_letters(std::span<const std::string> texts);

// Names must be distinct, extents must fit their values, and all of it must stay below 4 GiB, which is an error of its
// own. Errors: kStorage; the old file stays.
[[nodiscard]] Status write_npz(const std::string& path, std::span<const NpyArray> arrays);

}  // namespace rubato::data
