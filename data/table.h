// A table of text: a header line with the names of the columns, and a line for each row (docs/data.md). What the kinds
// csv and series read.
//
// Thread-safety: plain values and a pure function over a file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/bad_lines.h"

namespace rubato::data {

// Which columns are what.
struct TableNames {
  std::vector<std::string> inputs;   // of numbers; none: all that are nothing else
  std::vector<std::string> targets;  // of numbers
  std::string label;                 // of classes; or none
  std::string group;                 // of any text; or none
  std::string time;                  // rises from row to row; or none
  bool targets_are_inputs = false;   // where `inputs` does not say
};

// Texts of a column, each kept once.
struct TextColumn {
  // A row's.
  void add(const std::string& text) {
    const auto [entry, is_new] = known.try_emplace(text, static_cast<std::uint32_t>(texts.size()));
    if (is_new) texts.push_back(text);
    of_row.push_back(entry->second);
  }
  std::vector<std::string> texts;     // in the order of their first row
  std::vector<std::uint32_t> of_row;  // which of them
  [[nodiscard]] const std::string& at(std::size_t row) const { return texts[of_row[row]]; }

  std::map<std::string, std::uint32_t> known;  // where among the texts
};

struct Table {
  std::string path;
  std::vector<std::string> inputs;  // names
  std::vector<double> values;       // rows x inputs; NaN is a value that is missing
  std::vector<double> targets;      // rows x targets
  TextColumn labels, groups;
  std::vector<std::uint64_t> lines;  // of each row, in the file
  // Of each row in time: rises by one from a row to the next, by more where time has a gap (data/time_steps.h), or,
  // where times say nothing, where lines between them were left out; blank ones never count.
  std::vector<std::uint64_t> steps;
  std::string skipped;  // what was left out, in words; empty if nothing was
  std::string gaps;     // in time, in words; empty if there are none
  [[nodiscard]] std::size_t rows() const { return lines.size(); }
};

// Blank lines are no rows. A bad line (another number of fields, no number, not finite, no label, no target, and no
// value where data.missing = "refuse") is left out, data.skip_max times. Errors: kData: FILE:LINE, the column, what was
// expected and found; an unknown column, with the nearest known name.
[[nodiscard]] Result<Table> read_table(const std::string& path, const TableNames& names, const DataConfig& config);

// The same, and says in the log what was left out, and which gaps time has.
[[nodiscard]] Result<Table> read_table_aloud(const std::string& path, const TableNames& names,
                                             const DataConfig& config);

// Its rows if no line is bad, and its input columns, reading no more than the ends of lines.
struct TableSize {
  std::uint64_t rows = 0;
  std::size_t inputs = 0;
};
[[nodiscard]] Result<TableSize> size_of_table(const std::string& path, const TableNames& names,
                                              const DataConfig& config);

}  // namespace rubato::data
