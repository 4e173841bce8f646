#include "worker/class_weights.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/no_label.h"

namespace rubato::worker {
namespace {

Result<std::vector<double>> count_labels(const data::Dataset& train, std::int64_t classes) {
  std::vector<double> counts(static_cast<std::size_t>(classes), 0.0);
  std::vector<std::int32_t> labels;
  for (std::uint64_t id = 0; id < train.size(); ++id) {
    labels.clear();
    train.append_labels(id, labels);
    for (const std::int32_t label : labels) {
      if (label == kNoLabel) continue;
      if (label < 0 || label >= classes)
        return Error{Cause::kData,
                     fmt::format("label {} of training sample {}: expected one from 0 to {} (data.classes "
                                 "= {})",
                                 label, id, classes - 1, classes)};
      ++counts[static_cast<std::size_t>(label)];
    }
  }
  return counts;
}

}  // namespace

Result<std::vector<double>> weights_of_classes(const Job& job, const data::Dataset& train) {
  const bool balanced = job.model.class_weighting == "balanced";
  std::vector<double> weights = job.model.class_weights;
  if (weights.empty() && !balanced) return weights;
  RUBATO_ASSIGN(const std::vector<double> counts, count_labels(train, job.data.classes));
  double labels = 0.0, weighed = 0.0;
  for (const double count : counts) labels += count;
  if (labels == 0.0)
    return Error{Cause::kData,
                 "model.class_weights and model.class_weighting weigh labels, and the training part has "
                 "none: leave them out"};
  if (balanced) {
    // A class that never comes has no weight; nobody asks for it.
    const auto classes = static_cast<double>(counts.size());
    weights.clear();
    for (const double count : counts) weights.push_back(count > 0.0 ? labels / (classes * count) : 0.0);
  }
  for (std::size_t c = 0; c < counts.size(); ++c) weighed += counts[c] * weights[c];
  if (weighed == 0.0)
    return Error{
        Cause::kData,
        "model.class_weights: every label of the training part is of a class whose weight is 0: nothing would be "
        "learned"};
  for (double& weight : weights) weight *= labels / weighed;
  return weights;
}

}  // namespace rubato::worker
