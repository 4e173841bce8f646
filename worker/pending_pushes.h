// The pushes of one step that are not acknowledged yet. Room that was needed once is kept: in a step like those before
// it nothing is allocated.
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/time.h"
#include "protocol/messages.h"

namespace rubato::worker {

// When a request without an answer was made, and when it is made again.
struct RequestTimer {
  TimeNs sent = 0, wait = 0, since = 0;
};

class PendingPushes {
 public:
  struct Pending {
    protocol::Push push;
    RequestTimer timer;
  };

  // Of so many slices. There are no pushes then.
  void reset(std::size_t slices) {
    by_slice_.resize(slices);
    for (std::vector<Pending>& of_slice : by_slice_) of_slice.clear();
    count_ = 0;
  }
  void add(protocol::Push push, RequestTimer timer) {
    std::vector<Pending>& of_slice = by_slice_[push.slice];
    of_slice.push_back({std::move(push), timer});
    ++count_;
  }
  // Nothing, if there is none of this slice and node.
  [[nodiscard]] std::optional<protocol::Push> take(SliceId slice, protocol::LeafNode node) {
    if (slice >= by_slice_.size()) return std::nullopt;
    std::vector<Pending>& of_slice = by_slice_[slice];
    const auto found = std::ranges::find(of_slice, node, [](const Pending& pending) { return pending.push.node; });
    if (found == of_slice.end()) return std::nullopt;
    std::optional<protocol::Push> push(std::move(found->push));
    of_slice.erase(found);
    --count_;
    return push;
  }

  [[nodiscard]] bool empty() const { return count_ == 0; }
  // The lowest slice of which there is one.
  [[nodiscard]] SliceId first_slice() const {
    const auto found = std::ranges::find_if(by_slice_, [](const auto& of_slice) { return !of_slice.empty(); });
    return static_cast<SliceId>(found - by_slice_.begin());
  }
  // In the order of slices.
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (std::vector<Pending>& of_slice : by_slice_)
      for (Pending& pending : of_slice) visit(pending);
  }

 private:
  std::vector<std::vector<Pending>> by_slice_;
  std::size_t count_ = 0;
};

}  // namespace rubato::worker
