#include "data/libsvm_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>

#include "base/hash.h"
#include "base/log.h"
#include "data/labelled_samples.h"
#include "data/row_split.h"
#include "data/scaling.h"
#include "data/sparse_rows.h"

namespace rubato::data {
namespace {

// A column's mean and deviation, of which most values are zeros that are not there.
struct ColumnScale {
  std::vector<double> mean, deviation;
};

ColumnScale fit(const SparseRows& rows, const std::vector<std::uint64_t>& train, std::size_t features, bool standard) {
  ColumnScale scale{.mean = std::vector<double>(features, 0.0), .deviation = std::vector<double>(features, 1.0)};
  if (!standard) return scale;
  std::vector<std::uint64_t> there(features, 0);
  const auto count = static_cast<double>(train.size());
  for (const std::uint64_t row : train)
    for (std::uint64_t i = rows.begin(row); i < rows.ends[row]; ++i) {
      scale.mean[rows.indexes[i]] += rows.values[i] / count;
      ++there[rows.indexes[i]];
    }
  std::vector<double> squares(features, 0.0);
  for (const std::uint64_t row : train)
    for (std::uint64_t i = rows.begin(row); i < rows.ends[row]; ++i) {
      const double distance = rows.values[i] - scale.mean[rows.indexes[i]];
      squares[rows.indexes[i]] += distance * distance;
    }
  for (std::size_t f = 0; f < features; ++f) {
    const double zeros = count - static_cast<double>(there[f]);
    const double deviation = std::sqrt((squares[f] + zeros * scale.mean[f] * scale.mean[f]) / count);
    if (deviation > 1e-14 * std::abs(scale.mean[f])) scale.deviation[f] = deviation;
  }
  return scale;
}

// "of its labels 3 are -1, 1 is 2".
std::string text_of(const std::map<double, std::size_t>& counts) {
  constexpr std::size_t kMost = 8;
  if (counts.size() > kMost)
    return fmt::format("its labels have {} values, from {} to {}", counts.size(), counts.begin()->first,
                       counts.rbegin()->first);
  std::vector<std::string> parts;
  for (const auto& [label, count] : counts)
    parts.push_back(fmt::format("{} {} {}", count, count == 1 ? "is" : "are", label));
  return fmt::format("of its labels {}", fmt::join(parts, ", "));
}

struct Samples {
  std::size_t features = 0;
  std::vector<float> zero;          // what a value that is not there becomes
  std::vector<std::uint64_t> ends;  // of each sample's values
  std::vector<std::uint32_t> indexes;
  std::vector<float> values;         // scaled
  std::vector<std::int32_t> labels;  // one a sample; or none, and
  std::vector<float> targets;        // one a sample
  TargetScale scale;                 // of them
  std::vector<std::string> class_names;
  std::string path;
  std::vector<std::uint64_t> lines;  // of samples, in the file
};

class LibsvmDataset : public Dataset {
 public:
  LibsvmDataset(Samples samples, const std::string& kind) : samples_(std::move(samples)) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(kind)));
    hash.update(std::as_bytes(std::span(samples_.zero)));
    hash.update(std::as_bytes(std::span(samples_.ends)));
    hash.update(std::as_bytes(std::span(samples_.indexes)));
    hash.update(std::as_bytes(std::span(samples_.values)));
    hash.update(std::as_bytes(std::span(samples_.labels)));
    hash.update(std::as_bytes(std::span(samples_.targets)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return samples_.ends.size(); }
  SampleShape shape() const override { return {1, 1, static_cast<std::int64_t>(samples_.features)}; }
  std::int64_t target_floats() const override { return samples_.targets.empty() ? 0 : 1; }
  const std::string& fingerprint() const override { return fingerprint_; }
  TargetScale target_scale(std::size_t /*target*/) const override { return samples_.scale; }
  std::span<const std::string> class_names() const override { return samples_.class_names; }
  std::string file() const override { return samples_.path; }
  std::string sample_name(std::uint64_t id) const override {
    return fmt::format("{}:{}", samples_.path, samples_.lines.at(id));
  }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    if (!samples_.labels.empty()) labels.push_back(samples_.labels.at(id));
  }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    const Samples& s = samples_;
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * s.features);
    batch.labels.clear();
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    float* out = batch.inputs.data();
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < size(), "sample {} of {}", id, size());
      std::ranges::copy(s.zero, out);
      for (std::uint64_t i = id == 0 ? 0 : s.ends[id - 1]; i < s.ends[id]; ++i) out[s.indexes[i]] = s.values[i];
      out += s.features;
      if (s.labels.empty())
        batch.targets.push_back(s.targets[id]);
      else
        batch.labels.push_back(s.labels[id]);
    }
    return {};
  }

 private:
  const Samples samples_;
  std::string fingerprint_;
};

