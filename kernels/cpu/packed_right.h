// The right factor of many small products, laid out once for all of them: panels of as many columns as a tile of
// small_matmul.h has, one behind the other, each with all of its rows. So a product reads it front to back; where it
// lies in rows of 4 KiB the lines of a panel meet in few sets of a cache. oneDNN's sgemm lays it out like that in each
// call: for one step of an LSTM (64 samples, 256 units) that is a fifth of its time.
//
// Bits do not depend on how the rows of a product are cut, and so on who computes which.
//
// Thread-safety: `multiply` may be called from several threads.
#pragma once

#include <cstdint>

namespace rubato::kernels {

class PackedRight {
 public:
  PackedRight() = default;
  PackedRight(std::int64_t rows, std::int64_t columns);

  // A product writes as many columns, zeros into those that there are not.
  [[nodiscard]] static std::int64_t padded(std::int64_t columns);
  [[nodiscard]] std::int64_t floats() const { return rows_ * padded(columns_); }
  // Where it is to lie: floats() of them.
  void bind(float* memory) { packed_ = memory; }

  // Element (row, column) lies at data[row * row_step + column * column_step]: a matrix or a transposed one.
  void pack(const float* data, std::int64_t row_step, std::int64_t column_step, int threads);

  // Of the left factor and of the product: rows that are so many floats apart.
  struct Factors {
    std::int64_t rows;
    const float* left;
    std::int64_t left_step;
    float* out;
    std::int64_t out_step;
  };
  // out = left * (the `count` rows of this from `first` on), or out += ...
  void multiply(const Factors& factors, std::int64_t first, std::int64_t count, bool add) const;

 private:
  std::int64_t rows_ = 0, columns_ = 0;
  float* packed_ = nullptr;
};

}  // namespace rubato::kernels
