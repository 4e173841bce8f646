#include "exchange/subject.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "data/safetensors.h"
#include "data/weights_metadata.h"
#include "exchange/read_weights.h"
#include "worker/evaluation.h"

namespace rubato::exchange {
namespace {

namespace fs = std::filesystem;

// Those that its figures are of: the best on what was held out, where something was.
std::string weights_of_run(const std::string& path) {
  std::error_code error;
  const std::string best = path + "/" + worker::kBestWeights;
  return fs::exists(best, error) ? best : path + "/" + worker::kFinalWeights;
}

Result<Job> job_of(const std::string& path, bool is_run, const std::string& job_file, const data::TensorFile& file,
                   const Overrides& overrides) {
  if (!job_file.empty()) return load_job(job_file, overrides);
  if (is_run) return load_job(path + "/job.toml", overrides);
  const auto text = file.metadata.find(kJobKey);
  if (text == file.metadata.end())
    return Error{Cause::kUsage, fmt::format("{} does not say what network it is of: give --job JOB.toml", path)};
  return parse_job(text->second, fmt::format("{}, its job", path), overrides);
}

}  // namespace

Result<Subject> open_subject(const std::string& path, const std::string& job_file, const Overrides& overrides) {
  std::error_code error;
  const bool is_run = fs::is_directory(path, error);
  Subject subject;
  subject.weights_file = is_run ? weights_of_run(path) : path;
  if (!fs::exists(subject.weights_file, error)) {
    if (!is_run) return Error{Cause::kData, fmt::format("{}: no such run or file", path)};
    return Error{Cause::kData,
                 fmt::format("{}: there is no final.safetensors in it; a job writes it at its end", path)};
  }
  RUBATO_ASSIGN(const data::TensorFile file, data::read_safetensors(subject.weights_file));
  RUBATO_ASSIGN(subject.job, job_of(path, is_run, job_file, file, overrides));
  if (const std::optional<data::DatasetSize> said = data::described_samples(file.metadata)) {
    subject.data = *said;
  } else {
    RUBATO_ASSIGN(subject.data, data::size_of_dataset(subject.job, data::Split::kTrain));
  }
  if (const auto text = file.metadata.find(data::kFittedKey); text != file.metadata.end()) {
    RUBATO_ASSIGN(data::Fitted fitted, data::parse_fitted(text->second, subject.weights_file));
    subject.fitted = std::make_shared<const data::Fitted>(std::move(fitted));
  }
  RUBATO_ASSIGN(subject.model, describe_model(subject.job, subject.data));
  RUBATO_ASSIGN(subject.weights, read_weights(file, subject.weights_file, subject.model));
  return subject;
}

}  // namespace rubato::exchange
