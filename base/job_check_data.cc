// What the keys of [data] ask of each other, and of the model and the evaluation.
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>

#include "base/job.h"
#include "base/job_schema.h"
#include "base/nearest.h"

namespace rubato {
namespace {

class DataChecker {
 public:
  DataChecker(const Job& job, const Where& where) : job_(job), data_(job.data), where_(where) {}

  Status run() const {
    RUBATO_TRY(check_normalization());
    RUBATO_TRY(check_holdout());
    if (!data_.ignored_labels.empty() && (is({"synthetic", "series"}) || job_.model.loss == "mse"))
      return wrong(
          "data.ignored_labels", "does not go with {}, which has no labels: leave it out",
          is({"synthetic", "series"}) ? fmt::format("data.kind = \"{}\"", data_.kind) : "model.loss = \"mse\"");
    if (is({"synthetic"})) return check_part();
    RUBATO_TRY(check_files());
    if (is({"npy"})) RUBATO_TRY(check_lengths());
    if (is({"folder"})) RUBATO_TRY(check_folder());
    if (is({"csv", "series", "cifar"})) RUBATO_TRY(check_target());
    if (is({"csv", "series"})) RUBATO_TRY(check_columns());
    if (is({"csv", "series", "libsvm", "text"})) RUBATO_TRY(check_fractions());
    if (is({"text"})) RUBATO_TRY(check_text());
    return check_part();
  }

