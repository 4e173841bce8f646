// How long a simulated worker computes, in virtual time. Without a burden a step takes
//
//   step_ms * (step_fixed + (1 - step_fixed) * samples / train.batch)
//
// (the local steps of a clock one after the other), and its burden (worker/burden.h) makes something else of that. Keys
// of [simulation], but for train.batch.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "protocol/messages.h"
#include "worker/burden.h"

namespace rubato::sim {

class StepTimes {
 public:
  // Errors: those of worker::Burden::open.
  [[nodiscard]] static Result<StepTimes> open(const Job& job);

  // Of these nodes of a step.
  [[nodiscard]] TimeNs step(std::uint32_t rank, const protocol::StepGrant& step) const;
  [[nodiscard]] TimeNs evaluation() const { return evaluation_; }

 private:
  StepTimes() = default;

  double full_ = 0.0;  // ns
  double fixed_ = 0.0;
  double batch_ = 1.0;
  bool local_ = false;
  TimeNs evaluation_ = 0;
  std::vector<worker::Burden> burdens_;  // by rank
};

}  // namespace rubato::sim
