#include "data/holdout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/rng.h"
#include "data/row_split.h"

namespace rubato::data {
namespace {

// Its parts for training, validation and test come of one file by fractions.
bool is_split(const DataConfig& data) {
  const bool table = data.kind == "csv" || data.kind == "libsvm";
  return data.kind == "series" || data.kind == "text" || (table && !data.path.empty());
}

}  // namespace

bool holds_out_samples(const Job& job) { return job.evaluation.holdout > 0.0 && !is_split(job.data); }

Job without_holdout(const Job& job) {
  Job read = job;
  if (job.evaluation.holdout > 0.0 && is_split(job.data))
    read.data.validation_fraction = job.evaluation.holdout * (1.0 - job.data.test_fraction);
  read.evaluation.holdout = 0.0;
  return read;
}

Result<HeldOut> hold_out(const Job& job, std::uint64_t samples) {
  const std::uint64_t held = part_size(samples, job.evaluation.holdout);
  if (held >= samples)
    return Error{Cause::kData, fmt::format("evaluation.holdout = {} of {} training samples leaves none to train on",
                                           job.evaluation.holdout, samples)};
  std::vector<std::uint64_t> order = all_rows(samples);
  RandomStream random(stream_key(job.data.split_seed, "holdout"));
  for (std::uint64_t last = samples; last > 1; --last) std::swap(order[last - 1], order[random.below(last)]);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(held);
  HeldOut parts{.train = {end, order.end()}, .held_out = {order.begin(), end}};
  std::ranges::sort(parts.train);
  std::ranges::sort(parts.held_out);
  return parts;
}

Result<HeldOut> hold_out(const Job& job, const Dataset& samples) {
  std::vector<std::string> groups(samples.size());
  for (std::uint64_t id = 0; id < samples.size(); ++id) {
    RUBATO_ASSIGN(groups[id], samples.group_of(id));
    if (groups[id].empty()) return hold_out(job, samples.size());  // they have none
  }
  DataConfig fractions = job.data;
  fractions.validation_fraction = job.evaluation.holdout;
  fractions.test_fraction = 0.0;
  RUBATO_ASSIGN(RowSplit parts, split_groups(groups, fractions, job.data.path));
  return HeldOut{.train = std::move(parts.train), .held_out = std::move(parts.validation)};
}

}  // namespace rubato::data
