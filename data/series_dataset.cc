#include "data/series_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/log.h"
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
  std::vector<TargetScale> scales;  // of target columns
  SeasonalNaive naive;
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
  TargetScale target_scale(std::size_t target) const override { return series_.scales[target % series_.targets]; }

  const SeasonalNaive& seasonal_naive() const { return series_.naive; }

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

Error too_few(const DataConfig& config, Split split, std::uint64_t lines) {
  return {Cause::kData, fmt::format("{}: the {} part has {} lines, and no window of data.window + data.horizon = {} "
                                    "lines on end is in it",
                                    config.path, name_of(split), lines, config.window + config.horizon)};
}

Status check_season(const DataConfig& config, std::uint64_t lines) {
  if (static_cast<std::uint64_t>(config.season) < lines) return {};
  return Error{Cause::kData,
               fmt::format("{}: data.season = {}: the training part has {} lines, and none of them has one "
                           "a season before: give fewer, or 0 for no season",
                           config.path, config.season, lines)};
}

// Windows of a part, whose lines follow each other in the table, and in the file unless one was left out.
std::vector<std::uint32_t> find_windows(const Table& table, const std::vector<std::uint64_t>& rows,
                                        const DataConfig& config) {
  const auto span = static_cast<std::size_t>(config.window + config.horizon);
  const auto stride = static_cast<std::size_t>(config.stride);
  std::vector<std::uint32_t> windows;
  for (std::size_t first = 0; first + span <= rows.size(); first += stride) {
    const std::uint64_t from = table.lines[rows[first]], to = table.lines[rows[first + span - 1]];
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

}  // namespace

const SeasonalNaive* seasonal_naive_of(const Dataset& data) {
  const auto* series = dynamic_cast<const SeriesDataset*>(&data);
  return series == nullptr ? nullptr : &series->seasonal_naive();
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
  if (size.samples == 0) return too_few(config, split, lines);
  size.bytes = lines * numbers * sizeof(float) + size.samples * sizeof(std::uint32_t) +
               table.rows * numbers * sizeof(double);  // all of it while it is read
  return size;
}

Result<std::unique_ptr<Dataset>> open_series_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Table table, read_table(config.path, names_of(config), config));
  if (!table.skipped.empty()) log::warn("{}: {}", config.path, table.skipped);
  RUBATO_ASSIGN(const RowSplit parts, split_by_time(table.rows(), config, config.path));
  RUBATO_TRY(check_season(config, parts.train.size()));
  const std::vector<std::uint64_t>& rows = parts.of(split);
  Series series{.inputs = table.inputs.size(),
                .targets = config.target.size(),
                .window = static_cast<std::size_t>(config.window),
                .horizon = static_cast<std::size_t>(config.horizon),
                .input_values = {},
                .target_values = {},
                .windows = find_windows(table, rows, config),
                .scales = {},
                .naive = {}};
  if (series.windows.empty()) return too_few(config, split, rows.size());
  std::vector<std::uint64_t> begin;
  for (const std::uint32_t window : series.windows) begin.push_back(rows[window]);
  series.naive = seasonal_naive(table, config, parts.train, begin);
  RUBATO_ASSIGN(const Scaling of_inputs, Scaling::fit(table.values, series.inputs, parts.train,
                                                      config.scaling == "standard", config.path, table.inputs));
  RUBATO_ASSIGN(const Scaling of_targets,
                Scaling::fit(table.targets, series.targets, parts.train, config.target_scaling == "standard",
                             config.path, config.target));
  for (std::size_t i = 0; i < series.targets; ++i) series.scales.push_back(of_targets.of_column(i));
  series.input_values = scaled_rows(of_inputs, table.values, series.inputs, rows);
  series.target_values = scaled_rows(of_targets, table.targets, series.targets, rows);
  const std::string kind = fmt::format("series {} + {}; {}; {}", config.window, config.horizon,
                                       fmt::join(table.inputs, ","), fmt::join(config.target, ","));
  return std::unique_ptr<Dataset>(new SeriesDataset(std::move(series), kind));
}

}  // namespace rubato::data
