#include "worker/burden.h"

#include <limits>
#include <vector>

namespace rubato::worker {

Burden::Burden(const Job& job, std::uint32_t rank, Stragglers stragglers)
    : rank_(rank), stragglers_(std::move(stragglers)) {
  if (rank != 0) return;
  delay_ = static_cast<TimeNs>(job.debug.slow_worker_ms * kMillisecond);
  nonfinite_at_ = job.debug.nonfinite_at;
}

Result<Burden> Burden::open(const Job& job, std::uint32_t rank) {
  RUBATO_ASSIGN(Stragglers stragglers, Stragglers::open(job.worker.stragglers, job.train.seed));
  return Burden(job, rank, std::move(stragglers));
}

void Burden::spoil(SliceGradient& gradient) const {
  const auto floats = gradient.gradient.floats();
  if (gradient.clock != nonfinite_at_ || gradient.slice != 0 || floats.empty()) return;
  std::vector<float> spoilt(floats.begin(), floats.end());
  spoilt.front() = std::numeric_limits<float>::quiet_NaN();
  gradient.gradient = Payload::of_floats(spoilt);
}

}  // namespace rubato::worker