class Builder {
 public:
  explicit Builder(const Job& job) : job_(job), data_(job.data), one_(!data_.path.empty()) {}

  Result<std::unique_ptr<Dataset>> run(Split split) {
    RUBATO_TRY(read_train());
    if (split == Split::kTrain || one_) return make(train_, parts_.of(split), train_path());
    return make_of_all(data_.test_inputs);
  }

  Result<std::unique_ptr<Dataset>> run_file(const std::string& path, Answers answers) {
    RUBATO_TRY(read_train());
    answers_ = answers;
    return make_of_all(path);
  }

  Result<DatasetSize> size(Split split) {
    RUBATO_TRY(read_train());
    const bool train = split == Split::kTrain || one_;
    SparseRows test;
    if (!train) {
      RUBATO_ASSIGN(test, read(data_.test_inputs, static_cast<std::uint32_t>(features_)));
    }
    const SparseRows& rows = train ? train_ : test;
    const std::uint64_t samples = train ? parts_.of(split).size() : test.rows();
    return DatasetSize{.samples = samples,
                       .shape = {1, 1, static_cast<std::int64_t>(features_)},
                       .target_floats = predicts_numbers() ? 1 : 0,
                       .bytes = rows.values.size() * (sizeof(float) + sizeof(std::uint32_t)) +
                                samples * (2 * sizeof(std::uint64_t) + sizeof(float)) + features_ * sizeof(float)};
  }

 private:
  [[nodiscard]] const std::string& train_path() const { return one_ ? data_.path : data_.train_inputs; }
  [[nodiscard]] bool predicts_numbers() const { return job_.model.loss == "mse"; }

  [[nodiscard]] Result<SparseRows> read(const std::string& path, std::uint32_t features_max) const {
    RUBATO_ASSIGN(SparseRows rows, read_sparse_rows(path, data_, features_max));
    if (!rows.skipped.empty()) log::warn("{}: {}", path, rows.skipped);
    return rows;
  }

  Status read_train() {
    RUBATO_ASSIGN(train_, read(train_path(), static_cast<std::uint32_t>(data_.features)));
    features_ = data_.features > 0 ? static_cast<std::size_t>(data_.features) : train_.features;
    if (features_ == 0)
      return Error{Cause::kData, train_path() + ": no line has a value: set data.features, or look at the file"};
    if (one_) {
      RUBATO_ASSIGN(parts_, split_rows(train_.rows(), data_, train_path(), "sample"));
      return {};
    }
    parts_.train = all_rows(train_.rows());
    return {};
  }

  Result<std::unique_ptr<Dataset>> make_of_all(const std::string& path) {
    RUBATO_ASSIGN(const SparseRows all, read(path, static_cast<std::uint32_t>(features_)));
    return make(all, all_rows(all.rows()), path);
  }

  Result<std::unique_ptr<Dataset>> make(const SparseRows& rows, const std::vector<std::uint64_t>& ids,
                                        const std::string& path) {
    const ColumnScale scale = fit(train_, parts_.train, features_, data_.scaling == "standard");
    Samples samples{.features = features_,
                    .zero = {},
                    .ends = {},
                    .indexes = {},
                    .values = {},
                    .labels = {},
                    .targets = {},
                    .scale = {},
                    .class_names = {},
                    .path = path,
                    .lines = {}};
    const auto scaled = [&](double value, std::size_t f) {
      return static_cast<float>((value - scale.mean[f]) / scale.deviation[f]);
    };
    for (std::size_t f = 0; f < features_; ++f) samples.zero.push_back(scaled(0.0, f));
    for (const std::uint64_t row : ids) {
      for (std::uint64_t i = rows.begin(row); i < rows.ends[row]; ++i) {
        samples.indexes.push_back(rows.indexes[i]);
        samples.values.push_back(scaled(rows.values[i], rows.indexes[i]));
      }
      samples.ends.push_back(samples.values.size());
      samples.lines.push_back(rows.lines[row]);
    }
    RUBATO_TRY(predicts_numbers() ? take_targets(rows, ids, samples) : take_labels(rows, ids, path, samples));
    const std::string kind = fmt::format("libsvm {} x {}; {}", ids.size(), features_, data_.classes);
    return std::unique_ptr<Dataset>(new LibsvmDataset(std::move(samples), kind));
  }

