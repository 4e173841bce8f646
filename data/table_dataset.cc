#include "data/table_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/class_names.h"
#include "data/fitted.h"
#include "data/image_dataset.h"
#include "data/row_split.h"
#include "data/scaling.h"
#include "data/table.h"

namespace rubato::data {
namespace {

bool predicts_numbers(const Job& job) { return job.model.loss == "mse"; }

TableNames names_of(const Job& job) {
  const DataConfig& data = job.data;
  TableNames names;
  names.inputs = data.columns;
  names.group = data.group;
  if (predicts_numbers(job))
    names.targets = data.target;
  else
    names.label = data.target.front();
  return names;
}

// The rows asked for, of the training table or of another, with what is learned from it, or was.
class Builder {
 public:
  explicit Builder(const Job& job) : job_(job), data_(job.data) {}

  Result<std::unique_ptr<Dataset>> run(Split split) {
    RUBATO_ASSIGN(const Table train, read_table_aloud(train_path(), names_of(job_), data_));
    RUBATO_ASSIGN(const RowSplit parts, parts_of(train));
    RUBATO_TRY(fit(train, parts.train));
    if (split == Split::kTrain || !data_.path.empty()) return make(train, parts.of(split));
    RUBATO_ASSIGN(Table test, read_table_aloud(data_.test_inputs, names_of(job_), data_));
    if (test.inputs != train.inputs)
      return Error{Cause::kData,
                   fmt::format("{}: expected the input columns of {}, in its order: {}; found {}", test.path,
                               train.path, fmt::join(train.inputs, ", "), fmt::join(test.inputs, ", "))};
    return make(test, all_rows(test.rows()));
  }

  Result<std::unique_ptr<Dataset>> run_file(const std::string& path, Answers answers, const Fitted* fitted) {
    answers_ = answers;
    if (fitted != nullptr) {
      fitted_ = std::make_shared<const Fitted>(*fitted);
    } else {
      RUBATO_ASSIGN(const Table train, read_table_aloud(train_path(), names_of(job_), data_));
      RUBATO_ASSIGN(const RowSplit parts, parts_of(train));
      RUBATO_TRY(fit(train, parts.train));
    }
    TableNames names = answers == Answers::kRead ? names_of(job_) : TableNames();
    names.inputs = fitted_->inputs;
    names.group.clear();
    RUBATO_ASSIGN(const Table table, read_table_aloud(path, names, data_));
    return make(table, all_rows(table.rows()));
  }

 private:
  [[nodiscard]] const std::string& train_path() const { return data_.path.empty() ? data_.train_inputs : data_.path; }

  [[nodiscard]] Result<RowSplit> parts_of(const Table& train) const {
    if (data_.path.empty()) return RowSplit{.train = all_rows(train.rows()), .validation = {}, .test = {}};
    if (data_.group.empty()) return split_rows(train.rows(), data_, train.path);
    return split_groups(train.groups, data_, train.path);
  }

  Status fit(const Table& train, const std::vector<std::uint64_t>& rows) {
    Fitted fitted;
    fitted.inputs = train.inputs;
    RUBATO_ASSIGN(fitted.input_scaling, Scaling::fit(train.values, train.inputs.size(), rows,
                                                     data_.scaling == "standard", train.path, train.inputs));
    if (predicts_numbers(job_)) {
      RUBATO_ASSIGN(fitted.target_scaling, Scaling::fit(train.targets, data_.target.size(), rows,
                                                        data_.target_scaling == "standard", train.path, data_.target));
    } else {
      RUBATO_ASSIGN(const ClassNames classes, ClassNames::make(train.labels.texts, data_, train.path));
      fitted.classes = classes.names();
    }
    fitted_ = std::make_shared<const Fitted>(std::move(fitted));
    return {};
  }

  Result<std::unique_ptr<Dataset>> make(const Table& table, const std::vector<std::uint64_t>& rows) {
    const std::size_t width = table.inputs.size();
    Images samples;
    samples.shape = {1, 1, static_cast<std::int64_t>(width)};
    samples.fitted = fitted_;
    std::vector<float> inputs;
    inputs.reserve(rows.size() * width);
    for (const std::uint64_t row : rows)
      for (std::size_t i = 0; i < width; ++i)
        inputs.push_back(fitted_->input_scaling.scaled(table.values[row * width + i], i));
    samples.pixels = std::move(inputs);
    for (const std::uint64_t row : rows) samples.lines.push_back(table.lines[row]);
    samples.lines_of = table.path;
    if (predicts_numbers(job_))
      take_targets(table, rows, samples);
    else
      RUBATO_TRY(take_labels(table, rows, samples));
    DataConfig plain;  // the scaling is done
    return make_image_dataset(
        std::move(samples), plain,
        fmt::format("csv {} x {}; {} {}", rows.size(), width, fmt::join(table.inputs, ","), data_.classes), table.path);
  }

  Status take_labels(const Table& table, const std::vector<std::uint64_t>& rows, Images& samples) {
    if (answers_ == Answers::kNone) {
      samples.labels.assign(rows.size(), 0);
      return {};
    }
    RUBATO_ASSIGN(const ClassNames classes, ClassNames::make(fitted_->classes, data_, table.path));
    for (const std::uint64_t row : rows) {
      Result<std::int32_t> number = classes.number(table.labels.at(row));
      if (!number.ok())
        return number.error().in(
            fmt::format("{}:{}: column \"{}\"", table.path, table.lines[row], data_.target.front()));
      samples.labels.push_back(*number);
    }
    return {};
  }

  void take_targets(const Table& table, const std::vector<std::uint64_t>& rows, Images& samples) {
    const std::size_t width = data_.target.size();
    const Scaling& scaling = fitted_->target_scaling;
    samples.target_floats = static_cast<std::int64_t>(width);
    for (const std::uint64_t row : rows)
      for (std::size_t i = 0; i < width; ++i)
        samples.targets.push_back(answers_ == Answers::kNone ? 0.0f
                                                             : scaling.scaled(table.targets[row * width + i], i));
  }

  const Job& job_;
  const DataConfig& data_;
  Answers answers_ = Answers::kRead;
  std::shared_ptr<const Fitted> fitted_;
};

}  // namespace

Result<DatasetSize> size_of_table_dataset(const Job& job, Split split) {
  const DataConfig& data = job.data;
  const bool one = !data.path.empty();
  const std::string& path = one ? data.path : split == Split::kTrain ? data.train_inputs : data.test_inputs;
  RUBATO_ASSIGN(const TableSize table, size_of_table(path, names_of(job), data));
  DatasetSize size;
  size.samples = table.rows;
  size.shape = {1, 1, static_cast<std::int64_t>(table.inputs)};
  if (one) {
    RUBATO_ASSIGN(const RowSplit parts, split_rows(table.rows, data, path));
    size.samples = parts.of(split).size();
  }
  if (predicts_numbers(job)) size.target_floats = static_cast<std::int64_t>(data.target.size());
  // While it is read, all of a table is there as float64 beside what is made of it.
  const std::uint64_t numbers = table.inputs + std::max<std::uint64_t>(1, data.target.size());
  size.bytes = size.samples * (numbers * sizeof(float) + sizeof(std::uint64_t)) + table.rows * numbers * sizeof(double);
  return size;
}

Result<std::unique_ptr<Dataset>> open_table_file(const Job& job, const std::string& path, Answers answers,
                                                 const Fitted* fitted) {
  return Builder(job).run_file(path, answers, fitted);
}

Result<std::unique_ptr<Dataset>> open_table_dataset(const Job& job, Split split) { return Builder(job).run(split); }

}  // namespace rubato::data
