#include "data/dataset.h"

#include <fmt/format.h>

#include "data/cifar_dataset.h"
#include "data/folder_dataset.h"
#include "data/holdout.h"
#include "data/idx_dataset.h"
#include "data/libsvm_dataset.h"
#include "data/npy_dataset.h"
#include "data/parts.h"
#include "data/series_dataset.h"
#include "data/synthetic_dataset.h"
#include "data/table_dataset.h"
#include "data/text_dataset.h"
#include "data/view.h"

namespace rubato::data {
namespace {

DatasetSize size_of_synthetic(const Job& job, bool train) {
  const auto samples = static_cast<std::uint64_t>(job.data.samples);
  return {.samples = train ? samples : (samples + 3) / 4,
          .shape = {},
          .target_floats = job.model.size,
          .bytes = static_cast<std::uint64_t>(job.model.size) * sizeof(float)};
}

// What is held out is a view of the very samples that are trained on.
bool is_read_once(const Job& job) { return as_evaluated(job) == job; }

// What is in the files, whatever is held out.
Result<DatasetSize> size_of_part(const Job& job, Split split) {
  const DataConfig& data = job.data;
  RUBATO_TRY(check_part(data, split));
  const bool train = split == Split::kTrain;
  if (data.kind == "idx") return size_of_idx_dataset(train ? data.train_inputs : data.test_inputs);
  if (data.kind == "npy" || data.kind == "npz") return size_of_npy_dataset(job, split);
  if (data.kind == "cifar") return size_of_cifar_dataset(data, split);
  if (data.kind == "folder") return size_of_folder_dataset(job, split);
  if (data.kind == "csv") return size_of_table_dataset(job, split);
  if (data.kind == "series") return size_of_series_dataset(data, split);
  if (data.kind == "libsvm") return size_of_libsvm_dataset(job, split);
  if (data.kind == "text") return size_of_text_dataset(data, split);
  RUBATO_CHECK(data.kind == "synthetic", "a data kind that parse_job lets through: {}", data.kind);
  return size_of_synthetic(job, train);
}

Result<std::unique_ptr<Dataset>> open_part(const Job& job, Split split) {
  const DataConfig& data = job.data;
  RUBATO_TRY(check_part(data, split));
  if (data.kind == "npy" || data.kind == "npz") return open_npy_dataset(job, split);
  if (data.kind == "cifar") return open_cifar_dataset(data, split);
  if (data.kind == "folder") return open_folder_dataset(job, split);
  if (data.kind == "csv") return open_table_dataset(job, split);
  if (data.kind == "series") return open_series_dataset(data, split);
  if (data.kind == "libsvm") return open_libsvm_dataset(job, split);
  if (data.kind == "text") return open_text_dataset(data, split);
  if (data.kind == "synthetic") return make_synthetic_dataset(job, split);
  RUBATO_CHECK(data.kind == "idx", "a data kind that parse_job lets through: {}", data.kind);
  if (split == Split::kTrain) return open_idx_dataset({data.train_inputs, data.train_labels}, data);
  return open_idx_dataset({data.test_inputs, data.test_labels}, data);
}

}  // namespace

Job as_evaluated(const Job& job) {
  Job plain = job;
  if (job.data.kind != "folder") return plain;
  plain.data.crop = "center";
  plain.data.flip = 0.0;
  return plain;
}

std::string text_of(const SampleShape& shape) {
  return fmt::format("{} x {} x {}", shape.height, shape.width, shape.channels);
}

const char* name_of(Split split) {
  return split == Split::kTrain ? "training" : split == Split::kValidation ? "validation" : "test";
}

Split evaluated_split(const Job& job) {
  return job.evaluation.part == "validation" ? Split::kValidation : Split::kTest;
}

Result<DatasetSize> size_of_dataset(const Job& job, Split split) {
  const Job read = without_holdout(job);
  if (!holds_out_samples(job) || split == Split::kTest) return size_of_part(read, split);
  RUBATO_ASSIGN(DatasetSize size, size_of_part(read, Split::kTrain));
  RUBATO_ASSIGN(HeldOut parts, hold_out(job, size.samples));
  size.gathered_bytes =
      static_cast<std::uint64_t>(static_cast<double>(size.gathered_bytes) *
                                 static_cast<double>(parts.of(split).size()) / static_cast<double>(size.samples));
  size.samples = parts.of(split).size();
  if (split == Split::kValidation && is_read_once(job)) size.bytes = 0;
  size.bytes += size.samples * sizeof(std::uint64_t);
  return size;
}

Result<std::unique_ptr<Dataset>> open_dataset(const Job& job, Split split) {
  const Job read = without_holdout(job);
  if (!holds_out_samples(job) || split == Split::kTest) return open_part(read, split);
  RUBATO_ASSIGN(std::shared_ptr<const Dataset> all,
                open_part(split == Split::kTrain ? read : as_evaluated(read), Split::kTrain));
  RUBATO_ASSIGN(HeldOut parts, hold_out(job, *all));
  return view_of(std::move(all), std::move(parts.of(split)));
}

Result<TrainingParts> open_training_parts(const Job& job) {
  TrainingParts opened;
  if (holds_out_samples(job) && is_read_once(job)) {
    RUBATO_ASSIGN(const std::shared_ptr<const Dataset> all, open_part(without_holdout(job), Split::kTrain));
    RUBATO_ASSIGN(HeldOut parts, hold_out(job, *all));
    return TrainingParts{view_of(all, std::move(parts.train)), view_of(all, std::move(parts.held_out))};
  }
  RUBATO_ASSIGN(opened.train, open_dataset(job, Split::kTrain));
  if (job.evaluation.holdout > 0.0) {
    RUBATO_ASSIGN(opened.held_out, open_dataset(job, Split::kValidation));
  }
  return opened;
}

}  // namespace rubato::data
