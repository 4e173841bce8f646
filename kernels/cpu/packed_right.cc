#include "kernels/cpu/packed_right.h"

#include <algorithm>

#include "kernels/cpu/small_matmul.h"

namespace rubato::kernels {
namespace {

constexpr std::int64_t kPanel = 2 * kLanes;

}  // namespace

PackedRight::PackedRight(std::int64_t rows, std::int64_t columns) : rows_(rows), columns_(columns) {}

std::int64_t PackedRight::padded(std::int64_t columns) { return (columns + kPanel - 1) / kPanel * kPanel; }

void PackedRight::pack(const float* data, std::int64_t row_step, std::int64_t column_step, int threads) {
#pragma omp parallel for num_threads(threads)
  for (std::int64_t column = 0; column < columns_; column += kPanel) {
    float* const panel = packed_ + column * rows_;
    const std::int64_t there = std::min(kPanel, columns_ - column);
    for (std::int64_t row = 0; row < rows_; ++row) {
      const float* const from = data + row * row_step + column * column_step;
      for (std::int64_t c = 0; c < there; ++c) panel[row * kPanel + c] = from[c * column_step];
      std::fill_n(panel + row * kPanel + there, kPanel - there, 0.0f);
    }
  }
}

void PackedRight::multiply(const Factors& factors, std::int64_t first, std::int64_t count, bool add) const {
  const LeftMatrix left{factors.left, factors.left_step, 1};
  for (std::int64_t column = 0; column < columns_; column += kPanel)
    kernels::multiply({factors.rows, kPanel, count}, left, packed_ + column * rows_ + first * kPanel, kPanel,
                      factors.out + column, factors.out_step, add);
}

}  // namespace rubato::kernels
