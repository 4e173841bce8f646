// Lines in the form of LIBSVM (https://www.csie.ntu.edu.tw/~cjlin/libsvm): `label index:value index:value ...`, indexes
// from 1 and rising, what is not there being 0; a # and what follows it is a remark.
//
// Rows stay sparse: what they take is of the size of the file, however large an index it names.
//
// Thread-safety: plain values and a pure function over a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"

namespace rubato::data {

struct SparseRows {
  std::vector<double> labels;          // one a row
  std::vector<std::uint64_t> ends;     // of each row's values
  std::vector<std::uint32_t> indexes;  // from 0, rising within a row
  std::vector<double> values;
  std::vector<std::uint64_t> lines;  // of each row, in the file
  std::uint32_t features = 0;        // one more than the greatest index
  std::string skipped;               // what was left out, in words; empty if nothing was

  [[nodiscard]] std::size_t rows() const { return labels.size(); }
  [[nodiscard]] std::uint64_t begin(std::size_t row) const { return row == 0 ? 0 : ends[row - 1]; }
};

// Blank lines, and remarks alone, are no rows; a bad line is left out, data.skip_max times. `features_max`, unless 0,
// is what an index may be at most. Errors: kData: FILE:LINE, what was expected and found.
[[nodiscard]] Result<SparseRows> read_sparse_rows(const std::string& path, const DataConfig& config,
                                                  std::uint32_t features_max);

}  // namespace rubato::data
