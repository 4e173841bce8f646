#include "data/row_split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/counted.h"
#include "base/rng.h"

namespace rubato::data {
namespace {

struct Sizes {
  std::uint64_t validation, test;
};

Sizes sizes_of(std::uint64_t rows, const DataConfig& config) {
  return {part_size(rows, config.validation_fraction), part_size(rows, config.test_fraction)};
}

std::vector<std::uint64_t> numbers_from(std::uint64_t first, std::uint64_t end) {
  std::vector<std::uint64_t> numbers(end - first);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// Fisher and Yates's, as in data/permutation.cc, from a stream of its own.
std::vector<std::uint64_t> shuffled(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::uint64_t> order = numbers_from(0, size);
  RandomStream random(stream_key(seed, "split"));
  for (std::uint64_t last = size; last > 1; --last) std::swap(order[last - 1], order[random.below(last)]);
  return order;
}

// What is wrong with a split, or nothing. `whole`: what is split, as "20 rows". `units`: how many there are of what is
// not cut, rows or groups of them.
std::string fault_of(const RowSplit& split, const DataConfig& config, std::uint64_t units, const std::string& whole) {
  struct Part {
    const std::vector<std::uint64_t>& rows;
    double fraction;
    const char *name, *keys;
  };
  const Part parts[] = {
      {split.validation, config.validation_fraction, "validation", "evaluation.holdout or data.validation_fraction"},
      {split.test, config.test_fraction, "the test", "data.test_fraction"}};
  std::vector<std::string> wanted;
  for (const Part& part : parts)
    if (part.fraction > 0) wanted.push_back(fmt::format("{} for {}", percent(part.fraction), part.name));
  if (wanted.empty()) return split.train.empty() ? "there is nothing to train on" : "";
  if (units <= wanted.size())
    return fmt::format("{} cannot be split into {} and the rest for training: each part needs one at least", whole,
                       fmt::join(wanted, ", "));
  const std::uint64_t rows = split.train.size() + split.validation.size() + split.test.size();
  for (const Part& part : parts) {
    if (part.fraction == 0 || !part.rows.empty()) continue;
    if (part_size(rows, part.fraction) == 0)
      return fmt::format("{} of {} for {} is none, and one of them is {}: raise {}", percent(part.fraction), whole,
                         part.name, percent(1.0 / static_cast<double>(rows)), part.keys);
    return fmt::format("of {} none is left for {}: groups stay whole; lower the other fraction, or make smaller groups",
                       whole, part.name);
  }
  if (!split.train.empty()) return "";
  return fmt::format("of {} the parts of {} leave none to train on: lower {}", whole, fmt::join(wanted, " and "),
                     "evaluation.holdout, data.validation_fraction or data.test_fraction");
}

Result<RowSplit> checked(RowSplit split, const DataConfig& config, const std::string& file, std::uint64_t units,
                         const std::string& whole) {
  if (const std::string fault = fault_of(split, config, units, whole); !fault.empty())
    return Error{Cause::kData, fmt::format("{}: {}", file, fault)};
  for (auto* part : {&split.train, &split.validation, &split.test}) std::ranges::sort(*part);
  return split;
}

}  // namespace

std::vector<std::uint64_t> all_rows(std::uint64_t count) { return numbers_from(0, count); }

std::string no_part_text(const std::string& file, Split split) {
  return fmt::format("{}: data.{}_fraction = 0 leaves no {} part", file, name_of(split), name_of(split));
}

std::uint64_t part_size(std::uint64_t rows, double fraction) {
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(rows) * fraction));
}

std::string percent(double fraction) { return fmt::format("{:.4g}%", 100.0 * fraction); }

Result<RowSplit> split_rows(std::uint64_t rows, const DataConfig& config, const std::string& file,
                            std::string_view row) {
  const std::vector<std::uint64_t> order = shuffled(rows, config.split_seed);
  const auto [validation, test] = sizes_of(rows, config);
  RowSplit split;
  const auto end = std::min(rows, test + validation);
  const auto at = [&](std::uint64_t place) { return order.begin() + static_cast<std::ptrdiff_t>(place); };
  split.test.assign(at(0), at(std::min(rows, test)));
  split.validation.assign(at(std::min(rows, test)), at(end));
  split.train.assign(at(end), order.end());
  return checked(std::move(split), config, file, rows, counted(rows, row));
}

Result<RowSplit> split_groups(const TextColumn& groups, const DataConfig& config, const std::string& file,
                              std::string_view row) {
  // By name, so that the order of the rows has no say in who goes where.
  std::vector<std::uint32_t> by_name(groups.texts.size());
  std::iota(by_name.begin(), by_name.end(), 0u);
  std::ranges::sort(by_name, {}, [&](std::uint32_t group) { return groups.texts[group]; });
  std::vector<std::vector<std::uint64_t>> rows_of(groups.texts.size());
  for (std::size_t i = 0; i < groups.of_row.size(); ++i) rows_of[groups.of_row[i]].push_back(i);

  const auto [validation, test] = sizes_of(groups.of_row.size(), config);
  RowSplit split;
  for (const std::uint64_t place : shuffled(by_name.size(), config.split_seed)) {
    const std::vector<std::uint64_t>& rows = rows_of[by_name[place]];
    std::vector<std::uint64_t>& part = split.test.size() < test               ? split.test
                                       : split.validation.size() < validation ? split.validation
                                                                              : split.train;
    part.insert(part.end(), rows.begin(), rows.end());
  }
  return checked(std::move(split), config, file, groups.texts.size(),
                 fmt::format("{} of {}", counted(groups.texts.size(), "group"), counted(groups.of_row.size(), row)));
}

Result<RowSplit> split_groups(const std::vector<std::string>& group_of_row, const DataConfig& config,
                              const std::string& file, std::string_view row) {
  TextColumn groups;
  for (const std::string& group : group_of_row) groups.add(group);
  return split_groups(groups, config, file, row);
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
    return numbers_from(range.first, range.first + range.count);
  };
  return checked({.train = part(Split::kTrain), .validation = part(Split::kValidation), .test = part(Split::kTest)},
                 config, file, rows, counted(rows, "line"));
}

}  // namespace rubato::data
