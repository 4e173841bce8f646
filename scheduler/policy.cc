#include "scheduler/policy.h"

#include <algorithm>

namespace rubato::scheduler {
namespace {

// A worker has at most the step after its current one in hand: enough to hide the way from tick to
// grant, and little enough that a change of mode takes hold soon (docs/protocol.md, rule 16).
constexpr Clock kGrantAhead = 1;

// Bulk-synchronous parallel (Valiant 1990): everybody takes step c on the weights of clock c.
class BspPolicy final : public Policy {
 public:
  Clock highest_grant(Clock own, Clock min) const override { return own == min ? own : own - 1; }
  std::int64_t bound() const override { return 0; }
  Mode::Apply apply() const override { return Mode::Apply::kAggregate; }
};

// Stale-synchronous parallel (Ho et al., "More effective distributed ML via a stale synchronous
// parallel parameter server", NIPS 2013): step c only while c - min <= s.
class SspPolicy final : public Policy {
 public:
  explicit SspPolicy(std::int64_t bound) : bound_(bound) {}
  Clock highest_grant(Clock own, Clock min) const override { return std::min(min + bound_, own + kGrantAhead); }
  std::int64_t bound() const override { return bound_; }
  Mode::Apply apply() const override { return Mode::Apply::kOnArrival; }

 private:
  std::int64_t bound_;
};

// Asynchronous (Recht et al., "Hogwild!", NIPS 2011, between machines): no bound.
class AspPolicy final : public Policy {
 public:
  Clock highest_grant(Clock own, Clock /*min*/) const override { return own + kGrantAhead; }
  std::int64_t bound() const override { return Mode::kUnbounded; }
  Mode::Apply apply() const override { return Mode::Apply::kOnArrival; }
};

}  // namespace

std::unique_ptr<Policy> make_policy(const Mode& mode) {
  if (mode.apply == Mode::Apply::kAggregate) return std::make_unique<BspPolicy>();
  if (mode.bound == Mode::kUnbounded) return std::make_unique<AspPolicy>();
  return std::make_unique<SspPolicy>(mode.bound);
}

}  // namespace rubato::scheduler
