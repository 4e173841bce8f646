// The plan of a job (worker.plan, kernels/plan_book.h): what the launcher has written before anybody computes, and all
// who compute read. It is RUN/plan.json.
//
// Thread-safety: plain functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"
#include "kernels/backend.h"

namespace rubato::worker {

// What a job's networks compute on.
struct DataSizes {
  data::DatasetSize train;
  std::vector<data::DatasetSize> evaluated;  // worker/figures.h: none, where nothing is
};

// By rule: nothing. Else measures the job's networks on this machine, or reads the file that the job names, and writes
// RUN/plan.json. Returns what a person should know of it, often nothing. Errors: kUsage for a file that is no plan,
// kData, kDevice, kStorage.
[[nodiscard]] Result<std::string> write_plan(const Job& job, const DataSizes& data, const std::string& run_dir);

// Whether there is one.
[[nodiscard]] bool has_plan(const std::string& run_dir);

// The device that the job asks for, and how it is to compute.
[[nodiscard]] kernels::DeviceConfig device_config(const Job& job);

// That device, with the job's plan. Errors: kUsage where the plan is missing or none, kDevice.
[[nodiscard]] Result<std::unique_ptr<kernels::Device>> open_job_device(const Job& job, const std::string& run_dir);
// The same of a device that is asked for otherwise.
[[nodiscard]] Result<std::unique_ptr<kernels::Device>> open_job_device(const Job& job, const std::string& run_dir,
                                                                       const kernels::DeviceConfig& config);

}  // namespace rubato::worker
