// The header line of a table: where each of the columns is that a job names. Internal to data/table.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/table.h"
#include "data/text_lines.h"

namespace rubato::data {

struct TableColumns {
  std::vector<std::string> names;  // of all of them
  std::vector<std::size_t> inputs, targets;
  std::optional<std::size_t> label, group, time;
};

// Reads the first line. Errors: kData.
[[nodiscard]] Result<TableColumns> read_columns(LineReader& lines, const TableNames& names, char separator);

}  // namespace rubato::data
