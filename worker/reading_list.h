// What a worker computes in a step and probably in the next one, micro-batch by micro-batch, in that order: the loader
// is told of some of them ahead of time, of no more than it keeps and of none that had its turn, so that what is read
// is never pushed out before it is wanted.
//
// Thread-safety: belongs to the compute thread.
#pragma once

#include <cstdint>
#include <vector>

#include "data/loader.h"
#include "worker/compute_port.h"

namespace rubato::worker {

class ReadingList {
 public:
  // `micro_max`: micro_batch_max() of the job.
  ReadingList(data::Loader& loader, std::uint64_t micro_max) : loader_(loader), micro_max_(micro_max) {}

  // The next batch is guessed to be cut like this one, with the same nodes.
  void begin(const ComputeStep& order);
  // The first micro-batch that was not taken has been: those behind it are to be read meanwhile, as many as the step
  // has, but no more than the loader keeps.
  void taken();

 private:
  void add(const protocol::StepGrant& step, const protocol::BatchRange& batch);

  data::Loader& loader_;
  const std::uint64_t micro_max_;
  std::vector<data::SampleRange> ranges_;
  std::size_t taken_ = 0, ahead_ = 0;
};

}  // namespace rubato::worker
