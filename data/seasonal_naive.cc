#include "data/seasonal_naive.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace rubato::data {
namespace {

class Forecaster {
 public:
  Forecaster(const Table& table, std::size_t targets) : table_(table), targets_(targets) {}

  // Whether the row so many lines before is there, with all between them.
  [[nodiscard]] bool knows(std::uint64_t row, std::uint64_t back) const {
    return row >= back && table_.steps[row] - table_.steps[row - back] == back;
  }
  [[nodiscard]] double error(std::uint64_t row, std::uint64_t back, std::size_t target) const {
    return std::abs(table_.targets[row * targets_ + target] - table_.targets[(row - back) * targets_ + target]);
  }

 private:
  const Table& table_;
  const std::size_t targets_;
};

std::uint64_t season_of(const DataConfig& config) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(config.season, 1));
}

}  // namespace

std::vector<double> naive_errors(const Table& table, const DataConfig& config,
                                 const std::vector<std::uint64_t>& train) {
  const std::uint64_t season = season_of(config);
  const std::size_t count = config.target.size();
  const Forecaster naive(table, count);
  std::vector<double> errors(count, 0.0);
  double pairs = 0.0;
  for (const std::uint64_t row : train) {
    if (!naive.knows(row, season)) continue;
    pairs += 1.0;
    for (std::size_t t = 0; t < count; ++t) errors[t] += naive.error(row, season, t);
  }
  for (double& error : errors) error = pairs > 0.0 ? error / pairs : 0.0;
  return errors;
}

SeasonalNaive seasonal_naive(const Table& table, const DataConfig& config, const std::vector<double>& scales,
                             const std::vector<std::uint64_t>& windows) {
  const std::uint64_t season = season_of(config);
  const auto window = static_cast<std::uint64_t>(config.window), horizon = static_cast<std::uint64_t>(config.horizon);
  const std::size_t count = config.target.size();
  const Forecaster naive(table, count);
  SeasonalNaive result{.season = static_cast<std::int64_t>(season), .windows = 0, .targets = {}};
  for (std::size_t t = 0; t < count; ++t) result.targets.push_back({config.target[t], scales[t], 0.0});
  // As many whole seasons back as it takes to be among the lines that the window has seen the end of.
  const auto back = [season](std::uint64_t ahead) { return season * (ahead / season + 1); };
  for (const std::uint64_t first : windows) {
    const std::uint64_t then = first + window;
    bool known = true;
    for (std::uint64_t ahead = 0; ahead < horizon && known; ++ahead) known = naive.knows(then + ahead, back(ahead));
    if (!known) continue;
    ++result.windows;
    for (std::uint64_t ahead = 0; ahead < horizon; ++ahead)
      for (std::size_t t = 0; t < count; ++t) result.targets[t].error += naive.error(then + ahead, back(ahead), t);
  }
  for (SeasonalNaive::Target& target : result.targets)
    target.error = result.windows > 0 ? target.error / static_cast<double>(result.windows * horizon) : std::nan("");
  return result;
}

}  // namespace rubato::data
