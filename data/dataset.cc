#include "data/dataset.h"

#include "data/idx_dataset.h"
#include "data/synthetic_dataset.h"

namespace rubato::data {

Result<std::unique_ptr<Dataset>> open_dataset(const Job& job, Split split) {
  const DataConfig& config = job.data;
  if (config.kind == "synthetic") return make_synthetic_dataset(job, split);
  RUBATO_CHECK(config.kind == "idx", "a data kind that parse_job lets through: {}", config.kind);
  if (split == Split::kTrain) return open_idx_dataset({config.train_inputs, config.train_labels}, config);
  return open_idx_dataset({config.test_inputs, config.test_labels}, config);
}

}  // namespace rubato::data
