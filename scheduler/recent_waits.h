// Who waited for whom lately: the last two to four seconds. A wait that is over within one step is seen here;
// asking at some moment whether a worker waits would mostly miss it.
//
// Thread-safety: one owner.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/time.h"

namespace rubato::scheduler {

class RecentWaits {
 public:
  static constexpr TimeNs kWindow = 2 * kSecond;

  struct View {
    double share = 0.0;                    // of the time, in which the worker waited for others
    std::optional<std::uint32_t> culprit;  // the one it waited for the longest
  };

  // `waiting` had nothing to compute from `from` to `to`, when `culprit` got there. Times never go back.
  void add(std::uint32_t waiting, std::uint32_t culprit, TimeNs from, TimeNs to) {
    if (waiting == culprit || to <= from) return;
    turn(to);
    now_[waiting][culprit] += std::min(to - from, to - std::max(since_ - kWindow, TimeNs{0}));
  }

  [[nodiscard]] View of(std::uint32_t waiting, TimeNs now) const {
    const TimeNs age = now - since_;
    View view;
    if (age >= 2 * kWindow) return view;
    std::map<std::uint32_t, TimeNs> times;
    if (age < kWindow) collect(before_, waiting, times);
    collect(now_, waiting, times);
    TimeNs total = 0, most = 0;
    for (const auto& [culprit, time] : times) {
      total += time;
      if (time > most) most = time, view.culprit = culprit;
    }
    const TimeNs span = age < kWindow ? age + kWindow : age;
    view.share = std::min(static_cast<double>(total) / static_cast<double>(span), 1.0);
    return view;
  }

 private:
  using Window = std::map<std::uint32_t, std::map<std::uint32_t, TimeNs>>;  // by who waited, and for whom

  static void collect(const Window& window, std::uint32_t waiting, std::map<std::uint32_t, TimeNs>& times) {
    if (const auto found = window.find(waiting); found != window.end())
      for (const auto& [culprit, time] : found->second) times[culprit] += time;
  }
  void turn(TimeNs now) {
    if (now < since_ + kWindow) return;
    before_ = now < since_ + 2 * kWindow ? std::move(now_) : Window{};
    now_.clear();
    since_ = now - (now - since_) % kWindow;
  }

  Window before_, now_;
  TimeNs since_ = 0;
};

}  // namespace rubato::scheduler
