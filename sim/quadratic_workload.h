// The quadratic: sample i is a target x_i (data/synthetic_dataset.h), its loss is |w - x_i|^2 / 2, and the
// gradient of a leaf is the sum of w - x_i over its samples. Nothing is cheaper to compute, and anybody can
// check the answer: the best weights are the mean of the targets.
//
// A leaf is summed in double in the order of its samples and rounded once, as model/quadratic.h does, and
// leaves along the fixed tree: the same bits whoever computes which nodes.
//
// In local:H it takes the local steps of a worker: with its inner optimizer (worker/inner_optimizer.h).
//
// With evaluation.holdout it trains on the fewer, and evaluates on what is held out; the best weights are kept by the
// computer itself, which writes no files. The test set is the training samples: there are no others.
//
// debug.nonfinite_at works as in a real worker.
//
// Thread-safety: see computer.h.
#pragma once

#include <memory>
#include <vector>

#include "base/job.h"
#include "sim/computer.h"

namespace rubato::sim {

class QuadraticWorkload final : public Workload {
 public:
  // The job's model.size weights are cut into so many parameters, as equal as they come.
  explicit QuadraticWorkload(const Job& job, std::uint32_t parameters = 1);

  [[nodiscard]] protocol::Manifest manifest() const override { return manifest_; }
  [[nodiscard]] std::string data_fingerprint() const override { return fingerprint_; }
  [[nodiscard]] std::uint64_t train_samples() const override { return samples_; }
  [[nodiscard]] std::unique_ptr<Computer> make_computer(NodeId member) override;

  // Element by element, in the manifest's order.
  [[nodiscard]] std::span<const float> target(std::uint64_t sample) const {
    return std::span<const float>(targets_).subspan(sample * size_, size_);
  }
  [[nodiscard]] std::uint64_t held_out_samples() const { return held_out_.size() / size_; }
  [[nodiscard]] std::span<const float> held_out(std::uint64_t sample) const {
    return std::span<const float>(held_out_).subspan(sample * size_, size_);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  // Where a parameter's elements begin in the manifest's order.
  [[nodiscard]] std::size_t first_element(std::size_t parameter) const { return first_element_[parameter]; }
  [[nodiscard]] const Job& job() const { return job_; }

 private:
  const Job job_;
  std::size_t size_;
  std::uint64_t samples_;
  std::string fingerprint_;
  protocol::Manifest manifest_;
  std::vector<std::size_t> first_element_;
  std::vector<float> targets_, held_out_;  // samples x size
};

}  // namespace rubato::sim
