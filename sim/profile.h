// Where the real time of a simulation goes. Activities are exclusive: while one is inside another, only the
// inner one is counted, and what is in none of them is kRest: the cores, the network and the bookkeeping.
//
// Thread-safety: belongs to the thread of its SimJob.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace rubato::sim {

class Profile {
 public:
  enum class Activity : std::uint8_t {
    kGradients,   // forward and backward of workers, with gathering their batches
    kEvaluation,  // of snapshots, with writing the final weights
    kApplying,    // calls into shards that bring a push: update rules, aggregates, looking for what is not finite
    kCopying,     // weights into the place where a step reads them
    kRest
  };
  static constexpr std::size_t kActivities = 5;

  Profile() : since_(steady_now()) {}

  // Counts for an activity while it lives. Without a profile it does nothing.
  class Scope {
   public:
    Scope(Profile* profile, Activity activity) : profile_(profile) {
      if (profile_ != nullptr) outer_ = profile_->change_to(activity);
    }
    ~Scope() {
      if (profile_ != nullptr) profile_->change_to(outer_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Profile* profile_;
    Activity outer_ = Activity::kRest;
  };

  // Up to the last change of activity.
  [[nodiscard]] TimeNs spent(Activity activity) const { return spent_[static_cast<std::size_t>(activity)]; }
  [[nodiscard]] TimeNs total() const {
    TimeNs sum = 0;
    for (const TimeNs time : spent_) sum += time;
    return sum;
  }
  // What was begun counts up to now.
  void close() { change_to(Activity::kRest); }

 private:
  Activity change_to(Activity activity) {
    const TimeNs now = steady_now();
    spent_[static_cast<std::size_t>(current_)] += now - since_;
    since_ = now;
    const Activity before = current_;
    current_ = activity;
    return before;
  }

  std::array<TimeNs, kActivities> spent_{};
  Activity current_ = Activity::kRest;
  TimeNs since_;
};

}  // namespace rubato::sim
