#include "exchange/predict.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>
#include <system_error>

#include "base/atomic_file.h"
#include "data/npz_write.h"

namespace rubato::exchange {
namespace {

// Of one sample.
void to_probabilities(std::span<float> scores, const std::string& loss) {
  if (loss == "binary_cross_entropy") {
    for (float& score : scores) score = 1.0f / (1.0f + std::exp(-score));
    return;
  }
  const float greatest = *std::ranges::max_element(scores);
  double sum = 0.0;
  for (float& score : scores) sum += score = std::exp(score - greatest);
  for (float& score : scores) score = static_cast<float>(score / sum);
}

// What class 0 is called in files of this kind, where it has no name.
std::int64_t first_label(const DataConfig& data) {
  const bool counts = data.kind == "npy" || data.kind == "npz" || data.kind == "csv" || data.kind == "libsvm";
  return counts ? data.first_label : 0;
}

// With quotes where commas or quotes are in it.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string class_text(const Predictions& predictions, std::size_t at) {
  const std::int32_t number = predictions.classes[at];
  if (predictions.names.empty()) return fmt::format("{}", number + predictions.first_label);
  return field(predictions.names[static_cast<std::size_t>(number)]);
}

// What files call each class where all of them have names that are whole numbers, as 1 and -1 are; else none.
std::vector<std::int64_t> numbers_of(std::span<const std::string> names) {
  std::vector<std::int64_t> numbers;
  for (const std::string& name : names) {
    std::int64_t number = 0;
    const std::from_chars_result read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (read.ec != std::errc() || name != fmt::format("{}", number)) return {};
    numbers.push_back(number);
  }
  return numbers;
}

// Of `width` scores.
std::vector<std::string> score_names(const Predictions& all, const Job& job, std::size_t width) {
  std::vector<std::string> names;
  const std::vector<std::string>& targets = job.data.target;
  const bool one_of_two = job.model.loss == "binary_cross_entropy";
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t number = one_of_two ? 1 : i;
    if (job.model.loss != "mse")
      names.push_back(number < all.names.size()
                          ? "score_" + all.names[number]
                          : fmt::format("score_{}", static_cast<std::int64_t>(number) + all.first_label));
    else if (targets.empty())
      names.push_back(fmt::format("number_{}", i));
    else if (job.data.kind == "series")
      names.push_back(fmt::format("{}+{}", targets[i % targets.size()], i / targets.size() + 1));
    else
      names.push_back(targets[i % targets.size()]);
  }
  return names;
}

}  // namespace

Result<Predictions> predict(Evaluator& evaluator, const data::Dataset& data, const Job& job, Scores scores) {
  RUBATO_TRY(evaluator.check_shape(data));
  Predictions all;
  all.samples = static_cast<std::int64_t>(data.size());
  all.outputs = evaluator.outputs();
  all.first_label = first_label(job.data);
  all.names.assign(data.class_names().begin(), data.class_names().end());
  const bool numbers = job.model.loss == "mse";
  data::BatchBuffer buffer;
  std::vector<std::uint64_t> ids(static_cast<std::size_t>(job.evaluation.batch));
  for (std::uint64_t first = 0; first < data.size(); first += ids.size()) {
    ids.resize(std::min<std::uint64_t>(ids.size(), data.size() - first));
    std::iota(ids.begin(), ids.end(), first);
    RUBATO_TRY(data.gather(0, ids, buffer));
    RUBATO_ASSIGN(const model::Evaluation result, evaluator.run(buffer));
    for (const std::uint64_t id : ids)
      if (std::string source = data.sample_name(id); !source.empty()) all.sources.push_back(std::move(source));
    all.scores.insert(all.scores.end(), result.outputs.begin(), result.outputs.end());
    if (!numbers) all.classes.insert(all.classes.end(), result.predictions.begin(), result.predictions.end());
  }
  if (all.samples > 0 && !all.classes.empty()) all.positions = std::ssize(all.classes) / all.samples;
  const auto width = static_cast<std::size_t>(all.outputs / all.positions);
  all.score_names = score_names(all, job, width);
  for (std::size_t i = 0; numbers && i < all.scores.size(); ++i) {
    const data::TargetScale scale = data.target_scale(i % width);
    all.scores[i] = static_cast<float>(static_cast<double>(all.scores[i]) * scale.deviation + scale.mean);
  }
  if (!numbers && scores == Scores::kProbabilities)
    for (std::size_t i = 0; i < all.scores.size(); i += width)
      to_probabilities(std::span(all.scores).subspan(i, width), job.model.loss);
  return all;
}

std::string csv_of(const Predictions& predictions, std::int64_t samples_max) {
  const bool classes = !predictions.classes.empty(), several = predictions.positions > 1;
  std::string text = predictions.sources.empty() ? "sample" : "sample,source";
  for (std::int64_t i = 0; classes && i < predictions.positions; ++i)
    text += several ? fmt::format(",class_{}", i) : ",class";
  for (std::int64_t i = 0; !several && i < predictions.outputs; ++i)
    text += "," + field(predictions.score_names[static_cast<std::size_t>(i)]);
  text += '\n';
  const auto width = static_cast<std::size_t>(predictions.outputs);
  const auto positions = static_cast<std::size_t>(predictions.positions);
  for (std::size_t sample = 0; sample < static_cast<std::size_t>(std::min(samples_max, predictions.samples));
       ++sample) {
    text += fmt::format("{}", sample);
    if (!predictions.sources.empty()) text += "," + field(predictions.sources[sample]);
    for (std::size_t at = sample * positions; classes && at < (sample + 1) * positions; ++at)
      text += "," + class_text(predictions, at);
    for (std::size_t i = 0; !several && i < width; ++i)
      text += fmt::format(",{}", predictions.scores[sample * width + i]);
    text += '\n';
  }
  return text;
}

Status check_ending(const std::string& path) {
  if (path.ends_with(".csv") || path.ends_with(".npz")) return {};
  return Error{Cause::kUsage, fmt::format("--to {}: the name must end in .csv or .npz", path)};
}

Status write_predictions(const Predictions& predictions, const std::string& path) {
  RUBATO_TRY(check_ending(path));
  if (path.ends_with(".csv")) {
    const std::string text = csv_of(predictions, predictions.samples);
    return write_file(path, std::as_bytes(std::span(text)));
  }
  std::vector<std::int64_t> of_classes{predictions.samples}, of_scores{predictions.samples};
  if (predictions.positions > 1) {
    of_classes.push_back(predictions.positions);
    of_scores.push_back(predictions.positions);
  }
  of_scores.push_back(predictions.outputs / predictions.positions);
  std::vector<data::NpyArray> arrays;
  std::vector<std::int64_t> labels(predictions.classes.begin(), predictions.classes.end());
  const std::vector<std::int64_t> numbers = numbers_of(predictions.names);
  for (std::int64_t& label : labels) {
    if (predictions.names.empty()) label += predictions.first_label;
    if (!numbers.empty()) label = numbers[static_cast<std::size_t>(label)];
  }
  std::vector<char32_t> letters;
  if (!labels.empty()) {
    arrays.push_back({"class", of_classes, std::span<const std::int64_t>(labels)});
    if (numbers.empty()) letters = data::npy_letters(predictions.names);
    if (!letters.empty())
      arrays.push_back({"names", {std::ssize(predictions.names)}, std::span<const char32_t>(letters)});
  }
  arrays.push_back({"scores", of_scores, std::span<const float>(predictions.scores)});
  return data::write_npz(path, arrays);
}

}  // namespace rubato::exchange
