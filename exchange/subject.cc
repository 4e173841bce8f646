#include "exchange/subject.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <span>

#include "data/safetensors.h"
#include "exchange/read_weights.h"
#include "worker/evaluation.h"

namespace rubato::exchange {
namespace {

namespace fs = std::filesystem;

// So many whole numbers, none below 0, with blanks between them.
std::optional<std::vector<std::int64_t>> whole_numbers(const data::Metadata& metadata, const char* key,
                                                       std::size_t count) {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) return std::nullopt;
  std::vector<std::int64_t> numbers;
  const char *at = entry->second.data(), *const end = at + entry->second.size();
  for (;; ++at) {  // over a blank
    std::int64_t number = 0;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) return std::nullopt;
    numbers.push_back(number);
    at = behind;
    if (at == end) break;
    if (*at != ' ') return std::nullopt;
  }
  if (numbers.size() != count) return std::nullopt;
  return numbers;
}

// Of what it was made for, if the file says it.
std::optional<data::DatasetSize> size_in(const data::Metadata& metadata) {
  constexpr std::int64_t kExtentMax = 1 << 24;
  const auto input = whole_numbers(metadata, worker::kInputKey, 3);
  const auto targets = whole_numbers(metadata, worker::kTargetsKey, 1);
  if (!input || !targets) return std::nullopt;
  for (const std::int64_t extent : {(*input)[0], (*input)[1], (*input)[2], (*targets)[0]})
    if (extent > kExtentMax) return std::nullopt;
  data::DatasetSize size;
  size.shape = {(*input)[0], (*input)[1], (*input)[2]};
  size.target_floats = (*targets)[0];
  return size;
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
  subject.weights_file = is_run ? path + "/final.safetensors" : path;
  if (!fs::exists(subject.weights_file, error)) {
    if (!is_run) return Error{Cause::kData, fmt::format("{}: no such run or file", path)};
    return Error{Cause::kData,
                 fmt::format("{}: there is no final.safetensors in it; a job writes it at its end", path)};
  }
  RUBATO_ASSIGN(const data::TensorFile file, data::read_safetensors(subject.weights_file));
  RUBATO_ASSIGN(subject.job, job_of(path, is_run, job_file, file, overrides));
  if (const std::optional<data::DatasetSize> said = size_in(file.metadata)) {
    subject.data = *said;
  } else {
    RUBATO_ASSIGN(subject.data, data::size_of_dataset(subject.job, data::Split::kTrain));
  }
  RUBATO_ASSIGN(subject.model, describe_model(subject.job, subject.data));
  RUBATO_ASSIGN(subject.weights, read_weights(file, subject.weights_file, subject.model));
  return subject;
}

}  // namespace rubato::exchange
