#include "model/step_recordings.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace rubato::model {
namespace {

// Of one plan: how many are kept, and how many are made at all.
constexpr std::size_t kKeptMax = 4, kMadeMax = 32;

Result<std::unique_ptr<kernels::Recording>> take_down(kernels::Device& device, const std::function<Status()>& enqueue) {
  RUBATO_TRY(device.begin_recording());
  const Status enqueued = enqueue();
  auto calls = device.end_recording();  // whatever became of it
  if (!enqueued.ok()) return enqueued.error();
  return calls;
}

}  // namespace

bool StepRecordings::may_begin() {
  const bool first = !std::exchange(began_, true);
  return !first && device_.records() && given_up_because_.empty();
}

void StepRecordings::give_up(std::string why) {
  if (!given_up_because_.empty()) return;
  given_up_because_ = std::move(why);
  log::debug("steps of {} samples are launched call by call: {}", samples_, given_up_because_);
}

const RecordedStep* StepRecordings::find(std::span<const std::span<float>> gradients, bool lengths) const {
  const auto found = std::ranges::find_if(recorded_, [&](const RecordedStep& recorded) {
    return recorded.lengths == lengths &&
           std::ranges::equal(recorded.gradients, gradients,
                              [](const auto& a, const auto& b) { return a.data() == b.data(); });
  });
  return found == recorded_.end() ? nullptr : &*found;
}

const RecordedStep* StepRecordings::record(std::span<const std::span<float>> gradients, bool lengths,
                                           const std::function<Status()>& enqueue,
                                           const std::vector<SentGradients>& sent) {
  const bool pinned = std::ranges::all_of(gradients, [&](const std::span<float>& gradient) {
    return gradient.empty() || device_.is_pinned(std::as_bytes(gradient));
  });
  if (!pinned) {
    give_up("gradients do not lie in pinned memory");
    return nullptr;
  }
  auto calls = take_down(device_, enqueue);
  if (!calls.ok()) {
    give_up(calls.error().message);
    return nullptr;
  }
  if (++made_ == kMadeMax) give_up("gradients lie elsewhere in each step");
  if (recorded_.size() == kKeptMax) recorded_.erase(recorded_.begin());
  recorded_.push_back({{gradients.begin(), gradients.end()}, lengths, sent, std::move(calls).value()});
  return &recorded_.back();
}

}  // namespace rubato::model
