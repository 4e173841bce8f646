// Products of matrices that lie in the cache, for operations that need many small ones with a part left out: a causal
// attention needs half of each. oneDNN's sgemm gets 100 to 130 GFLOP/s of the 280 that a core has on matrices of
// 128 x 128 x 32, and computes all of it.
//
// Tiles of 8 rows by two registers, or 6 where there are only 16 of them, stay in registers for the whole depth. The
// order of a sum is that of the depth, whatever the tile, so bits do not depend on how the rows are cut.
//
// Thread-safety: pure apart from what it is given to write.
#pragma once

#include <cstdint>

#include "kernels/cpu/lanes.h"

namespace rubato::kernels {

// Element (row, k) lies at data[row * row_step + k * depth_step]: a matrix or a transposed one.
struct LeftMatrix {
  const float* data = nullptr;
  std::int64_t row_step = 0, depth_step = 1;
};

struct ProductSize {
  std::int64_t rows = 0, columns = 0, depth = 0;  // columns: a multiple of kLanes
};

namespace small_matmul {

template <int kRows, int kVectors>
void tile(const LeftMatrix& left, const float* right, std::int64_t right_step, std::int64_t depth, float* out,
          std::int64_t out_step, bool add) {
  Lanes sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = add ? read(out + r * out_step + v * kLanes) : Lanes{};
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    Lanes line[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) line[v] = read(right + k * right_step + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const float factor = left.data[r * left.row_step + k * left.depth_step];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] += factor * line[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) write(out + r * out_step + v * kLanes, sums[r][v]);
  }
}

// The last rows: fewer than kRows of them.
template <int kRows, int kVectors>
void rest(std::int64_t rows, const LeftMatrix& left, const float* right, std::int64_t right_step, std::int64_t depth,
          float* out, std::int64_t out_step, bool add) {
  if constexpr (kRows > 1) {
    if (rows < kRows - 1) {
      rest<kRows - 1, kVectors>(rows, left, right, right_step, depth, out, out_step, add);
    } else {
      tile<kRows - 1, kVectors>(left, right, right_step, depth, out, out_step, add);
    }
  }
}

template <int kVectors>
void columns(std::int64_t rows, LeftMatrix left, const float* right, std::int64_t right_step, std::int64_t depth,
             float* out, std::int64_t out_step, bool add) {
  constexpr int kRows = kLanes >= 16 ? 8 : 6;
  for (; rows >= kRows; rows -= kRows, left.data += kRows * left.row_step, out += kRows * out_step) {
    tile<kRows, kVectors>(left, right, right_step, depth, out, out_step, add);
  }
  if (rows > 0) rest<kRows, kVectors>(rows, left, right, right_step, depth, out, out_step, add);
}

}  // namespace small_matmul

// out = left * right, or out += left * right. Rows of `right` and `out` are that many floats apart.
inline void multiply(const ProductSize& size, const LeftMatrix& left, const float* right, std::int64_t right_step,
                     float* out, std::int64_t out_step, bool add) {
  std::int64_t c = 0;
  for (; c + 2 * kLanes <= size.columns; c += 2 * kLanes) {
    small_matmul::columns<2>(size.rows, left, right + c, right_step, size.depth, out + c, out_step, add);
  }
  if (c < size.columns) {
    small_matmul::columns<1>(size.rows, left, right + c, right_step, size.depth, out + c, out_step, add);
  }
}

}  // namespace rubato::kernels
