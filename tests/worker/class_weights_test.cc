#include "worker/class_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato::worker {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Labels and nothing else.
class Labels final : public data::Dataset {
 public:
  explicit Labels(std::vector<std::int32_t> labels) : labels_(std::move(labels)) {}
  [[nodiscard]] std::uint64_t size() const override { return labels_.size(); }
  [[nodiscard]] data::SampleShape shape() const override { return {1, 1, 1}; }
  [[nodiscard]] std::int64_t target_floats() const override { return 0; }
  [[nodiscard]] const std::string& fingerprint() const override { return fingerprint_; }
  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    labels.push_back(labels_[id]);
  }
  Status gather(std::uint64_t, std::span<const std::uint64_t>, data::BatchBuffer&) const override { return {}; }

 private:
  const std::vector<std::int32_t> labels_;
  const std::string fingerprint_ = "labels";
};

Job job_of(std::vector<double> weights, const std::string& weighting = "none") {
  Job job;
  job.data.classes = 3;
  job.model.class_weights = std::move(weights);
  job.model.class_weighting = weighting;
  return job;
}

const std::vector<std::int32_t> kSome = {0, 0, 0, 0, 1, 2, 2, 2};

TEST(ClassWeights, AreNoneUnlessAskedFor) {
  EXPECT_THAT(weights_of_classes(job_of({}), Labels(kSome)).value(), IsEmpty());
}

// 4 * 1 + 1 * 5 + 3 * 1 = 12 over 8 labels: 1.5 on average.
TEST(ClassWeights, AreOneOnAverageOverTheTrainingPart) {
  EXPECT_THAT(weights_of_classes(job_of({1, 5, 1}), Labels(kSome)).value(),
              ElementsAre(DoubleEq(1 / 1.5), DoubleEq(5 / 1.5), DoubleEq(1 / 1.5)));
  EXPECT_THAT(weights_of_classes(job_of({10, 50, 10}), Labels(kSome)).value(),
              ElementsAre(DoubleEq(1 / 1.5), DoubleEq(5 / 1.5), DoubleEq(1 / 1.5)));
}

TEST(ClassWeights, BalancedEachClassHasTheSamePart) {
  EXPECT_THAT(weights_of_classes(job_of({}, "balanced"), Labels(kSome)).value(),
              ElementsAre(DoubleEq(8.0 / 12), DoubleEq(8.0 / 3), DoubleEq(8.0 / 9)));
}

TEST(ClassWeights, IgnoredLabelsAndClassesThatNeverComeDoNotCount) {
  EXPECT_THAT(weights_of_classes(job_of({}, "balanced"), Labels({0, kNoLabel, 2, 2, 2, kNoLabel})).value(),
              ElementsAre(DoubleEq(2.0), 0.0, DoubleEq(2.0 / 3)));
}

// 1 * 0 + 3 * 4 = 12 over 8 labels, of which four count nothing: 1.5 on average.
TEST(ClassWeights, AClassMayCountNothing) {
  EXPECT_THAT(weights_of_classes(job_of({0, 0, 4}), Labels(kSome)).value(), ElementsAre(0.0, 0.0, DoubleEq(4 / 1.5)));
  EXPECT_THAT(weights_of_classes(job_of({1, 1, 0}), Labels({2, 2, kNoLabel})).error().message,
              HasSubstr("every label of the training part is of a class whose weight is 0"));
}

TEST(ClassWeights, WithoutLabelsThereIsNothingToWeigh) {
  EXPECT_THAT(weights_of_classes(job_of({}, "balanced"), Labels({kNoLabel})).error().message,
              HasSubstr("the training part has none"));
  EXPECT_THAT(weights_of_classes(job_of({1, 1, 1}), Labels({7})).error().message,
              HasSubstr("label 7 of training sample 0: expected one from 0 to 2"));
}

}  // namespace
}  // namespace rubato::worker
