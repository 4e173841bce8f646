// The real trainer in a simulated job: real models, real data, real gradients, at virtual times. Weights
// come out as they would from processes: in bsp, bit for bit.
//
// All workers may share one trainer, since it keeps nothing from one worker's step to another's: one model,
// one data set. What each of them has to itself then are the weights and gradients that are on their way; and,
// in aggregate modes, the weights of its clock, for nodes of a dead worker that are added to it (the shards'
// own, not a copy); and, in local:H, the state of its inner optimizer.
//
// Thread-safety: belongs to one thread. Computers that share no trainer may be used on threads of their own.
#pragma once

#include <memory>
#include <string>

#include "base/job.h"
#include "sim/computer.h"
#include "sim/profile.h"
#include "worker/trainer.h"

namespace rubato::sim {

class TrainerWorkload final : public Workload {
 public:
  enum class Trainers : std::uint8_t {
    kShared,   // by all workers; another one evaluates
    kOneEach,  // of workers; nobody evaluates
  };

  // Evaluators write into `run_dir`. `profile`, if there is one, outlives this. Errors: those of
  // worker::Trainer::open.
  [[nodiscard]] static Result<std::unique_ptr<TrainerWorkload>> open(const Job& job, const std::string& run_dir,
                                                                     Trainers trainers, Profile* profile = nullptr);

  [[nodiscard]] protocol::Manifest manifest() const override { return steps_->trainer->manifest(); }
  [[nodiscard]] std::string data_fingerprint() const override { return steps_->trainer->data_fingerprint(); }
  [[nodiscard]] std::uint64_t train_samples() const override { return steps_->trainer->train_samples(); }
  [[nodiscard]] data::DatasetSize data_size() const { return steps_->trainer->data_size(); }
  [[nodiscard]] std::string device_description() const { return steps_->trainer->device_description(); }
  [[nodiscard]] protocol::InitialWeights initial_weights() const override { return initial_; }
  // RUBATO_CHECKs that what opened once opens again, and that there is an evaluator.
  [[nodiscard]] std::unique_ptr<Computer> make_computer(NodeId member) override;

  // A trainer, and whether somebody has told it the routing, which is the same for all who share it.
  struct Shared {
    std::unique_ptr<worker::Trainer> trainer;
    bool routed = false;
  };

 private:
  TrainerWorkload(const Job& job, std::string run_dir, worker::Trainer::Datasets data, Trainers trainers,
                  Profile* profile)
      : job_(job), run_dir_(std::move(run_dir)), data_(std::move(data)), trainers_(trainers), profile_(profile) {}

  [[nodiscard]] Result<std::shared_ptr<Shared>> open_trainer(NodeId member) const;

  const Job job_;
  const std::string run_dir_;
  const worker::Trainer::Datasets data_;
  const Trainers trainers_;
  Profile* const profile_;
  protocol::InitialWeights initial_;
  std::shared_ptr<Shared> steps_, evaluations_;
};

}  // namespace rubato::sim
