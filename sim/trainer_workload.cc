#include "sim/trainer_workload.h"

namespace rubato::sim {
namespace {

class TrainerComputer final : public Computer {
 public:
  explicit TrainerComputer(std::unique_ptr<worker::Trainer> trainer) : trainer_(std::move(trainer)) {}

  void set_routing(const protocol::RoutingTable& routing) override { trainer_->set_routing(routing); }

  std::vector<worker::ComputeReport> compute(std::vector<worker::ComputeOrder> orders) override {
    std::vector<worker::ComputeReport> reports;
    std::size_t next = 0;
    trainer_->run(
        [&]() -> std::optional<worker::ComputeOrder> {
          if (next == orders.size()) return std::nullopt;
          return std::move(orders[next++]);
        },
        [&](worker::ComputeReport report) { reports.push_back(std::move(report)); });
    return reports;
  }

 private:
  std::unique_ptr<worker::Trainer> trainer_;
};

}  // namespace

Result<std::unique_ptr<TrainerWorkload>> TrainerWorkload::open(const Job& job, const std::string& run_dir) {
  RUBATO_ASSIGN(auto first, worker::Trainer::open(job, worker_node(0), run_dir));
  return std::unique_ptr<TrainerWorkload>(new TrainerWorkload(job, run_dir, std::move(first)));
}

std::unique_ptr<Computer> TrainerWorkload::make_computer(NodeId member) {
  // What could fail did so in open(), but for the evaluator's test set: value() says which.
  return std::make_unique<TrainerComputer>(worker::Trainer::open(job_, member, run_dir_).value());
}

}  // namespace rubato::sim
