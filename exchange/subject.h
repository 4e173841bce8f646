// What a person names to export, evaluate or predict with: the folder of a run, or a safetensors file. With it come the
// job that says what network it is, and the weights. Of a run with evaluation.holdout those are the best ones,
// RUN/best.safetensors, also where it has not ended; else RUN/final.safetensors.
//
// Thread-safety: plain values, and a function over files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/fitted.h"
#include "exchange/described_model.h"

namespace rubato::exchange {

// What an exported file says beside what a run's own does: the job, as text.
inline constexpr const char* kJobKey = "job";

struct Subject {
  std::string weights_file;
  Job job;
  data::DatasetSize data;  // that the model was made for: its shape and targets
  // What its data had learned from their training part; null if the file does not say it.
  std::shared_ptr<const data::Fitted> fitted;
  DescribedModel model;
  std::vector<float> weights;  // as read_weights has them
};

// Of a run the job is RUN/job.toml, of a file what is said in it, or else `job_file`, which wins. Shapes are what the
// file says, or else the training data's. Errors: kUsage, kData.
[[nodiscard]] Result<Subject> open_subject(const std::string& path, const std::string& job_file,
                                           const Overrides& overrides);

}  // namespace rubato::exchange
