#include "data/dataset.h"

#include "data/idx_dataset.h"
#include "data/synthetic_dataset.h"

namespace rubato::data {

Result<DatasetSize> size_of_dataset(const Job& job, Split split) {
  const bool train = split == Split::kTrain;
  if (job.data.kind != "synthetic") return size_of_idx_dataset(train ? job.data.train_inputs : job.data.test_inputs);
  const auto samples = static_cast<std::uint64_t>(job.data.samples);
  return DatasetSize{.samples = train ? samples : (samples + 3) / 4,
                     .target_floats = job.model.size,
                     .bytes = static_cast<std::uint64_t>(job.model.size) * sizeof(float)};
}

Result<std::unique_ptr<Dataset>> open_dataset(const Job& job, Split split) {
  const DataConfig& config = job.data;
  if (config.kind == "synthetic") return make_synthetic_dataset(job, split);
  RUBATO_CHECK(config.kind == "idx", "a data kind that parse_job lets through: {}", config.kind);
  if (split == Split::kTrain) return open_idx_dataset({config.train_inputs, config.train_labels}, config);
  return open_idx_dataset({config.test_inputs, config.test_labels}, config);
}

}  // namespace rubato::data
