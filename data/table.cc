#include "data/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/log.h"
#include "data/table_columns.h"
#include "data/text_lines.h"
#include "data/time_steps.h"

namespace rubato::data {
namespace {

using Wrong = std::optional<std::string>;  // what is wrong with a line

class TableReader {
 public:
  TableReader(const DataConfig& config, TableColumns columns)
      : config_(config), columns_(std::move(columns)), bad_(config.skip_max) {
    for (const std::size_t column : columns_.inputs) table_.inputs.push_back(columns_.names[column]);
  }

  Result<Table> read(LineReader& lines) {
    table_.path = lines.path();
    std::vector<std::string> fields;
    for (std::uint64_t rows = 0;; ++rows) {
      RUBATO_ASSIGN(const std::optional<std::string_view> line, lines.next());
      if (!line) {
        table_.skipped = bad_.text(rows);
        break;
      }
      if (is_blank(*line)) {
        --rows;
        continue;
      }
      Wrong wrong = split_fields(*line, config_.separator.front(), fields);
      if (!wrong) wrong = take_row(fields, lines.number(), rows);
      if (wrong) RUBATO_TRY(bad_.add(fmt::format("{}: {}", lines.place(), *wrong)));
    }
    find_gaps();
    if (table_.rows() == 0)
      return Error{Cause::kData,
                   fmt::format("{}: expected rows behind the names of the columns, found none", table_.path)};
    return std::move(table_);
  }

 private:
  [[nodiscard]] std::string column(std::size_t index) const { return "column " + shown(columns_.names[index]); }

  // All of a row, or nothing of it. `place`: its number among the lines that are not blank.
  Wrong take_row(const std::vector<std::string>& fields, std::uint64_t line, std::uint64_t place) {
    if (fields.size() != columns_.names.size())
      return fmt::format("expected {} fields, as many as there are columns, found {}", columns_.names.size(),
                         fields.size());
    values_.clear();
    targets_.clear();
    if (Wrong wrong = take_texts(fields)) return wrong;
    for (const std::size_t index : columns_.targets) {
      if (is_missing(fields[index]))
        return column(index) +
               ": the value to be predicted is missing, and is never made up (data.skip_max leaves so many lines out)";
      if (Wrong wrong = take_number(fields, index, targets_)) return *wrong + advice_for_target(fields[index]);
    }
    for (std::size_t i = 0; i < columns_.inputs.size(); ++i)
      if (Wrong wrong = take_input(fields, i)) return wrong;
    if (Wrong wrong = take_time(fields, line)) return wrong;
    table_.values.insert(table_.values.end(), values_.begin(), values_.end());
    table_.targets.insert(table_.targets.end(), targets_.begin(), targets_.end());
    if (columns_.label) table_.labels.add(fields[*columns_.label]);
    if (columns_.group) table_.groups.add(fields[*columns_.group]);
    table_.lines.push_back(line);
    places_.push_back(place);
    if (columns_.time) times_.push_back(time_number(time_));
    return std::nullopt;
  }

  void find_gaps() {
    TimeSteps steps = steps_of(places_, times_);
    table_.steps = std::move(steps.of_row);
    if (steps.gaps > 0)
      table_.gaps =
          fmt::format("time has {} gap{} beside its usual step, the first before line {}: no window steps over one",
                      steps.gaps, steps.gaps == 1 ? "" : "s", table_.lines[steps.first_gap]);
  }

  [[nodiscard]] Wrong take_texts(const std::vector<std::string>& fields) const {
    if (columns_.label && is_missing(fields[*columns_.label]))
      return column(*columns_.label) + ": the class is missing";
    if (columns_.group && fields[*columns_.group].empty()) return column(*columns_.group) + ": the group is missing";
    return std::nullopt;
  }

  Wrong take_number(const std::vector<std::string>& fields, std::size_t index, std::vector<double>& numbers) const {
    const std::optional<double> number = field_number(fields[index]);
    if (!number) return fmt::format("{}: expected a finite number, found {}", column(index), shown(fields[index]));
    numbers.push_back(*number);
    return std::nullopt;
  }

