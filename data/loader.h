// Batches for a training loop, read ahead.
//
//   loader.hint(range_after_this_one);
//   RUBATO_TRY(loader.gather(range, batch));
//
// A hint starts gathering a range on the loader's own thread; gather then only swaps buffers. Hints are
// guesses: a range that was never hinted, or whose hint was pushed out, is gathered on the spot, and a
// hint that was wrong costs time alone. What comes out depends on the range only.
//
// Bounded: `depth` ranges are under way or ready at most; one hint more pushes out the oldest.
// Thread-safety: the loader belongs to one thread (and shares with its own no more than two queues and
// the immutable data set, which must outlive it).
#pragma once

#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "base/result.h"
#include "data/dataset.h"
#include "data/permutation.h"

namespace rubato::data {

// Positions [first, first + count) of the order of an epoch.
struct SampleRange {
  std::uint64_t epoch = 0, first = 0, count = 0;
  friend bool operator==(const SampleRange&, const SampleRange&) = default;
};

class Loader {
 public:
  static constexpr std::size_t kDepth = 4;
  // `seed` is the job's; it does nothing in order.
  Loader(const Dataset& dataset, EpochOrder::Kind order, std::uint64_t seed, std::size_t depth = kDepth);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Ranges that are no ranges of this data set are left for gather to refuse.
  void hint(const SampleRange& range);
  // Errors: kMalformed, if the range is not within the data set (it may have come over the network); the data set's.
  [[nodiscard]] Status gather(const SampleRange& range, BatchBuffer& batch);

  // The range that was hinted first of those that were not taken, if it has been read. Never waits. Whoever takes it
  // and is asked for another one has taken it in vain.
  [[nodiscard]] std::optional<SampleRange> take_ahead(BatchBuffer& batch);

  // Whose samples these are.
  [[nodiscard]] const Dataset& dataset() const { return dataset_; }
  // Of the ranges gathered so far, how many had been read ahead.
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  struct Work {
    SampleRange range;
    BatchBuffer batch;
    Status gathered;
  };

  [[nodiscard]] bool inside(const SampleRange& range) const;
  void read_ahead(EpochOrder order);
  Work take_oldest();  // waits, if it is just being gathered

  const Dataset& dataset_;
  const std::size_t depth_;
  EpochOrder order_;
  std::vector<SampleRange> under_way_;  // hinted and not taken, oldest first: the order of ready_
  std::vector<BatchBuffer> spare_;
  std::uint64_t hits_ = 0;
  BoundedQueue<Work> wanted_, ready_;
  std::thread reader_;
};

}  // namespace rubato::data
