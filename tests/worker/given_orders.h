// A trainer that is given orders one by one, as it asks for them.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "worker/trainer.h"

namespace rubato::worker {

struct Answers {
  std::vector<ComputeReport> reports;
  std::size_t taken = 0;  // orders that it asked for
};

inline Answers run_orders(Trainer& trainer, const std::vector<ComputeOrder>& orders, WorkerState& kept) {
  Answers answers;
  trainer.run(
      [&]() -> std::optional<ComputeOrder> {
        if (answers.taken == orders.size()) return std::nullopt;
        return orders[answers.taken++];
      },
      [&](ComputeReport report) { answers.reports.push_back(std::move(report)); }, kept);
  return answers;
}

}  // namespace rubato::worker
