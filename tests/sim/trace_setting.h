// What the checker of tests/checker wants to know of a run.
#pragma once

#include <nlohmann/json.hpp>

#include "base/job.h"

namespace rubato::sim {

// `workers`: at most so many.
inline nlohmann::json trace_setting(const Job& job, std::int64_t workers, std::size_t slices) {
  const Mode mode = parse_mode(job.consistency.mode).value();
  const bool aggregate = mode.apply() == Mode::Apply::kAggregate;
  nlohmann::json setting = {
      {"mode", job.consistency.mode}, {"bound", mode.bound}, {"aggregate", aggregate},
      {"workers", workers},           {"slices", slices},    {"leaves", aggregate ? job.train.micro_batches : 1}};
  setting["leased"] = is_leased(job);
  const ScheduleConfig& schedule = job.optimizer.schedule;
  if (schedule.name == "constant" && schedule.warmup_epochs == 0.0) setting["rate"] = job.optimizer.rate;
  if (mode.kind == Mode::Kind::kDssp) setting["bound_low"] = mode.least;
  if (mode.kind == Mode::Kind::kBackup) setting["backups"] = mode.backups;
  if (mode.kind == Mode::Kind::kSoftsync) setting["splits"] = mode.splits;
  if (mode.has_ages() && job.optimizer.compensation.name != "none") setting["compensated"] = true;
  if (mode.local()) {
    setting["local_steps"] = mode.local_steps;
    setting["batch"] = job.train.batch;
  }
  return setting;
}

}  // namespace rubato::sim
