#include "data/row_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace rubato::data {
namespace {

struct Sizes {
  std::uint64_t validation, test;
};

Sizes sizes_of(std::uint64_t rows, const DataConfig& config) {
  return {part_size(rows, config.validation_fraction), part_size(rows, config.test_fraction)};
}

std::vector<std::uint64_t> counted(std::uint64_t first, std::uint64_t end) {
  std::vector<std::uint64_t> numbers(end - first);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// Fisher and Yates's, as in data/permutation.cc, from a stream of its own.
std::vector<std::uint64_t> shuffled(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::uint64_t> order = counted(0, size);
  RandomStream random(stream_key(seed, "split"));
  for (std::uint64_t last = size; last > 1; --last) std::swap(order[last - 1], order[random.below(last)]);
  return order;
}

Result<RowSplit> checked(RowSplit split, const DataConfig& config, const std::string& file, const std::string& what) {
  const bool wanting = split.train.empty() || (config.validation_fraction > 0 && split.validation.empty()) ||
                       (config.test_fraction > 0 && split.test.empty());
  if (wanting)
    return Error{Cause::kData, fmt::format("{}: {} are too few for parts of {} for validation and {} for the test "
                                           "(data.validation_fraction or evaluation.holdout, data.test_fraction)",
                                           file, what, config.validation_fraction, config.test_fraction)};
  for (auto* part : {&split.train, &split.validation, &split.test}) std::ranges::sort(*part);
  return split;
}

}  // namespace

std::vector<std::uint64_t> all_rows(std::uint64_t count) { return counted(0, count); }

std::string no_part_text(const std::string& file, Split split) {
  return fmt::format("{}: data.{}_fraction = 0 leaves no {} part", file, name_of(split), name_of(split));
}

std::uint64_t part_size(std::uint64_t rows, double fraction) {
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(rows) * fraction));
}

Result<RowSplit> split_rows(std::uint64_t rows, const DataConfig& config, const std::string& file) {
  const std::vector<std::uint64_t> order = shuffled(rows, config.split_seed);
  const auto [validation, test] = sizes_of(rows, config);
  RowSplit split;
  const auto end = std::min(rows, test + validation);
  const auto at = [&](std::uint64_t place) { return order.begin() + static_cast<std::ptrdiff_t>(place); };
  split.test.assign(at(0), at(std::min(rows, test)));
  split.validation.assign(at(std::min(rows, test)), at(end));
  split.train.assign(at(end), order.end());
  return checked(std::move(split), config, file, fmt::format("{} rows", rows));
}

Result<RowSplit> split_groups(const TextColumn& groups, const DataConfig& config, const std::string& file) {
  // By name, so that the order of the rows has no say in who goes where.
  std::vector<std::uint32_t> by_name(groups.texts.size());
  std::iota(by_name.begin(), by_name.end(), 0u);
  std::ranges::sort(by_name, {}, [&](std::uint32_t group) { return groups.texts[group]; });
  std::vector<std::vector<std::uint64_t>> rows_of(groups.texts.size());
  for (std::size_t row = 0; row < groups.of_row.size(); ++row) rows_of[groups.of_row[row]].push_back(row);

  const auto [validation, test] = sizes_of(groups.of_row.size(), config);
  RowSplit split;
  for (const std::uint64_t place : shuffled(by_name.size(), config.split_seed)) {
    const std::vector<std::uint64_t>& rows = rows_of[by_name[place]];
    std::vector<std::uint64_t>& part = split.test.size() < test               ? split.test
                                       : split.validation.size() < validation ? split.validation
                                                                              : split.train;
    part.insert(part.end(), rows.begin(), rows.end());
  }
  return checked(std::move(split), config, file,
                 fmt::format("{} groups of {} rows", groups.texts.size(), groups.of_row.size()));
}

Result<RowSplit> split_groups(const std::vector<std::string>& group_of_row, const DataConfig& config,
                              const std::string& file) {
  TextColumn groups;
  for (const std::string& group : group_of_row) groups.add(group);
  return split_groups(groups, config, file);
}

RowRange range_by_time(std::uint64_t rows, const DataConfig& config, Split split) {
  const auto [validation, test] = sizes_of(rows, config);
  const std::uint64_t last = rows - std::min(rows, test), middle = last - std::min(last, validation);
  if (split == Split::kTrain) return {0, middle};
  return split == Split::kValidation ? RowRange{middle, last - middle} : RowRange{last, rows - last};
}

Result<RowSplit> split_by_time(std::uint64_t rows, const DataConfig& config, const std::string& file) {
  const auto part = [&](Split split) {
    const RowRange range = range_by_time(rows, config, split);
    return counted(range.first, range.first + range.count);
  };
  return checked({.train = part(Split::kTrain), .validation = part(Split::kValidation), .test = part(Split::kTest)},
                 config, file, fmt::format("{} lines", rows));
}

}  // namespace rubato::data
