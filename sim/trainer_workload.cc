#include "sim/trainer_workload.h"

#include <iterator>
#include <utility>

#include "exchange/pretrained.h"
#include "worker/burden.h"

namespace rubato::sim {

using worker::ComputeOrder;
using worker::ComputeReport;

namespace {

using SharedRef = std::shared_ptr<TrainerWorkload::Shared>;

void route(TrainerWorkload::Shared& shared, const protocol::RoutingTable& routing) {
  if (!std::exchange(shared.routed, true)) shared.trainer->set_routing(routing);
}

// Gives a trainer orders one after the other, and takes what it reports.
std::vector<ComputeReport> carry_out(worker::Trainer& trainer, std::vector<ComputeOrder> orders,
                                     worker::WorkerState& kept) {
  std::vector<ComputeReport> reports;
  std::size_t next = 0;
  trainer.run(
      [&]() -> std::optional<ComputeOrder> {
        if (next == orders.size()) return std::nullopt;
        return std::move(orders[next++]);
      },
      [&](ComputeReport report) {
        // In virtual time a step takes as long as it is said to.
        if (!std::holds_alternative<worker::StillComputing>(report)) reports.push_back(std::move(report));
      },
      kept);
  return reports;
}

class StepComputer final : public Computer {
 public:
  StepComputer(SharedRef shared, const Job& job, std::uint32_t rank, Profile* profile)
      : shared_(std::move(shared)),
        burden_(job, rank, Stragglers()),  // they are a matter of virtual time
        keeps_weights_(parse_mode(job.consistency.mode).value().apply() == Mode::Apply::kAggregate),
        profile_(profile) {}

  void set_routing(const protocol::RoutingTable& routing) override { route(*shared_, routing); }

  std::vector<ComputeReport> compute(std::vector<ComputeOrder> orders) override {
    auto step = std::get<worker::ComputeStep>(std::move(orders.front()));
    step.next = {};  // what comes next is another worker's step: nothing is read ahead
    std::vector<ComputeOrder> weights(std::make_move_iterator(orders.begin() + 1),
                                      std::make_move_iterator(orders.end()));
    if (keeps_weights_) {
      if (step.more_of_same)
        weights = weights_;
      else
        weights_ = weights;
    }
    {
      const Profile::Scope scope(profile_, Profile::Activity::kCopying);
      carry_out(*shared_->trainer, std::move(weights), kept_);
    }
    std::vector<ComputeOrder> alone;
    alone.emplace_back(std::move(step));
    std::vector<ComputeReport> reports = carry_out(*shared_->trainer, std::move(alone), kept_);
    for (ComputeReport& report : reports)
      if (auto* gradient = std::get_if<worker::SliceGradient>(&report)) burden_.spoil(*gradient);
    return reports;
  }

 private:
  const SharedRef shared_;
  const worker::Burden burden_;
  const bool keeps_weights_;
  Profile* const profile_;
  std::vector<ComputeOrder> weights_;  // of this worker's clock
  worker::WorkerState kept_;
};

class EvaluationComputer final : public Computer {
 public:
  explicit EvaluationComputer(SharedRef shared) : shared_(std::move(shared)) {}

  void set_routing(const protocol::RoutingTable& routing) override { route(*shared_, routing); }
  std::vector<ComputeReport> compute(std::vector<ComputeOrder> orders) override {
    worker::WorkerState none;
    return carry_out(*shared_->trainer, std::move(orders), none);
  }

 private:
  const SharedRef shared_;
};

}  // namespace

Result<std::shared_ptr<TrainerWorkload::Shared>> TrainerWorkload::open_trainer(NodeId member) const {
  auto shared = std::make_shared<Shared>();
  RUBATO_ASSIGN(shared->trainer, worker::Trainer::open(job_, member, run_dir_, data_));
  return shared;
}

Result<std::unique_ptr<TrainerWorkload>> TrainerWorkload::open(const Job& job, const std::string& run_dir,
                                                               Trainers trainers, Profile* profile) {
  const Role most = trainers == Trainers::kShared ? Role::kEvaluator : Role::kWorker;
  RUBATO_ASSIGN(auto data, worker::Trainer::open_datasets(job, most));
  std::unique_ptr<TrainerWorkload> workload(new TrainerWorkload(job, run_dir, std::move(data), trainers, profile));
  RUBATO_ASSIGN(workload->steps_, workload->open_trainer(worker_node(0)));
  if (!job.model.pretrained.empty()) {
    RUBATO_ASSIGN(std::vector<float> initial, exchange::pretrained_weights(job, workload->data_size()));
    workload->initial_ = protocol::InitialWeights::of(std::move(initial));
  }
  if (trainers == Trainers::kShared) {
    RUBATO_ASSIGN(workload->evaluations_, workload->open_trainer(evaluator_node(0)));
  }
  return workload;
}

std::unique_ptr<Computer> TrainerWorkload::make_computer(NodeId member) {
  if (member.role == Role::kEvaluator) {
    RUBATO_CHECK(evaluations_ != nullptr, "nobody evaluates here");
    return std::make_unique<EvaluationComputer>(evaluations_);
  }
  SharedRef shared = trainers_ == Trainers::kShared ? steps_ : open_trainer(member).value();
  return std::make_unique<StepComputer>(std::move(shared), job_, member.rank, profile_);
}

}  // namespace rubato::sim
