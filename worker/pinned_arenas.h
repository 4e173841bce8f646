// What a device copies weights from and gradients to: arenas that it has pinned, so that its copies are beside what it
// computes (kernels/backend.h). Whole pages are pinned and none twice: an arena that is to be pinned begins at a page
// and ends behind one, whatever lies beside it in the same memory.
//
// A device that cannot pin one says so, which is logged, and copies are waited for from then on.
//
// Thread-safety: belongs to the thread of its device; outlived by that and by the arenas' memory.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "base/log.h"
#include "kernels/backend.h"
#include "worker/arena.h"

namespace rubato::worker {

class PinnedArenas {
 public:
  // Null: nothing is pinned.
  explicit PinnedArenas(kernels::Device* device) : device_(device) {}

  // How an arena has to lie to be pinned.
  [[nodiscard]] Arena::Place place() const {
    return device_ != nullptr && device_->pins_memory() ? Arena::Place::kWholePages : Arena::Place::kAnywhere;
  }
  void pin(Arena& arena) {
    if (place() != Arena::Place::kWholePages || failed_) return;
    Result<kernels::Pinned> pinned = device_->pin(arena.whole_pages());
    failed_ = !pinned.ok();
    if (failed_)
      log::warn("the GPU does not copy weights and gradients while it computes: {}", pinned.error().message);
    else
      pins_.push_back(std::move(pinned).value());
  }
  [[nodiscard]] std::size_t pinned() const { return pins_.size(); }

 private:
  kernels::Device* device_;
  std::vector<kernels::Pinned> pins_;
  bool failed_ = false;
};

}  // namespace rubato::worker
