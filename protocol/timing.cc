#include "protocol/core.h"

namespace rubato::protocol {

Timing timing_of(const Job& job) {
  const auto ns = [](double s) { return static_cast<TimeNs>(s * 1e9); };
  Timing timing;
  timing.lost_after = ns(job.cluster.lost_after_s);
  timing.heartbeat = timing.lost_after / 4;
  timing.resend_after = timing.lost_after;
  timing.start_timeout = ns(job.cluster.start_timeout_s);
  timing.evict_after = ns(job.consistency.evict_after_s);
  timing.evaluation = ns(job.evaluation.timeout_s);
  return timing;
}

}  // namespace rubato::protocol
