#include "worker/job_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/time.h"
#include "kernels/planned_device.h"
#include "kernels/precision.h"
#include "worker/figures.h"
#include "worker/trainer.h"

namespace rubato::worker {
namespace {

constexpr std::string_view kByRule = "rule", kMeasured = "measure", kFile = "file:";

std::string plan_file(const std::string& run_dir) { return run_dir + "/plan.json"; }

Result<kernels::PlanBook> read_plan(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return Error{Cause::kUsage, fmt::format("cannot read the plan {}: a job with worker.plan = \"measure\" writes one, "
                                            "its run's plan.json; or say worker.plan = \"rule\"",
                                            path)};
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return kernels::PlanBook::parse(text, path);
}

// Of what workers plan, and of what the evaluator does.
Result<kernels::PlanBook> book_of(const Job& job, const DataSizes& data, const kernels::DeviceConfig& config) {
  kernels::PlanBook book;
  RUBATO_ASSIGN(const auto device, kernels::open_measuring_device(config, book));
  RUBATO_ASSIGN(const auto training, Trainer::make_model(job, data.train, *device, Role::kWorker));
  RUBATO_TRY(training->memory_for(Trainer::computed_max(job), true));
  const std::vector<std::int64_t> sizes = evaluated_sizes(job, data.evaluated);
  if (sizes.empty()) return book;
  RUBATO_ASSIGN(const auto evaluating, Trainer::make_model(job, data.train, *device, Role::kEvaluator));
  RUBATO_TRY(evaluating->memory_for(sizes.front(), false));  // a way is of all sizes
  return book;
}

// What a plan from elsewhere has to say about this job.
Result<std::string> fit_of(const kernels::PlanBook& plan, const Job& job, const DataSizes& data) {
  kernels::DeviceConfig config = device_config(job);
  config.only_plans = true;
  RUBATO_ASSIGN(const kernels::PlanBook asked, book_of(job, data, config));
  if (asked.size() == 0) return std::string("worker.plan has nothing to choose in this network");
  const auto fits = std::ranges::count_if(asked.entries(), [&](const kernels::PlanEntry& entry) {
    return plan.way_of(entry.operation, entry.call) != nullptr;
  });
  const std::string text = fmt::format("{} has {} of this network's {} choices, measured on {}",
                                       job.worker.plan.substr(kFile.size()), fits, asked.size(), plan.device());
  const bool all = static_cast<std::size_t>(fits) == asked.size();
  return all ? text : text + (fits == 0 ? ": it is of another network, and all go by rule" : "; the others go by rule");
}

}  // namespace

kernels::DeviceConfig device_config(const Job& job) {
  return {.name = job.worker.device,
          .threads = static_cast<int>(job.worker.threads),
          .precision = kernels::precision_of(job.worker.precision),
          .graphs = job.worker.cuda_graphs};
}

Result<std::string> write_plan(const Job& job, const DataSizes& data, const std::string& run_dir) {
  const std::string& plan = job.worker.plan;
  if (plan == kByRule) return std::string();
  const TimeNs began = steady_now();
  RUBATO_ASSIGN(const kernels::PlanBook book,
                plan == kMeasured ? book_of(job, data, device_config(job)) : read_plan(plan.substr(kFile.size())));
  const std::string text = book.text();
  RUBATO_TRY(write_file(plan_file(run_dir), std::as_bytes(std::span(text))));
  if (plan != kMeasured) return fit_of(book, job, data);
  return book.size() == 0 ? std::string("worker.plan has nothing to choose in this network")
                          : fmt::format("the best ways of {} calls measured in {:.1f} s, in {}", book.size(),
                                        seconds(steady_now() - began), plan_file(run_dir));
}

bool has_plan(const std::string& run_dir) {
  std::error_code error;
  return std::filesystem::exists(plan_file(run_dir), error);
}

Result<std::unique_ptr<kernels::Device>> open_job_device(const Job& job, const std::string& run_dir) {
  return open_job_device(job, run_dir, device_config(job));
}

Result<std::unique_ptr<kernels::Device>> open_job_device(const Job& job, const std::string& run_dir,
                                                         const kernels::DeviceConfig& config) {
  if (job.worker.plan == kByRule) return kernels::open_device(config);
  RUBATO_ASSIGN(kernels::PlanBook book, read_plan(plan_file(run_dir)));
  return kernels::open_planned_device(config, std::make_shared<const kernels::PlanBook>(std::move(book)));
}

}  // namespace rubato::worker
