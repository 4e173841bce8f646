#include "data/holdout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "base/counted.h"
#include "base/rng.h"
#include "data/row_split.h"

namespace rubato::data {
namespace {

// Its parts for training, validation and test come of one file by fractions.
bool is_split(const DataConfig& data) {
  const bool table = data.kind == "csv" || data.kind == "libsvm";
  return data.kind == "series" || data.kind == "text" || (table && !data.path.empty());
}

// So few that chance decides what they say.
struct Few {
  std::string samples, error;  // "1 sample of 3 classes"; how far off their figures may be
  std::uint64_t enough = 0;    // this would be; 0: they are
};

Few few_of(const Job& job, std::uint64_t samples) {
  const bool numbers = job.model.loss == "mse" || job.model.name == "quadratic", text = job.data.kind == "text";
  const std::uint64_t answers = text ? samples * static_cast<std::uint64_t>(job.data.window) : samples;
  const std::uint64_t classes = numbers || text ? 0 : static_cast<std::uint64_t>(job.data.classes);
  const std::uint64_t enough = std::max(kEnoughToDecideBy, classes);
  if (answers >= enough) return {};
  return {.samples = counted(samples, "sample") + (answers < classes ? fmt::format(" of {} classes", classes) : ""),
          .error = numbers ? "the error of a mean of n losses is their deviation / sqrt(n)"
                           : fmt::format("the standard error of an accuracy p of n samples is sqrt(p (1 - p) / n), up "
                                         "to {:.2f} here",
                                         0.5 / std::sqrt(static_cast<double>(std::max<std::uint64_t>(answers, 1)))),
          .enough = enough};
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
  if (held == 0)
    return Error{Cause::kData, fmt::format("evaluation.holdout = {}, {} of {}, is none: hold out enough to decide by, "
                                           "0.1 for instance",
                                           job.evaluation.holdout, percent(job.evaluation.holdout),
                                           counted(samples, "training sample"))};
  if (held >= samples)
    return Error{Cause::kData,
                 fmt::format("evaluation.holdout = {}, {} of {}, leaves none to train on", job.evaluation.holdout,
                             percent(job.evaluation.holdout), counted(samples, "training sample"))};
  std::vector<std::uint64_t> order = all_rows(samples);
  RandomStream random(stream_key(job.data.split_seed, "holdout"));
  for (std::uint64_t last = samples; last > 1; --last) std::swap(order[last - 1], order[random.below(last)]);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(held);
  HeldOut parts{.train = {end, order.end()}, .held_out = {order.begin(), end}};
  std::ranges::sort(parts.train);
  std::ranges::sort(parts.held_out);
  return parts;
}

std::string holdout_warning(const Job& job, std::uint64_t held_out) {
  const Few few = few_of(job, held_out);
  if (job.evaluation.holdout == 0.0 || few.enough == 0) return {};
  return fmt::format("evaluation.holdout = {} holds out {}: few to decide by; {}; hold out {} or more",
                     job.evaluation.holdout, few.samples, few.error, few.enough);
}

std::string evaluated_warning(const Job& job, std::uint64_t evaluated) {
  const DataConfig& data = job.data;
  const Few few = few_of(job, evaluated);
  if (few.enough == 0 || !(is_split(data) || data.kind == "folder")) return {};
  const Split part = evaluated_split(job);
  const bool test = part == Split::kTest;
  const std::string what = is_split(data)
                               ? fmt::format("data.{}_fraction = {} leaves {}", name_of(part),
                                             test ? data.test_fraction : data.validation_fraction, few.samples)
                               : fmt::format("the {} part has {}", name_of(part), few.samples);
  return fmt::format("{}: few to judge by; {}; {} or more say more", what, few.error, few.enough);
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
  RUBATO_ASSIGN(RowSplit parts, split_groups(groups, fractions, job.data.path, "image"));
  return HeldOut{.train = std::move(parts.train), .held_out = std::move(parts.validation)};
}

}  // namespace rubato::data
