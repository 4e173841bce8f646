// Samples without a label (data.ignored_labels): which labels those are in the files, and a training part without them.
//
// Thread-safety: that of a data set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::data {

[[nodiscard]] inline bool is_ignored(const DataConfig& config, std::int64_t label) {
  return std::ranges::count(config.ignored_labels, label) > 0;
}

// Whether any of a sample's labels is one.
[[nodiscard]] inline bool has_label(std::span<const std::int32_t> labels) {
  return std::ranges::any_of(labels, [](std::int32_t label) { return label != kNoLabel; });
}

// Those samples of `whole`, in its order, that have a label, or none of which has labels at all: batches are made of
// what there is something to learn of, and their mean is one over labelled samples. Errors: kData: none is left;
// `part` is what the message calls them.
[[nodiscard]] Result<std::shared_ptr<const Dataset>> labelled_samples(std::shared_ptr<const Dataset> whole,
                                                                      const char* part);

}  // namespace rubato::data
