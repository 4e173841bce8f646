// Some of a data set's samples as a data set of their own: those trained on where others are held out
// (data/holdout.h), those that have a label (data/labelled_samples.h).
//
// Thread-safety: may be read from several threads, as what it is a view of.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace rubato::data {

// In this order, under numbers of their own. What is made of them at random, and the fingerprint, follow from the
// numbers that they have in `all`.
[[nodiscard]] std::unique_ptr<Dataset> view_of(std::shared_ptr<const Dataset> all, std::vector<std::uint64_t> ids);

}  // namespace rubato::data
