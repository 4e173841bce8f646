// RUN/initial.weights: what a job's parameters begin with where they are not drawn from its seed (model.pretrained).
// Who knows the model writes it before the job starts (exchange/); servers, which know none, read it.
//
//   64 bytes   the job's hash
//   the rest   float32, little-endian: all parameters in the manifest's order and layouts
//
// Thread-safety: values are immutable; copies share them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace rubato::protocol {

[[nodiscard]] std::string initial_weights_path(const std::string& run_dir);

// Errors: kStorage.
[[nodiscard]] Status write_initial_weights(const std::string& run_dir, const std::string& job_hash,
                                           std::span<const float> values);

class InitialWeights {
 public:
  InitialWeights() = default;  // none: they are drawn
  [[nodiscard]] static InitialWeights of(std::vector<float> values);
  // Mapped, so that a server reads of it what is its own. Errors: kData: not there, cut off, or of another job.
  [[nodiscard]] static Result<InitialWeights> open(const std::string& run_dir, const std::string& job_hash);

  [[nodiscard]] std::span<const float> values() const { return values_; }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const float> values_;
};

}  // namespace rubato::protocol
