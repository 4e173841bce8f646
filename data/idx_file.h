// An idx file (http://yann.lecun.com/exdb/mnist), plain or compressed by gzip: a 4-byte magic number
// 00 00 TT NN, NN big-endian 32-bit extents, and the values in row-major order. Only TT = 08, unsigned
// bytes, with 1 to 4 extents is read.
//
// Strict: a file that is shorter or longer than its header says is refused. Memory grows with what is
// really there, not with what a header promises.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace rubato::data {

struct IdxFile {
  std::vector<std::int64_t> extents;
  std::vector<std::uint8_t> values;
};

// Errors: kData, starting with the path.
[[nodiscard]] Result<IdxFile> read_idx(const std::string& path);

// Its extents alone, without reading what is behind them. Errors: the same.
[[nodiscard]] Result<std::vector<std::int64_t>> read_idx_extents(const std::string& path);

// "60000 x 28 x 28"
[[nodiscard]] std::string extents_text(const std::vector<std::int64_t>& extents);

}  // namespace rubato::data
