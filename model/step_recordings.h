// What a step plan has recorded of its training steps, where its device records calls (kernels::Recording): a recording
// for each place that gradients go to, four at most, since a worker's arenas take turns.
//
// Not every step is one. The first is not, since libraries load what they need when it is first used; and whoever finds
// that steps cannot be recorded says why, once (give_up), and from then on all are launched call by call. That is no
// error of a step.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/backend.h"

namespace rubato::model {

// Gradients of a stage's parameters that are on their way to the host, and there once the mark has passed.
struct SentGradients {
  std::size_t stage = 0;
  kernels::CopyMark mark = 0;
};

struct RecordedStep {
  std::vector<std::span<float>> gradients;  // of each parameter: where they go
  bool lengths = false;                     // whether samples have some
  std::vector<SentGradients> sent;
  std::unique_ptr<kernels::Recording> calls;
};

class StepRecordings {
 public:
  StepRecordings(kernels::Device& device, std::int64_t samples) : device_(device), samples_(samples) {}

  // Whether the step that begins may be recorded or replayed.
  [[nodiscard]] bool may_begin();
  // Whether the next step that begins is the first, which never is.
  [[nodiscard]] bool none_began() const { return !began_; }
  // None is made any more, and those that there are rest.
  void give_up(std::string why);
  // Empty: nothing speaks against them, as far as is known.
  [[nodiscard]] std::string_view given_up_because() const { return given_up_because_; }

  // Null: there is none. What it points to is good until one is recorded.
  [[nodiscard]] const RecordedStep* find(std::span<const std::span<float>> gradients, bool lengths) const;
  // Of what `enqueue` enqueues, which lists in `sent` what it sends; nothing of it is done before it is replayed. Null:
  // it was given up, and nothing is recorded or done.
  const RecordedStep* record(std::span<const std::span<float>> gradients, bool lengths,
                             const std::function<Status()>& enqueue, const std::vector<SentGradients>& sent);

 private:
  kernels::Device& device_;
  const std::int64_t samples_;          // of a step, for people
  std::vector<RecordedStep> recorded_;  // the oldest first
  std::size_t made_ = 0;                // those that are gone too
  bool began_ = false;
  std::string given_up_because_;
};

}  // namespace rubato::model