 private:
  template <class... Arguments>
  Error wrong(std::string_view key, fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kUsage,
            fmt::format("{}: {} {}", where_(key), key, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  [[nodiscard]] bool is(std::initializer_list<std::string_view> kinds) const {
    return std::ranges::find(kinds, data_.kind) != kinds.end();
  }
  [[nodiscard]] bool reads_test() const { return job_.evaluation.enabled && job_.evaluation.part == "test"; }

  Status check_normalization() const {
    const std::pair<const char*, const std::vector<double>&> lists[] = {{"data.mean", data_.mean},
                                                                        {"data.stddev", data_.stddev}};
    for (const auto& [key, list] : lists)
      if (list.empty()) return wrong(key, "is empty: give a number, or one for each channel");
    if (data_.mean.size() != data_.stddev.size() && data_.mean.size() > 1 && data_.stddev.size() > 1)
      return wrong("data.stddev", "has {} numbers and data.mean {}: give one for each channel, or one for all",
                   data_.stddev.size(), data_.mean.size());
    return {};
  }

  Status check_files() const {
    if (is({"npz", "cifar", "folder", "series", "text"})) return need("data.path", data_.path);
    const bool table = is({"csv", "libsvm"});
    if (table && !data_.path.empty()) {
      const std::pair<const char*, const std::string&> others[] = {{"data.train_inputs", data_.train_inputs},
                                                                   {"data.test_inputs", data_.test_inputs}};
      for (const auto& [key, file] : others)
        if (!file.empty()) return wrong(key, "is given beside data.path: give one table to be split, or two that are");
      return {};
    }
    if (table && data_.train_inputs.empty() && data_.test_inputs.empty()) return need("data.path", data_.path);
    RUBATO_TRY(need("data.train_inputs", data_.train_inputs));
    if (!table) RUBATO_TRY(need("data.train_labels", data_.train_labels));
    if (!reads_test()) return {};
    RUBATO_TRY(need_test("data.test_inputs", data_.test_inputs));
    return table ? Status() : need_test("data.test_labels", data_.test_labels);
  }

  // An npz archive says by its members whether there are lengths: such a network is refused when it is built.
  Status check_lengths() const {
    const bool train = !data_.train_lengths.empty(), test = !data_.test_lengths.empty();
    if (!train && !test) return {};
    const std::string_view key = train ? "data.train_lengths" : "data.test_lengths", network = job_.model.name;
    if (network != "lstm" && network != "gru" && network != "layers")
      return wrong(key,
                   "does not go with model.name = \"{}\", which takes a sample as a whole: use \"lstm\", \"gru\" "
                   "or \"layers\"",
                   network);
    if (!train) return wrong("data.train_lengths", "is missing, and data.test_lengths is there: give both");
    if (!test && reads_test())
      return wrong("data.test_lengths", "is missing, and data.train_lengths is there: give both");
    return {};
  }

  Status check_folder() const {
    if (data_.channels == 2) return wrong("data.channels", "= 2 is neither gray, 1, nor colour, 3");
    if (data_.normalization == "imagenet") {
      if (data_.channels != 3) return wrong("data.normalization", "= \"imagenet\" needs data.channels = 3");
      if (data_.mean != DataConfig().mean || data_.stddev != DataConfig().stddev)
        return wrong("data.normalization",
                     "= \"imagenet\" does not go with data.mean and data.stddev: give one of them");
    }
    if (data_.resize != 0 && data_.resize < data_.image_size)
      return wrong("data.resize", "= {} is less than data.image_size = {}, which is cut out of it", data_.resize,
                   data_.image_size);
    const std::pair<const char*, const std::vector<double>&> ranges[] = {{"data.crop_area", data_.crop_area},
                                                                         {"data.crop_ratio", data_.crop_ratio}};
    for (const auto& [key, range] : ranges)
      if (range.size() != 2 || range[0] > range[1])
        return wrong(key, "must be the least and the greatest, as [0.5, 1.0]");
    if (data_.crop_area[1] > 1.0)
      return wrong("data.crop_area", "goes up to {}, and an image has 1", data_.crop_area[1]);
    return data_.group.empty() ? Status() : check_picture_groups();
  }

  Status check_picture_groups() const {
    try {
      if (std::regex(data_.group).mark_count() > 0) return {};
    } catch (const std::regex_error& error) {
      return wrong("data.group", "= \"{}\" is no expression: {}", data_.group, error.what());
    }
    return wrong("data.group", "= \"{}\" has no parentheses around what images of one group share, as in \"(.*)_\"",
                 data_.group);
  }

  Status need(std::string_view key, const std::string& file) const {
    if (!file.empty()) return {};
    return wrong(key, "is missing: data.kind = \"{}\" needs it", data_.kind);
  }
  Status need_test(std::string_view key, const std::string& file) const {
    if (!file.empty()) return {};
    return wrong(key, "is missing: give it, or set evaluation.enabled = false");
  }

  Status check_target() const {
    if (is({"cifar"})) {
      const std::vector<std::string> known{"fine", "coarse"};
      if (data_.target.empty() || (data_.target.size() == 1 && std::ranges::count(known, data_.target[0]) == 1))
        return {};
      return wrong("data.target", "must be \"fine\" or \"coarse\" where data.kind = \"cifar\"{}",
                   did_you_mean(nearest(data_.target[0], known)));
    }
    if (data_.target.empty()) return wrong("data.target", "is missing: name the column that is to be predicted");
    const bool floats = job_.model.loss == "mse";
    if (is({"series"}) && !floats)
      return wrong("model.loss",
                   "= \"{}\" does not go with data.kind = \"series\", which has numbers to predict: set "
                   "it to \"mse\"",
                   job_.model.loss);
    if (!floats && data_.target.size() > 1)
      return wrong("data.target",
                   "has {} columns, and model.loss = \"{}\" takes one, of classes; \"mse\" takes "
                   "several, of numbers",
                   data_.target.size(), job_.model.loss);
    return {};
  }

  Status check_columns() const {
    std::set<std::string> taken(data_.target.begin(), data_.target.end());
    if (taken.size() < data_.target.size()) return wrong("data.target", "names a column twice");
    if (is({"series"})) taken.clear();  // what is predicted is seen too
    const std::pair<const char*, const std::string&> single[] = {{"data.group", data_.group},
                                                                 {"data.time", data_.time}};
    for (const auto& [key, column] : single)
      if (!column.empty() && !taken.insert(column).second) return wrong(key, "= \"{}\" is in data.target too", column);
    for (const std::string& column : data_.columns)
      if (!taken.insert(column).second)
        return wrong("data.columns", "has \"{}\", which is there twice, or is no input", column);
    if (is({"csv"}) && data_.missing == "previous")
      return wrong("data.missing", "= \"previous\" is for data.kind = \"series\": lines of a table have no order");
    if (!data_.group.empty() && (is({"series"}) || data_.path.empty()))
      return wrong("data.group", "= \"{}\" is for data.kind = \"csv\" with data.path, which is to be split",
                   data_.group);
    return {};
  }

  Status check_fractions() const {
    if (data_.path.empty()) return {};
    if (data_.validation_fraction + data_.test_fraction >= 1.0)
      return wrong("data.test_fraction", "= {} and data.validation_fraction = {} leave nothing to train on",
                   data_.test_fraction, data_.validation_fraction);
    if (reads_test() && data_.test_fraction == 0.0)
      return wrong("data.test_fraction",
                   "= 0 leaves nothing to evaluate on: raise it, or set evaluation.enabled = "
                   "false");
    return {};
  }

  // A label for each byte, which of the networks with sizes only gpt predicts.
  Status check_text() const {
    if (job_.model.name != "gpt" && job_.model.name != "layers")
      return wrong("model.name", "= \"{}\" does not go with data.kind = \"text\": use \"gpt\" or \"layers\"",
                   job_.model.name);
    constexpr std::int64_t kBytes = 256;
    if (data_.classes != kBytes)
      return wrong("data.classes", "= {}: must be 256, as many as there are bytes, where data.kind = \"text\"",
                   data_.classes);
    return {};
  }

  Status check_holdout() const {
    const EvaluationConfig &evaluation = job_.evaluation, plain;
    if (evaluation.holdout == 0.0) {
      const std::pair<const char*, bool> needing[] = {{"evaluation.patience", evaluation.patience != plain.patience},
                                                      {"evaluation.min_delta", evaluation.min_delta != plain.min_delta},
                                                      {"evaluation.metric", evaluation.metric != plain.metric}};
      for (const auto& [key, given] : needing)
        if (given)
          return wrong(
              key,
              "is about evaluations on held-out training samples, and none are: set evaluation.holdout, to 0.1 "
              "for a tenth of them");
      return {};
    }
    if (!evaluation.enabled)
      return wrong("evaluation.holdout",
                   "= {} sets samples aside that nobody looks at: set evaluation.enabled = true, or holdout to 0",
                   evaluation.holdout);
    if (evaluation.part == "validation")
      return wrong(
          "evaluation.part",
          "= \"validation\" does not go with evaluation.holdout = {}, which has decisions made on a part of the "
          "training samples and keeps the test part for the end: give one of them",
          evaluation.holdout);
    if (data_.validation_fraction > 0.0)
      return wrong("data.validation_fraction",
                   "= {} does not go with evaluation.holdout = {}, which sets samples aside itself: give one of them",
                   data_.validation_fraction, evaluation.holdout);
    if (evaluation.metric == "accuracy" && (is({"series", "synthetic"}) || job_.model.loss == "mse"))
      return wrong("evaluation.metric",
                   "= \"accuracy\" needs classes, and this job predicts numbers: set it to \"loss\"");
    return {};
  }

  Status check_part() const {
    if (!job_.evaluation.enabled || job_.evaluation.part == "test" || is({"npz", "folder"})) return {};
    if (!is({"csv", "series", "libsvm", "text"}) || data_.path.empty())
      return wrong("evaluation.part",
                   "= \"validation\" needs data with such a part: an npz file, a folder, or what is behind "
                   "data.path and split");
    if (data_.validation_fraction == 0.0)
      return wrong("evaluation.part", "= \"validation\" needs data.validation_fraction above 0");
    return {};
  }

  const Job& job_;
  const DataConfig& data_;
  const Where& where_;
};

}  // namespace

Status check_data(const Job& job, const Where& where) { return DataChecker(job, where).run(); }

}  // namespace rubato
