// When the threads of a process did what, in a few steps of a job: for a person to look at
// (docs/performance.md, "A timeline of steps"). A job asks for it with train.timeline.
//
// A Timeline has a lane for each thread, and a lane keeps spans. Their memory is set aside when the lane is made: to
// keep a span allocates nothing, and one that finds no room is counted and left out. A span belongs to a step; those of
// steps outside of the window are not kept. Where no timeline is asked for, a lane is a null pointer.
//
// Thread-safety: lanes are made before their threads start, and written when they have ended; in between a lane
// belongs to its thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/job.h"
#include "base/result.h"
#include "base/time.h"

namespace rubato::timeline {

// The steps that are looked at: `count` of them, from clock `first` on.
struct Window {
  Clock first = 0, count = 0;
  [[nodiscard]] bool has(Clock clock) const { return clock >= first && clock - first < count; }
};
// Behind the first steps, in which memory is touched for the first time; in a job of few steps the last ones.
[[nodiscard]] Window window_of(const Job& job);

// A short text, cut where it is longer.
class Label {
 public:
  Label() = default;
  Label(std::string_view text);  // NOLINT(google-explicit-constructor): a literal is one
  Label(const char* text) : Label(std::string_view(text)) {}
  [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 23> text_{};
  std::uint8_t size_ = 0;
};

struct Span {
  static constexpr std::int64_t kNoSlice = -1;

  TimeNs begin = 0, end = 0;
  Clock clock = kNoClock;
  const char* what = "";  // a literal
  Label of{};
  std::int64_t slice = kNoSlice;
  NodeId peer = kSchedulerNode;  // of a message: the other side
  bool applied = false;          // of a message that was received: it made an update
};

class Lane {
 public:
  static constexpr std::size_t kSpansMax = 1 << 16;

  Lane(std::string name, Window window, std::size_t spans_max = kSpansMax);

  // Of the thread's own work, which does not say each time for which step it is.
  void begin_step(Clock clock) { clock_ = clock; }
  [[nodiscard]] Clock clock() const { return clock_; }
  [[nodiscard]] bool recording() const { return window_.has(clock_); }

  void add(const Span& span);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const Span> spans() const { return spans_; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  std::string name_;
  Window window_;
  Clock clock_ = kNoClock;
  std::vector<Span> spans_;
  std::uint64_t left_out_ = 0;
  bool made_room_ = false;  // the steps of warming up have gone
};

// A span of the thread's own work, from here to the end of the scope. `lane` may be null.
class Scope {
 public:
  Scope(Lane* lane, const char* what, std::string_view of = {})
      : lane_(lane != nullptr && lane->recording() ? lane : nullptr), what_(what), of_(of) {
    if (lane_ != nullptr) begin_ = steady_now();
  }
  ~Scope() {
    if (lane_ != nullptr)
      lane_->add({.begin = begin_, .end = steady_now(), .clock = lane_->clock(), .what = what_, .of = of_});
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Lane* lane_;
  const char* what_;
  std::string_view of_;
  TimeNs begin_ = 0;
};

class Timeline {
 public:
  explicit Timeline(Window window) : window_(window) {}

  // Lasts as long as the timeline.
  [[nodiscard]] Lane& add_lane(std::string name);
  // What the slices hold, by id: as in "fc1.weight[0..1024) fc1.bias[0..16)".
  void name_slices(std::vector<std::string> names) { slices_ = std::move(names); }

  // A JSON object a line: what the lines are about, then a span each.
  [[nodiscard]] std::vector<std::string> lines(NodeId node) const;
  // Makes RUN/timeline/NODE.jsonl of them. Errors: kStorage.
  [[nodiscard]] Status write(const std::string& run_dir, NodeId node) const;

 private:
  Window window_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::string> slices_;
};

}  // namespace rubato::timeline
