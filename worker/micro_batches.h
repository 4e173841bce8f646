// How the samples of a push are cut into micro-batches (worker.micro_batch), where they are too many to be computed at
// once. Their gradients are added up in the worker, in order, and leave as one push: servers do not know of it.
//
// Thread-safety: pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/job.h"
#include "base/mode.h"
#include "base/partition.h"

namespace rubato::worker {

// Samples of a micro-batch, at most; 0: nothing is cut. In bsp leaves are (train.micro_batches), along a tree that all
// agree on.
[[nodiscard]] inline std::uint64_t micro_batch_max(const Job& job) {
  const bool aggregate = parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kAggregate;
  return aggregate ? 0 : static_cast<std::uint64_t>(job.worker.micro_batch);
}

// At least one. They differ by one sample at most.
[[nodiscard]] inline std::uint64_t micro_batch_count(std::uint64_t samples, std::uint64_t max) {
  return max == 0 ? 1 : std::max<std::uint64_t>((samples + max - 1) / max, 1);
}

// Below micro_batch_count.
[[nodiscard]] inline Part micro_batch(Part samples, std::uint64_t max, std::uint64_t index) {
  return leaf_of_batch(samples, micro_batch_count(samples.count, max), index);
}

}  // namespace rubato::worker
