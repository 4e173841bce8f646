// An archive of numpy's arrays, as numpy.savez writes it: a zip of stored .npy members.
//
// Thread-safety: a pure function over a file.
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
  std::variant<std::span<const float>, std::span<const std::int64_t>> values;
};

// Names must be distinct, extents must fit their values, and all of it must stay below 4 GiB, which is an error of its
// own. Errors: kStorage; the old file stays.
[[nodiscard]] Status write_npz(const std::string& path, std::span<const NpyArray> arrays);

}  // namespace rubato::data
