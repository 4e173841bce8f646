// Other rules for a running job: another mode, with its bound, another learning rate, or both. One grammar for
// what people type behind `scripts/rubato set`, what the scheduler takes over HTTP, and the job key
// simulation.changes:
//
//   mode=ssp:8
//   mode=ssp:8 rate=0.01
//   set mode=ssp:8 rate=0.01 at 3s       simulation.changes: at a virtual time
//
// A rate replaces optimizer.rate, the base that optimizer.schedule scales. When a change takes effect:
// docs/protocol.md, rule 16. Which modes a job may change between, and why no others:
// docs/decisions/modes-change-within-a-family.md.
//
// Thread-safety: plain values; pure functions.
#pragma once

#include <optional>
#include <string>

#include "base/mode.h"
#include "base/result.h"
#include "base/time.h"

namespace rubato {

struct RuleChange {
  std::optional<Mode> mode;
  std::optional<double> rate;
  friend bool operator==(const RuleChange&, const RuleChange&) = default;
};

// Of a simulated job.
struct TimedRuleChange {
  RuleChange change;
  TimeNs at = 0;
  friend bool operator==(const TimedRuleChange&, const TimedRuleChange&) = default;
};

// Errors: kUsage, with what is allowed. At least one of the two is asked for.
[[nodiscard]] Result<RuleChange> parse_rule_change(const std::string& text);
[[nodiscard]] Result<TimedRuleChange> parse_timed_rule_change(const std::string& text);

// Whether a job in one mode may go on in the other. Errors: kRefused, with the reason and what to do instead.
[[nodiscard]] Status check_mode_change(const Mode& from, const Mode& to);

// "ssp:8 at rate 0.01"
[[nodiscard]] std::string rules_text(const Mode& mode, double rate);

}  // namespace rubato
