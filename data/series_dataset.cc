#include "data/series_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "data/fitted.h"
#include "data/row_split.h"
#include "data/scaling.h"
#include "data/table.h"

namespace rubato::data {
namespace {

// Lines of one part, scaled; a window is where its first line is.
struct Series {
  std::size_t inputs = 0, targets = 0;
  std::size_t window = 0, horizon = 0;
  std::vector<float> input_values, target_values;  // lines x inputs, lines x targets
  std::vector<std::uint32_t> windows;
  std::shared_ptr<const Fitted> fitted;
  std::optional<SeasonalNaive> naive;
  std::string path;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;  // of windows: their first and last line in the file
};

class SeriesDataset : public Dataset {
 public:
  SeriesDataset(Series series, const std::string& kind) : series_(std::move(series)) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(kind)));
    hash.update(std::as_bytes(std::span(series_.input_values)));
    hash.update(std::as_bytes(std::span(series_.target_values)));
    hash.update(std::as_bytes(std::span(series_.windows)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return series_.windows.size(); }
  SampleShape shape() const override {
    return {static_cast<std::int64_t>(series_.window), 1, static_cast<std::int64_t>(series_.inputs)};
  }
  std::int64_t target_floats() const override { return static_cast<std::int64_t>(series_.horizon * series_.targets); }
  const std::string& fingerprint() const override { return fingerprint_; }
  TargetScale target_scale(std::size_t target) const override {
    return series_.fitted->target_scaling.of_column(target % series_.targets);
  }
  const Fitted* fitted() const override { return series_.fitted.get(); }

  std::string file() const override { return series_.path; }
  std::string sample_name(std::uint64_t id) const override {
    const auto& [first, last] = series_.places.at(id);
    return fmt::format("{}:{}-{}", series_.path, first, last);
  }

  const SeasonalNaive* seasonal_naive() const { return series_.naive ? &*series_.naive : nullptr; }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    const Series& s = series_;
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * s.window * s.inputs);
    batch.labels.clear();
    batch.targets.resize(ids.size() * s.horizon * s.targets);
    batch.sample_ids.assign(ids.begin(), ids.end());
    auto input = batch.inputs.begin(), target = batch.targets.begin();
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < size(), "sample {} of {}", id, size());
      const std::size_t first = s.windows[id], then = first + s.window;
      input = std::ranges::copy(std::span(s.input_values).subspan(first * s.inputs, s.window * s.inputs), input).out;
      target =
          std::ranges::copy(std::span(s.target_values).subspan(then * s.targets, s.horizon * s.targets), target).out;
    }
    return {};
  }

 private:
  const Series series_;
  std::string fingerprint_;
};

TableNames names_of(const DataConfig& config) {
  return {.inputs = config.columns,
          .targets = config.target,
          .label = "",
          .group = "",
          .time = config.time,
          .targets_are_inputs = true};
}

std::uint64_t windows_in(std::uint64_t lines, const DataConfig& config) {
  const auto span = static_cast<std::uint64_t>(config.window + config.horizon);
  return lines < span ? 0 : (lines - span) / static_cast<std::uint64_t>(config.stride) + 1;
}

Status check_season(const DataConfig& config, std::uint64_t lines) {
  if (static_cast<std::uint64_t>(config.season) < lines) return {};
  return Error{Cause::kData,
               fmt::format("{}: data.season = {}: the training part has {} lines, and none of them has one "
                           "a season before: give fewer, or 0 for no season",
                           config.path, config.season, lines)};
}

// Where windows of rows begin, which follow each other in the table, and in time unless something is missing.
std::vector<std::uint32_t> find_windows(const Table& table, const std::vector<std::uint64_t>& rows,
                                        const DataConfig& config, Answers answers) {
  const auto stride = static_cast<std::size_t>(config.stride);
  const bool read = answers == Answers::kRead;
  const auto span = static_cast<std::size_t>(config.window + (read ? config.horizon : 0));
  if (rows.size() < span) return {};
  std::vector<std::uint32_t> windows;
  for (std::size_t first = read ? 0 : (rows.size() - span) % stride; first + span <= rows.size(); first += stride) {
    const std::uint64_t from = table.steps[rows[first]], to = table.steps[rows[first + span - 1]];
    if (to - from == span - 1) windows.push_back(static_cast<std::uint32_t>(first));
  }
  return windows;
}

std::vector<float> scaled_rows(const Scaling& scaling, const std::vector<double>& values, std::size_t width,
                               const std::vector<std::uint64_t>& rows) {
  std::vector<float> scaled;
  scaled.reserve(rows.size() * width);
  for (const std::uint64_t row : rows)
    for (std::size_t i = 0; i < width; ++i) scaled.push_back(scaling.scaled(values[row * width + i], i));
  return scaled;
}

Error too_few(const std::string& part, std::uint64_t lines, const std::string& span) {
  return {Cause::kData, fmt::format("{} has {} lines, and no window of {} lines on end is in it", part, lines, span)};
}

std::string span_text(const DataConfig& config) {
  return fmt::format("data.window + data.horizon = {}", config.window + config.horizon);
}

std::string part_text(const DataConfig& config, Split split) {
  return fmt::format("{}: the {} part", config.path, name_of(split));
}

