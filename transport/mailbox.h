// What other threads have for a loop: they put values in, and the loop takes them in the order in which they came. It
// is woken once for all that are there, and once it is warm nothing is allocated for a value, whoever puts it in.
//
// Invariant: whatever was put in is taken, as long as the loop runs.
// Thread-safety: put() from any thread; `take` is called on the loop's. A mailbox outlives the loop's last run.
#pragma once

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

  Mailbox(Loop& loop, std::function<void(T)> take) : take_(std::move(take)), look_(loop, [this] { take_all(); }) {}

  void put(T value) {
    RUBATO_CHECK(values_.try_push(std::move(value)), "more than {} values wait for a loop", kValuesMax);
    look_.ring();
  }

 private:
  void take_all() {
    while (std::optional<T> value = values_.try_pop()) take_(std::move(*value));
  }

  const std::function<void(T)> take_;
  BoundedQueue<T> values_{kValuesMax};
  Wakeup look_;
};

}  // namespace rubato::transport
