// A model's worth of slices in slots of a shard's pool, with a gradient for each that lies in memory of its own, so
// that one pass over all slices finds each of them as cold as a model of that size leaves it.
//
// Thread-safety: one owner.
#pragma once

#include <bit>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"
#include "kernels/sum_term.h"
#include "server/slot.h"

namespace rubato::bench {

class ColdModel {
 public:
  // `planes`: of state, beside the weights. `terms`: gradients a slice. `average`: of the weights, as well.
  ColdModel(std::size_t slices, std::size_t elements, std::size_t planes, std::size_t terms, bool average = false)
      : elements_(elements), gradients_(slices * terms) {
    pool_ = server::SlotPool::create({elements, planes, false, average}, {slices, 0, 0, 0}).value();
    for (std::size_t slice = 0; slice < slices; ++slice) current_.push_back(pool_->take());
    RandomStream random(stream_key(1, "cold_model"));
    std::vector<float> values(elements);
    for (float& value : values) value = static_cast<float>(0.01 * random.next_normal());
    for (std::vector<float>& gradient : gradients_) gradient = values;
  }

  // Seconds of one pass, of this thread's CPU time: alone on a core the same as by the clock, and on a busy machine it
  // still says something. `update(current, gradients, next, traffic)` for each slice; in place `next` is `current`,
  // else the slot that the slice before has left.
  template <typename Update>
  double seconds_of(bool in_place, Update&& update) {
    const std::size_t terms = gradients_.size() / current_.size();
    std::vector<kernels::SumTerm> sum(terms);
    const TimeNs began = cpu_now();
    for (std::size_t slice = 0; slice < current_.size(); ++slice) {
      for (std::size_t term = 0; term < terms; ++term)
        sum[term] = {gradients_[slice * terms + term], static_cast<std::uint32_t>(std::countr_one(term))};
      server::SlotRef next = in_place ? current_[slice] : pool_->take();
      const std::size_t traffic = in_place ? 0 : pool_->count_update(*current_[slice], *next);
      update(std::as_const(*current_[slice]).view(), std::span<const kernels::SumTerm>(sum), next->view(), traffic);
      current_[slice] = std::move(next);
    }
    return seconds(cpu_now() - began);
  }

  // Of one of a slice's gradients, over all slices.
  [[nodiscard]] double gigabytes() const {
    return static_cast<double>(current_.size() * elements_ * sizeof(float)) / 1e9;
  }

 private:
  static TimeNs cpu_now() {
    std::timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
  }

  std::size_t elements_;
  std::shared_ptr<server::SlotPool> pool_;
  std::vector<server::SlotRef> current_;
  std::vector<std::vector<float>> gradients_;
};

}  // namespace rubato::bench
