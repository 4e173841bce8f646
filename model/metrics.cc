#include "model/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "kernels/op_desc.h"

namespace rubato::model {
namespace {

double ratio(double part, double whole) { return whole == 0.0 ? 0.0 : part / whole; }

// As 2 tp / (2 tp + fp + fn), which is the harmonic mean of precision and recall without their 0 / 0.
Score score(std::int64_t true_positives, std::int64_t predicted, std::int64_t actual) {
  const auto hits = static_cast<double>(true_positives);
  return {.precision = ratio(hits, static_cast<double>(predicted)),
          .recall = ratio(hits, static_cast<double>(actual)),
          .f1 = ratio(2.0 * hits, static_cast<double>(predicted + actual)),
          .support = actual};
}

template <typename Weight>
Score average(std::span<const Score> scores, Weight weight) {
  Score sum;
  double weights = 0.0;
  for (const Score& s : scores) {
    const double w = weight(s);
    sum.precision += w * s.precision;
    sum.recall += w * s.recall;
    sum.f1 += w * s.f1;
    sum.support += s.support;
    weights += w;
  }
  return {ratio(sum.precision, weights), ratio(sum.recall, weights), ratio(sum.f1, weights), sum.support};
}

std::string class_name(std::span<const std::string> names, std::size_t index) {
  return names.empty() ? std::to_string(index) : names[index];
}

std::string score_row(const std::string& name, const Score& s, std::size_t width) {
  return fmt::format("{:>{}}  {:>9.4f}  {:>9.4f}  {:>9.4f}  {:>8}\n", name, width, s.precision, s.recall, s.f1,
                     s.support);
}

std::string confusion_table(const ConfusionMatrix& confusion, std::span<const std::string> names, std::size_t width) {
  std::vector<std::size_t> columns(confusion.classes());
  for (std::size_t p = 0; p < columns.size(); ++p) {
    columns[p] = class_name(names, p).size();
    for (std::size_t l = 0; l < columns.size(); ++l) {
      columns[p] = std::max(columns[p], std::to_string(confusion.count(l, p)).size());
    }
  }
  std::string text = fmt::format("confusion: a row is the true class, a column the predicted one\n{:>{}}", "", width);
  for (std::size_t p = 0; p < columns.size(); ++p) text += fmt::format("  {:>{}}", class_name(names, p), columns[p]);
  text += '\n';
  for (std::size_t l = 0; l < columns.size(); ++l) {
    text += fmt::format("{:>{}}", class_name(names, l), width);
    for (std::size_t p = 0; p < columns.size(); ++p) text += fmt::format("  {:>{}}", confusion.count(l, p), columns[p]);
    text += '\n';
  }
  return text;
}

// As a label or as a prediction.
bool occurs(const ConfusionMatrix& confusion, std::size_t c) {
  return confusion.labelled(c) > 0 || confusion.predicted(c) > 0;
}

nlohmann::json score_json(const Score& s) {
  return {{"precision", s.precision}, {"recall", s.recall}, {"f1", s.f1}, {"support", s.support}};
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(std::size_t classes)
    : classes_(classes), sums_(classes), counts_(classes <= kConfusionMax ? classes * classes : 0) {
  RUBATO_CHECK(classes > 0);
}

void ConfusionMatrix::add(std::span<const std::int32_t> labels, std::span<const std::int32_t> predictions) {
  RUBATO_CHECK(labels.size() == predictions.size(), "{} labels, {} predictions", labels.size(), predictions.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == kNoLabel) continue;
    const auto label = static_cast<std::size_t>(labels[i]), prediction = static_cast<std::size_t>(predictions[i]);
    RUBATO_CHECK(label < classes_ && prediction < classes_, "label {}, prediction {}, {} classes", labels[i],
                 predictions[i], classes_);
    ++sums_[label].labelled;
    ++sums_[prediction].predicted;
    if (label == prediction) ++sums_[label].hits;
    if (!counts_.empty()) ++counts_[label * classes_ + prediction];
  }
}

void ConfusionMatrix::merge(const ConfusionMatrix& other) {
  RUBATO_CHECK(classes_ == other.classes_, "{} and {} classes", classes_, other.classes_);
  for (std::size_t c = 0; c < classes_; ++c) {
    sums_[c].hits += other.sums_[c].hits;
    sums_[c].labelled += other.sums_[c].labelled;
    sums_[c].predicted += other.sums_[c].predicted;
  }
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::int64_t ConfusionMatrix::count(std::size_t label, std::size_t prediction) const {
  RUBATO_CHECK(label < classes_ && prediction < classes_ && !counts_.empty());
  return counts_[label * classes_ + prediction];
}

std::int64_t ConfusionMatrix::total() const {
  std::int64_t sum = 0;
  for (const Sums& sums : sums_) sum += sums.labelled;
  return sum;
}

ClassificationReport make_report(const ConfusionMatrix& confusion) {
  ClassificationReport report{confusion, 0.0, {}, {}, {}, {}};
  std::int64_t hits = 0;
  for (std::size_t c = 0; c < confusion.classes(); ++c) {
    hits += confusion.hits(c);
    report.per_class.push_back(score(confusion.hits(c), confusion.predicted(c), confusion.labelled(c)));
  }
  const std::int64_t total = confusion.total();
  report.accuracy = ratio(static_cast<double>(hits), static_cast<double>(total));
  report.macro = average(report.per_class, [](const Score&) { return 1.0; });
  report.weighted = average(report.per_class, [](const Score& s) { return static_cast<double>(s.support); });
  report.micro = score(hits, total, total);
  return report;
}

std::string to_table(const ClassificationReport& report, std::span<const std::string> names) {
  const std::size_t classes = report.confusion.classes();
  RUBATO_CHECK(names.empty() || names.size() == classes, "{} names, {} classes", names.size(), classes);
  std::size_t width = std::string("weighted").size();
  for (std::size_t c = 0; c < classes; ++c) width = std::max(width, class_name(names, c).size());

  std::string text =
      fmt::format("{:>{}}  {:>9}  {:>9}  {:>9}  {:>8}\n", "class", width, "precision", "recall", "f1", "support");
  const bool few = classes <= kConfusionMax;
  for (std::size_t c = 0; c < classes; ++c) {
    if (few || occurs(report.confusion, c)) text += score_row(class_name(names, c), report.per_class[c], width);
  }
  text += '\n';
  text += score_row("macro", report.macro, width);
  text += score_row("micro", report.micro, width);
  text += score_row("weighted", report.weighted, width);
  text += fmt::format("{:>{}}  {:>9.4f}  of {} samples\n\n", "accuracy", width, report.accuracy, report.micro.support);
  return few ? text + confusion_table(report.confusion, names, width) : text;
}

nlohmann::json to_json(const ClassificationReport& report) {
  nlohmann::json per_class = nlohmann::json::array(), confusion = nlohmann::json::array();
  const std::size_t classes = report.confusion.classes();
  for (std::size_t label = 0; label < classes; ++label) {
    per_class.push_back(score_json(report.per_class[label]));
    if (classes > kConfusionMax) continue;
    nlohmann::json row = nlohmann::json::array();
    for (std::size_t prediction = 0; prediction < classes; ++prediction) {
      row.push_back(report.confusion.count(label, prediction));
    }
    confusion.push_back(std::move(row));
  }
  nlohmann::json json = {{"samples", report.micro.support},   {"accuracy", report.accuracy},
                         {"per_class", std::move(per_class)}, {"macro", score_json(report.macro)},
                         {"micro", score_json(report.micro)}, {"weighted", score_json(report.weighted)}};
  if (classes <= kConfusionMax) json["confusion"] = std::move(confusion);
  return json;
}

}  // namespace rubato::model
