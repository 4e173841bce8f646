// What other threads have for a loop: they put values in, and the loop takes them in the order in which they came. It
// is woken once for all that are there, and once it is warm nothing is allocated for a value.
//
// Invariant: whatever was put in is taken, as long as the loop runs.
// Thread-safety: put() from any thread; `take` is called on the loop's. A mailbox outlives the loop's last run.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "base/bounded_queue.h"
#include "transport/loop.h"

namespace rubato::transport {

template <typename T>
class Mailbox {
 public:
  // Far more than a loop lets come together before it looks.
  static constexpr std::size_t kValuesMax = 1 << 24;

  Mailbox(Loop& loop, std::function<void(T)> take) : loop_(loop), take_(std::move(take)) {}

  void put(T value) {
    RUBATO_CHECK(values_.try_push(std::move(value)), "more than {} values wait for a loop", kValuesMax);
    if (!woken_.exchange(true)) loop_.post([this] { take_all(); });
  }

 private:
  void take_all() {
    woken_ = false;  // before it looks: what comes later wakes it again
    while (std::optional<T> value = values_.try_pop()) take_(std::move(*value));
  }

  Loop& loop_;
  const std::function<void(T)> take_;
  BoundedQueue<T> values_{kValuesMax};
  std::atomic<bool> woken_ = false;  // the loop is about to look
};

}  // namespace rubato::transport
