#include "scheduler/policy.h"

#include <algorithm>

#include "scheduler/dssp_policy.h"

namespace rubato::scheduler {
namespace {

// Bulk-synchronous parallel (Valiant, "A bridging model for parallel computation", CACM 1990): everybody
// takes step c on the weights of clock c.
class BspPolicy final : public Policy {
 public:
  Clock highest_grant(std::uint32_t /*worker*/, Clock own, Clock min) const override {
    return own == min ? own : own - 1;
  }
  std::int64_t bound(std::uint32_t /*worker*/, Clock /*step*/, Clock /*min*/) const override { return 0; }
};

// Stale-synchronous parallel (Ho et al., "More effective distributed ML via a stale synchronous
// parallel parameter server", NIPS 2013): step c only while c - min <= s.
class SspPolicy final : public Policy {
 public:
  explicit SspPolicy(std::int64_t bound) : bound_(bound) {}
  Clock highest_grant(std::uint32_t /*worker*/, Clock own, Clock min) const override {
    return std::min(min + bound_, own + kGrantAhead);
  }
  std::int64_t bound(std::uint32_t /*worker*/, Clock /*step*/, Clock /*min*/) const override { return bound_; }

 private:
  std::int64_t bound_;
};

// Asynchronous (Recht et al., "Hogwild!", NIPS 2011, between machines): no bound.
class AspPolicy final : public Policy {
 public:
  Clock highest_grant(std::uint32_t /*worker*/, Clock own, Clock /*min*/) const override { return own + kGrantAhead; }
  std::int64_t bound(std::uint32_t /*worker*/, Clock /*step*/, Clock /*min*/) const override {
    return Mode::kUnbounded;
  }
};

}  // namespace

std::unique_ptr<Policy> make_policy(const Mode& mode) {
  switch (mode.kind) {
    case Mode::Kind::kBsp:
    case Mode::Kind::kBackup:  // a clock that is complete moves everybody on (scheduler/commits.h)
      return std::make_unique<BspPolicy>();
    case Mode::Kind::kSsp:
      return std::make_unique<SspPolicy>(mode.bound);
    case Mode::Kind::kDssp:
      return std::make_unique<DsspPolicy>(mode.least, mode.bound);
    case Mode::Kind::kSoftsync:
    case Mode::Kind::kAsp:
      break;
  }
  return std::make_unique<AspPolicy>();
}

}  // namespace rubato::scheduler
