// How long steps take, beside what they usually take: the job key worker.stragglers, for simulated workers
// and for real ones. In the formulas F is what the usual time is multiplied by, U is uniform in (0, 1] and Z
// standard normal, drawn anew for each step of each worker.
//
//   none              F = 1
//   constant:C        F = C, always
//   uniform:A..B      F uniform in [A, B)
//   lognormal:SIGMA   F = exp(SIGMA Z): median 1, mean exp(SIGMA^2 / 2)
//   pareto:ALPHA      F = U^(-1 / ALPHA): at least 1; mean ALPHA / (ALPHA - 1) where ALPHA > 1
//   exponential:MEAN  F = 1 - MEAN ln U: at least 1, mean 1 + MEAN
//   persistent:Cx     F = C for worker 0; persistent:Cx@K for workers 0 to K - 1; 1 for the others
//   pauses:P,S        F = 1 + S with probability P, otherwise 1
//   trace:FILE        the times in the file, whatever is usual
//
// Several joined by " + " multiply: "persistent:4x + lognormal:0.3". A trace stands alone.
//
// A trace is text: lines `worker,step_ms`, both numbers, `#` before a comment. A worker's steps take the
// times of its lines in order, and then from the first again. Worker r takes those of the (r mod n)-th of
// the n workers in the file, in order of their numbers.
//
// A step's draw is a function of seed, worker and clock alone (base/rng.h): the same in every mode, in the
// simulator and in real workers. F is cut off at 1e6.
//
// Thread-safety: immutable once open; copies share the trace.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace rubato {

class Stragglers {
 public:
  // Nobody straggles.
  Stragglers() = default;

  // Errors: those of check(); kData for a trace that cannot be read.
  [[nodiscard]] static Result<Stragglers> open(const std::string& text, std::uint64_t seed);
  // The syntax alone. Errors: kUsage, with what is allowed.
  [[nodiscard]] static Status check(const std::string& text);

  // How many workers the text makes slower by name, which a job may not have: the K of persistent:Cx@K. Else 0.
  [[nodiscard]] static std::int64_t workers_named(const std::string& text);

  // Of a step that usually takes so long.
  [[nodiscard]] TimeNs step_time(TimeNs usual, std::uint32_t worker, Clock clock) const;
  // F. RUBATO_CHECKs that there is no trace.
  [[nodiscard]] double factor(std::uint32_t worker, Clock clock) const;

  // Whether every step takes its usual time.
  [[nodiscard]] bool none() const { return terms_.empty() && trace_ == nullptr; }

  enum class Kind : std::uint8_t { kConstant, kUniform, kLognormal, kPareto, kExponential, kPersistent, kPauses };
  struct Term {
    Kind kind;
    double a = 0.0, b = 0.0;  // the parameters, in the order of the text
  };

 private:
  std::uint64_t seed_ = 0;
  std::vector<Term> terms_;
  std::shared_ptr<const std::vector<std::vector<TimeNs>>> trace_;  // by worker
};

}  // namespace rubato