  // Where the first line has a text, all of them will have.
  [[nodiscard]] bool is_of_texts(const std::string& field) const {
    double value = 0.0;
    return table_.rows() == 0 &&
           std::from_chars(field.data(), field.data() + field.size(), value).ptr != field.data() + field.size();
  }
  [[nodiscard]] std::string advice_for_input(std::size_t index, const std::string& field) const {
    if (!is_of_texts(field)) return "";
    const bool orders = config_.kind == "series" && !columns_.time;
    return fmt::format(
        "; a column of texts is no input: {}, or write numbers for its texts, as pandas.get_dummies does{}",
        config_.columns.empty() ? "list the inputs in data.columns, and not this one" : "take it out of data.columns",
        orders ? fmt::format("; if it orders the lines, set data.time = {}", shown(columns_.names[index])) : "");
  }
  [[nodiscard]] std::string advice_for_target(const std::string& field) const {
    if (!is_of_texts(field)) return "";
    return config_.kind == "csv" ? "; texts are classes, which model.loss = \"cross_entropy\" predicts"
                                 : "; data.target names columns of numbers";
  }

  Wrong take_input(const std::vector<std::string>& fields, std::size_t input) {
    const std::size_t index = columns_.inputs[input];
    if (!is_missing(fields[index])) {
      const Wrong wrong = take_number(fields, index, values_);
      return wrong ? *wrong + advice_for_input(index, fields[index]) : wrong;
    }
    if (config_.missing == "refuse")
      return fmt::format("{}: expected a number, found {}: a value that is missing (data.missing = \"refuse\")",
                         column(index), shown(fields[index]));
    double value = std::numeric_limits<double>::quiet_NaN();
    if (config_.missing == "previous") {
      if (table_.rows() == 0) return column(index) + ": the value is missing, and there is no line before";
      value = table_.values[table_.values.size() - columns_.inputs.size() + input];
    }
    values_.push_back(value);
    return std::nullopt;
  }

  // Numbers rise as numbers; what is no number rises as text, as dates do that begin with the year.
  Wrong take_time(const std::vector<std::string>& fields, std::uint64_t line) {
    if (!columns_.time) return std::nullopt;
    const std::string& now = fields[*columns_.time];
    const std::optional<double> number = time_number(now), before = time_number(time_);
    const bool numbers = number && before;
    const bool rises = numbers ? *number > *before : now > time_;
    if (now.empty()) return column(*columns_.time) + ": the time is missing";
    if (!time_.empty() && !rises)
      return fmt::format(
          "{}: expected a time after {} of line {}, found {}{}", column(*columns_.time), shown(time_), time_line_,
          shown(now), numbers ? "" : " (numbers and dates like 2024-01-31 08:00 are known, other times rise as text)");
    time_ = now;
    time_line_ = line;
    return std::nullopt;
  }

  const DataConfig& config_;
  const TableColumns columns_;
  BadLines bad_;
  Table table_;
  std::vector<double> values_, targets_;  // of the row at hand
  std::string time_;
  std::uint64_t time_line_ = 0;
  std::vector<std::uint64_t> places_;         // of each row
  std::vector<std::optional<double>> times_;  // the same, where there is a column of them
};

}  // namespace

Result<Table> read_table(const std::string& path, const TableNames& names, const DataConfig& config) {
  RUBATO_ASSIGN(LineReader lines, LineReader::open(path));
  RUBATO_ASSIGN(TableColumns columns, read_columns(lines, names, config.separator.front()));
  return TableReader(config, std::move(columns)).read(lines);
}

Result<Table> read_table_aloud(const std::string& path, const TableNames& names, const DataConfig& config) {
  RUBATO_ASSIGN(Table table, read_table(path, names, config));
  for (const std::string& what : {table.skipped, table.gaps})
    if (!what.empty()) log::warn("{}: {}", path, what);
  return table;
}

Result<TableSize> size_of_table(const std::string& path, const TableNames& names, const DataConfig& config) {
  RUBATO_ASSIGN(LineReader lines, LineReader::open(path));
  RUBATO_ASSIGN(const TableColumns columns, read_columns(lines, names, config.separator.front()));
  TableSize size{.rows = 0, .inputs = columns.inputs.size()};
  for (;;) {
    RUBATO_ASSIGN(const std::optional<std::string_view> line, lines.next());
    if (!line) return size;
    if (!is_blank(*line)) ++size.rows;
  }
}

}  // namespace rubato::data