// Windows of lines, of the job's table or of another, with what is learned from its training part, or was.
class Builder {
 public:
  explicit Builder(const DataConfig& config) : config_(config) {}

  Result<std::unique_ptr<Dataset>> run(Split split) {
    RUBATO_ASSIGN(const Table table, fit());
    return make(table, parts_.of(split), part_text(config_, split), Answers::kRead);
  }

  Result<std::unique_ptr<Dataset>> run_file(const std::string& path, Answers answers, const Fitted* fitted) {
    if (fitted != nullptr) {
      fitted_ = std::make_shared<const Fitted>(*fitted);
    } else {
      RUBATO_TRY(fit());
    }
    TableNames names = names_of(config_);
    names.inputs = fitted_->inputs;
    if (answers == Answers::kNone) names.targets.clear();
    RUBATO_ASSIGN(const Table table, read_table_aloud(path, names, config_));
    return make(table, all_rows(table.rows()), path, answers);
  }

 private:
  // The job's table.
  Result<Table> fit() {
    RUBATO_ASSIGN(Table own, read_table_aloud(config_.path, names_of(config_), config_));
    RUBATO_ASSIGN(parts_, split_by_time(own.rows(), config_, config_.path));
    RUBATO_TRY(check_season(config_, parts_.train.size()));
    Fitted fitted;
    fitted.inputs = own.inputs;
    RUBATO_ASSIGN(fitted.input_scaling, Scaling::fit(own.values, own.inputs.size(), parts_.train,
                                                     config_.scaling == "standard", own.path, own.inputs));
    RUBATO_ASSIGN(fitted.target_scaling, Scaling::fit(own.targets, config_.target.size(), parts_.train,
                                                      config_.target_scaling == "standard", own.path, config_.target));
    fitted.naive_errors = naive_errors(own, config_, parts_.train);
    fitted_ = std::make_shared<const Fitted>(std::move(fitted));
    return own;
  }

  Result<std::unique_ptr<Dataset>> make(const Table& table, const std::vector<std::uint64_t>& rows,
                                        const std::string& part, Answers answers) const {
    const bool read = answers == Answers::kRead;
    Series series{.inputs = table.inputs.size(),
                  .targets = config_.target.size(),
                  .window = static_cast<std::size_t>(config_.window),
                  .horizon = static_cast<std::size_t>(config_.horizon),
                  .input_values = scaled_rows(fitted_->input_scaling, table.values, table.inputs.size(), rows),
                  .target_values = {},
                  .windows = find_windows(table, rows, config_, answers),
                  .fitted = fitted_,
                  .naive = {},
                  .path = table.path,
                  .places = {}};
    if (series.windows.empty())
      return too_few(part, rows.size(), read ? span_text(config_) : fmt::format("data.window = {}", config_.window));
    std::vector<std::uint64_t> begin;
    for (const std::uint32_t window : series.windows) {
      begin.push_back(rows[window]);
      series.places.emplace_back(table.lines[begin.back()], table.lines[rows[window + series.window - 1]]);
    }
    if (read) {
      series.naive = seasonal_naive(table, config_, fitted_->naive_errors, begin);
      series.target_values = scaled_rows(fitted_->target_scaling, table.targets, series.targets, rows);
    } else {
      series.target_values.resize((rows.size() + series.horizon) * series.targets);
    }
    const std::string kind = fmt::format("series {} + {}; {}; {}", config_.window, config_.horizon,
                                         fmt::join(table.inputs, ","), fmt::join(config_.target, ","));
    return std::unique_ptr<Dataset>(new SeriesDataset(std::move(series), kind));
  }

  const DataConfig& config_;
  std::shared_ptr<const Fitted> fitted_;
  RowSplit parts_;  // of the job's table
};

}  // namespace

const SeasonalNaive* seasonal_naive_of(const Dataset& data) {
  const auto* series = dynamic_cast<const SeriesDataset*>(&data);
  return series == nullptr ? nullptr : series->seasonal_naive();
}

Result<DatasetSize> size_of_series_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const TableSize table, size_of_table(config.path, names_of(config), config));
  RUBATO_ASSIGN(const RowSplit parts, split_by_time(table.rows, config, config.path));
  RUBATO_TRY(check_season(config, parts.train.size()));
  const std::uint64_t lines = parts.of(split).size();
  const std::size_t targets = config.target.size(), numbers = table.inputs + targets;
  DatasetSize size;
  size.samples = windows_in(lines, config);
  size.shape = {config.window, 1, static_cast<std::int64_t>(table.inputs)};
  size.target_floats = config.horizon * static_cast<std::int64_t>(targets);
  if (size.samples == 0) return too_few(part_text(config, split), lines, span_text(config));
  size.bytes = lines * numbers * sizeof(float) + size.samples * (sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t)) +
               table.rows * numbers * sizeof(double);  // all of it while it is read
  return size;
}

Result<std::unique_ptr<Dataset>> open_series_dataset(const DataConfig& config, Split split) {
  return Builder(config).run(split);
}

Result<std::unique_ptr<Dataset>> open_series_file(const DataConfig& config, const std::string& path, Answers answers,
                                                  const Fitted* fitted) {
  return Builder(config).run_file(path, answers, fitted);
}

}  // namespace rubato::data
