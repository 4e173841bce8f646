// Which rows of one table are for training, validation and test.
//
// A pure function of the seed, the fractions and the rows (or their groups): every process finds the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"
#include "data/table.h"

namespace rubato::data {

struct RowSplit {
  std::vector<std::uint64_t> train, validation, test;  // rising
  [[nodiscard]] const std::vector<std::uint64_t>& of(Split split) const {
    return split == Split::kTrain ? train : split == Split::kValidation ? validation : test;
  }
};

// 0, 1, 2, ...
[[nodiscard]] std::vector<std::uint64_t> all_rows(std::uint64_t count);

// What to say of a part that is asked for where data.test_fraction, or data.validation_fraction, is 0.
[[nodiscard]] std::string no_part_text(const std::string& file, Split split);

// Of so many rows, a fraction: to the nearest. Who asked for a part and finds none in it refuses that.
[[nodiscard]] std::uint64_t part_size(std::uint64_t rows, double fraction);

// "0.008%", of 0.00008.
[[nodiscard]] std::string percent(double fraction);

// By a shuffle. Errors: kData, if a part that is asked for, or the training part, would be empty; there each is called
// `row`, as "image".
[[nodiscard]] Result<RowSplit> split_rows(std::uint64_t rows, const DataConfig& config, const std::string& file,
                                          std::string_view row = "row");
// The rows of a group stay together: shuffled groups are taken, whole, until a part has its fraction of the rows or
// more. Errors: the same.
[[nodiscard]] Result<RowSplit> split_groups(const TextColumn& groups, const DataConfig& config, const std::string& file,
                                            std::string_view row = "row");
// Of rows with these.
[[nodiscard]] Result<RowSplit> split_groups(const std::vector<std::string>& group_of_row, const DataConfig& config,
                                            const std::string& file, std::string_view row = "row");
// The earliest rows are for training and the last for the test.
struct RowRange {
  std::uint64_t first = 0, count = 0;
};
[[nodiscard]] RowRange range_by_time(std::uint64_t rows, const DataConfig& config, Split split);
// Errors: the same.
[[nodiscard]] Result<RowSplit> split_by_time(std::uint64_t rows, const DataConfig& config, const std::string& file);

}  // namespace rubato::data
