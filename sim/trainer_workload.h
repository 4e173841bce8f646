// The real trainer in a simulated job: real models, real data, real gradients, at virtual times. Weights
// come out as they would from processes: in bsp, bit for bit.
//
// Thread-safety: belongs to the thread of its SimJob.
#pragma once

#include <memory>
#include <string>

#include "base/job.h"
#include "sim/computer.h"
#include "worker/trainer.h"

namespace rubato::sim {

class TrainerWorkload final : public Workload {
 public:
  // Opens data and model once, to see that they are there. Evaluators write into `run_dir`. Errors: those
  // of worker::Trainer::open.
  [[nodiscard]] static Result<std::unique_ptr<TrainerWorkload>> open(const Job& job, const std::string& run_dir);

  [[nodiscard]] protocol::Manifest manifest() const override { return first_->manifest(); }
  [[nodiscard]] std::string data_fingerprint() const override { return first_->data_fingerprint(); }
  [[nodiscard]] std::uint64_t train_samples() const override { return first_->train_samples(); }
  [[nodiscard]] std::string device_description() const { return first_->device_description(); }
  [[nodiscard]] std::unique_ptr<Computer> make_computer(NodeId member) override;

 private:
  TrainerWorkload(const Job& job, std::string run_dir, std::unique_ptr<worker::Trainer> first)
      : job_(job), run_dir_(std::move(run_dir)), first_(std::move(first)) {}

  const Job job_;
  const std::string run_dir_;
  const std::unique_ptr<worker::Trainer> first_;
};

}  // namespace rubato::sim