  Status take_labels(const SparseRows& rows, const std::vector<std::uint64_t>& ids, const std::string& path,
                     Samples& samples) const {
    // The two classes of support vector machines are -1 and +1.
    std::vector<double> known;
    std::ranges::copy_if(train_.labels, std::back_inserter(known), [this](double label) { return !ignored(label); });
    const bool signs = data_.classes == 2 &&
                       std::ranges::all_of(known, [](double label) { return label == -1.0 || label == 1.0; }) &&
                       std::ranges::find(known, -1.0) != known.end();
    const std::int64_t first = signs ? -1 : data_.first_label, last = signs ? 1 : first + data_.classes - 1;
    if (signs) samples.class_names = {"-1", "1"};
    for (const std::uint64_t row : ids) {
      const double label = rows.labels[row];
      if (answers_ == Answers::kNone) {
        samples.labels.push_back(0);
        continue;
      }
      if (ignored(label)) {
        samples.labels.push_back(kNoLabel);
        continue;
      }
      const bool whole = label == std::floor(label) && !(signs && label == 0.0);
      if (!whole || label < static_cast<double>(first) || label > static_cast<double>(last))
        return wrong_label(rows, ids, path, signs);
      const auto number = static_cast<std::int32_t>(label - static_cast<double>(first));
      samples.labels.push_back(signs ? number / 2 : number);
    }
    return {};
  }

  // Names the first row whose label is wrong, and all labels that there are. Where one is -1, and few are neither that
  // nor 1, it is these few that are wrong.
  [[nodiscard]] Error wrong_label(const SparseRows& rows, const std::vector<std::uint64_t>& ids,
                                  const std::string& path, bool signs) const {
    std::map<double, std::size_t> counts;
    for (const std::uint64_t row : ids)
      if (!ignored(rows.labels[row])) ++counts[rows.labels[row]];
    std::size_t others = 0;
    for (const auto& [label, times] : counts)
      if (std::abs(label) != 1.0) others += times;
    const std::int64_t first = data_.first_label, last = first + data_.classes - 1;
    if (data_.classes == 2 && first > -1 && others > 0 && counts.contains(-1.0) && counts.at(-1.0) >= others)
      signs = true;
    const auto is_wrong = [&](std::uint64_t row) {
      const double label = rows.labels[row];
      if (ignored(label)) return false;
      if (signs) return std::abs(label) != 1.0;
      return label != std::floor(label) || label < static_cast<double>(first) || label > static_cast<double>(last);
    };
    const std::uint64_t row = *std::ranges::find_if(ids, is_wrong);
    return {Cause::kData,
            fmt::format("{}:{}: expected a label {} (data.classes = {}), found {}; {}", path, rows.lines[row],
                        signs ? "that is -1 or 1" : fmt::format("from {} to {}", first, last), data_.classes,
                        rows.labels[row], text_of(counts))};
  }

  [[nodiscard]] bool ignored(double label) const {
    return std::abs(label) < 1e15 && label == std::floor(label) && is_ignored(data_, static_cast<std::int64_t>(label));
  }

  Status take_targets(const SparseRows& rows, const std::vector<std::uint64_t>& ids, Samples& samples) const {
    RUBATO_ASSIGN(const Scaling scaling, Scaling::fit(train_.labels, 1, parts_.train,
                                                      data_.target_scaling == "standard", train_path(), {"label"}));
    samples.scale = scaling.of_column(0);
    for (const std::uint64_t row : ids)
      samples.targets.push_back(answers_ == Answers::kNone ? 0.0f : scaling.scaled(rows.labels[row], 0));
    return {};
  }

  const Job& job_;
  const DataConfig& data_;
  const bool one_;
  SparseRows train_;
  std::size_t features_ = 0;
  RowSplit parts_;
  Answers answers_ = Answers::kRead;
};

}  // namespace

Result<DatasetSize> size_of_libsvm_dataset(const Job& job, Split split) { return Builder(job).size(split); }

Result<std::unique_ptr<Dataset>> open_libsvm_dataset(const Job& job, Split split) { return Builder(job).run(split); }

Result<std::unique_ptr<Dataset>> open_libsvm_file(const Job& job, const std::string& path, Answers answers) {
  return Builder(job).run_file(path, answers);
}

}  // namespace rubato::data
