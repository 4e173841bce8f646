// A numpy array (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): "\x93NUMPY", a version,
// the length of a header, the header as the text of a Python dictionary, and the values.
//
// Strict: the dictionary is taken apart, not run; Python objects (pickle), structures, texts and columns-first order
// are refused. Either order of bytes is read. Memory grows with what is really there, not with what a header promises.
//
// Thread-safety: pure functions over a source.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/byte_source.h"

namespace rubato::data {

struct NpyHeader {
  char kind = 'u';       // u: whole numbers from 0, i: whole numbers, f: floats, b: true or false
  std::size_t item = 1;  // bytes of a value: 1, 2, 4 or 8
  bool swapped = false;  // other order of bytes than this machine's
  std::vector<std::int64_t> extents;
  std::uint64_t values = 1;

  [[nodiscard]] std::uint64_t bytes() const { return values * item; }
  // "uint16, 3 x 28 x 28"
  [[nodiscard]] std::string text() const;
  // "uint16"
  [[nodiscard]] std::string type_text() const;
};

// Errors: kData, starting with the source's name.
[[nodiscard]] Result<NpyHeader> read_npy_header(ByteSource& source);

// The values behind it, and that nothing is behind them. One of these:
[[nodiscard]] Result<std::vector<std::uint8_t>> read_npy_bytes(ByteSource& source, const NpyHeader& header);
[[nodiscard]] Result<std::vector<std::uint16_t>> read_npy_words(ByteSource& source, const NpyHeader& header);
// `lengths`: how many rows (of the second extent) of each sample are there; behind them any floats are taken.
[[nodiscard]] Result<std::vector<float>> read_npy_floats(ByteSource& source, const NpyHeader& header,
                                                         std::span<const std::int32_t> lengths = {});
// Of kinds u, i and b.
[[nodiscard]] Result<std::vector<std::int64_t>> read_npy_integers(ByteSource& source, const NpyHeader& header);

}  // namespace rubato::data
