#include "exchange/chosen_data.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "data/other_file.h"
#include "data/parts.h"
#include "data/zip_contents.h"

namespace rubato::exchange {
namespace {

constexpr std::array<std::pair<data::Split, const char*>, 3> kParts{
    {{data::Split::kTrain, "train"}, {data::Split::kValidation, "validation"}, {data::Split::kTest, "test"}}};

Error not_that(const std::string& text) { return {Cause::kUsage, text}; }

Result<data::Split> split_of(const Job& job, const std::string& part) {
  if (part.empty()) return data::evaluated_split(job);
  for (const auto& [split, name] : kParts)
    if (part == name) return split;
  return not_that(fmt::format("--part {}: there are train, validation and test", part));
}

std::string archive_instead(const std::string& kind) {
  return kind == "npz" ? ": give --data an archive with test_images, test_labels and, if need be, test_lengths" : "";
}

// The job with other files for its test part.
Result<Job> with_files(Job job, const DataChoice& choice) {
  DataConfig& data = job.data;
  const bool pairs = data.kind == "idx" || data.kind == "npy";
  if (pairs && choice.labels.empty())
    return not_that(fmt::format("--data {}: give --labels too: data.kind = \"{}\" has them in another file",
                                choice.inputs, data.kind));
  if (!pairs && !choice.labels.empty())
    return not_that(
        fmt::format("--labels is for idx and npy, and the job's data is {}{}", data.kind, archive_instead(data.kind)));
  if (!choice.lengths.empty() && data.kind != "npy")
    return not_that(
        fmt::format("--lengths is for npy, and the job's data is {}{}", data.kind, archive_instead(data.kind)));
  if (data.kind == "npy" && !data.train_lengths.empty() && choice.lengths.empty())
    return not_that(
        fmt::format("--data {}: give --lengths too: the job's samples have data.train_lengths", choice.inputs));
  if (pairs) {
    data.test_inputs = choice.inputs;
    data.test_labels = choice.labels;
    data.test_lengths = choice.lengths;
  } else {
    data.path = choice.inputs;
  }
  return job;
}

// Advice to who evaluates or predicts is not the advice to who trains, which is all that the data's readers have.
Status check_part(const Job& job, data::Split split, const DataChoice& choice) {
  if (data::has_part(job, split)) return {};
  if (!choice.inputs.empty())  // npz: the other kinds have no parts in a file
    return Error{Cause::kData, fmt::format("--data {}: expected an archive with test_images and test_labels, found {}",
                                           choice.inputs, data::contents_of_zip(choice.inputs).text())};
  std::vector<std::string> others;
  for (const auto& [part, name] : kParts)
    if (data::has_part(job, part)) others.push_back(fmt::format("--part {}", name));
  return Error{Cause::kData, fmt::format("the data of this job has no {} part: give {}, or other data with --data, or "
                                         "with predict's --input",
                                         data::name_of(split), fmt::join(others, " or "))};
}

// What lies where the training data lay may be other data.
Status check_fitted(const Subject& subject, const data::Dataset& data) {
  if (!subject.fitted || data.fitted() == nullptr || *data.fitted() == *subject.fitted) return {};
  const DataConfig& config = subject.job.data;
  return Error{Cause::kData,
               fmt::format("{}: the training part is no longer what {} was trained with: other columns, classes, means "
                           "or deviations; give --data or --input a file, which is scaled as the weights' own was",
                           config.path.empty() ? config.train_inputs : config.path, subject.weights_file)};
}

}  // namespace

Result<ChosenData> open_data(const Subject& subject, const DataChoice& choice) {
  const Job& job = subject.job;
  const bool files = !choice.inputs.empty();
  if (!files && !choice.labels.empty()) return not_that("--labels goes with --data");
  if (!files && !choice.lengths.empty()) return not_that("--lengths goes with --data, or predict's --input");
  RUBATO_ASSIGN(const data::Split split, split_of(job, choice.part.empty() && files ? "test" : choice.part));
  Job chosen = job;
  if (files) {
    RUBATO_ASSIGN(chosen, with_files(job, choice));
  }
  ChosenData opened;
  if (files && data::reads_answered_file(job)) {
    RUBATO_ASSIGN(opened.data, data::open_answered_file(job, choice.inputs, subject.fitted.get()));
  } else {
    RUBATO_TRY(check_part(chosen, split, choice));
    RUBATO_ASSIGN(opened.data, data::open_dataset(data::as_evaluated(chosen), split));
    RUBATO_TRY(check_fitted(subject, *opened.data));
  }
  // A job's train_loss is another figure: the mean over its steps of what they minimize, on the way.
  opened.part = split == data::Split::kTrain ? "train_part" : data::name_of(split);
  opened.name = files ? choice.inputs : fmt::format("the {} part of the job's data", data::name_of(split));
  return opened;
}

}  // namespace rubato::exchange
