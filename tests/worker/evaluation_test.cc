// What an evaluator computes, and the files that it writes.
#include "worker/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "base/hash.h"
#include "base/rng.h"
#include "data/safetensors.h"
#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"
#include "worker/figures.h"
#include "worker/trainer.h"

namespace rubato::worker {
namespace {

using data::test::idx_bytes;
using data::test::npy_bytes;
using data::test::value_bytes;
using data::test::write_bytes;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint32_t kHeight = 2, kWidth = 3, kTestSamples = 11;

// Three classes of random images, in idx files.
Job mlp_job(const test::TempDirectory& directory) {
  Job job;
  job.model.hidden = {8};
  job.data.classes = 3;
  job.evaluation.batch = 4;  // the last of three batches is short
  RandomStream random(stream_key(4, "images"));
  const auto write = [&](const std::string& name, std::uint32_t samples, std::string& inputs, std::string& labels) {
    std::string pixels, classes;
    for (std::uint32_t i = 0; i < samples; ++i) {
      for (std::uint32_t pixel = 0; pixel < kHeight * kWidth; ++pixel) pixels += static_cast<char>(random.below(256));
      classes += static_cast<char>(i % 3);
    }
    inputs = directory.file(name + "-inputs");
    labels = directory.file(name + "-labels");
    write_bytes(inputs, idx_bytes({samples, kHeight, kWidth}, pixels));
    write_bytes(labels, idx_bytes({samples}, classes));
  };
  write("train", 12, job.data.train_inputs, job.data.train_labels);
  write("test", kTestSamples, job.data.test_inputs, job.data.test_labels);
  return job;
}

Job quadratic_job() {
  Job job;
  job.model.name = "quadratic";
  job.model.size = 40;
  job.data.kind = "synthetic";
  job.data.samples = 32;
  return job;
}

class EvaluatorTest : public testing::Test {
 protected:
  void open(const Job& job) {
    job_ = job;
    trainer_ = Trainer::open(job, evaluator_node(0), directory_.path().string()).value();
    routing_ = {1, protocol::cut_slices(trainer_->manifest(), 64, 2), {"a", "b"}};
    trainer_->set_routing(routing_);
    RandomStream random(stream_key(6, "weights"));
    for (const ParameterSpec& spec : trainer_->manifest()) {
      weights_.emplace_back(static_cast<std::size_t>(spec.elements()));
      for (float& value : weights_.back()) value = unit_float(random.next_u32()) - 0.5f;
    }
  }

  [[nodiscard]] EvaluateWeights order(bool final, std::uint64_t snapshot = 3) const {
    EvaluateWeights order{{snapshot, 0, 17, final}, {}};
    for (const protocol::SliceSpec& slice : routing_.slices) {
      std::vector<float> values;
      for (const protocol::Piece& piece : slice.pieces) {
        const auto first = weights_[piece.parameter].begin() + static_cast<std::ptrdiff_t>(piece.first);
        values.insert(values.end(), first, first + static_cast<std::ptrdiff_t>(piece.count));
      }
      order.slices.push_back(Payload::of_floats(values));
    }
    return order;
  }

  ComputeReport evaluate(const EvaluateWeights& order) {
    std::vector<ComputeReport> reports;
    std::optional<ComputeOrder> next = order;
    WorkerState none;
    trainer_->run([&] { return std::exchange(next, std::nullopt); },
                  [&](ComputeReport report) { reports.push_back(std::move(report)); }, none);
    EXPECT_EQ(reports.size(), 1u);
    return reports.empty() ? ComputeFailed{} : reports.front();
  }
  protocol::EvaluationDone done(const EvaluateWeights& order) {
    const ComputeReport report = evaluate(order);
    if (const auto* failed = std::get_if<ComputeFailed>(&report)) ADD_FAILURE() << failed->error.message;
    return std::holds_alternative<Evaluated>(report) ? std::get<Evaluated>(report).done : protocol::EvaluationDone{};
  }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_.file(name); }
  [[nodiscard]] std::string text(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return text.str();
  }

  test::TempDirectory directory_;
  Job job_;
  std::unique_ptr<Trainer> trainer_;
  protocol::RoutingTable routing_;
  std::vector<std::vector<float>> weights_;
};

TEST_F(EvaluatorTest, FiguresOfTheWholeTestSet) {
  open(mlp_job(directory_));
  const protocol::EvaluationDone result = done(order(false));
  EXPECT_EQ(result.snapshot, 3u);
  EXPECT_TRUE(result.figures.evaluated);
  EXPECT_TRUE(result.weights_sha256.empty());
  EXPECT_GT(result.figures.loss, 0.0);

  const auto details = nlohmann::json::parse(result.figures.details_json);
  EXPECT_EQ(details["samples"], kTestSamples);
  EXPECT_EQ(details["accuracy"], result.figures.accuracy);
  EXPECT_EQ(details["macro"]["precision"], result.figures.precision_macro);
  EXPECT_EQ(details["macro"]["recall"], result.figures.recall_macro);
  EXPECT_EQ(details["macro"]["f1"], result.figures.f1_macro);
  std::int64_t right = 0;
  EXPECT_GT(details["auc"], 0.0);
  EXPECT_LE(details["auc"], 1.0);
  for (std::size_t c = 0; c < 3; ++c) EXPECT_TRUE(details["per_class"][c]["auc"].is_number());
  for (std::size_t c = 0; c < 3; ++c) right += details["confusion"][c][c].get<std::int64_t>();
  EXPECT_DOUBLE_EQ(result.figures.accuracy, static_cast<double>(right) / kTestSamples);
  EXPECT_THAT(text("evaluation.txt"), HasSubstr("accuracy"));
  EXPECT_THAT(text("evaluation.txt"), HasSubstr("auc  0."));
}

// Weights of 0 predict the training part's mean, whatever they see; and of a line that never moves nothing is scaled.
TEST_F(EvaluatorTest, AForecastIsMeasuredAgainstTheSeasonalNaive) {
  Job job;
  job.model.name = "logistic";
  job.model.loss = "mse";
  job.data.kind = "series";
  job.data.path = directory_.file("series.csv");
  job.data.target = {"y", "still"};
  job.data.window = 2;
  job.data.test_fraction = 0.4;
  job.evaluation.batch = 1;
  write_bytes(job.data.path, "y,still\n1,5\n3,5\n2,5\n2,5\n5,5\n11,5\n4,5\n8,5\n8,5\n1,5\n");
  open(job);
  for (auto& parameter : weights_) std::ranges::fill(parameter, 0.0f);
  const protocol::EvaluationDone result = done(order(true));
  EXPECT_TRUE(std::isnan(result.figures.accuracy));
  const auto details = nlohmann::json::parse(result.figures.details_json);
  EXPECT_EQ(details["season"], 1);
  EXPECT_EQ(details["samples"], 2);
  EXPECT_EQ(details["naive_samples"], 2);
  // Training: mean 4, and 2 1 0 3 6 from line to line. Test: 8 and 1, behind 8 and 8; kept as float32, in units of a
  // deviation of about 3.4, so within 1e-6.
  EXPECT_NEAR(details["targets"][0]["mae"].get<double>(), (4.0 + 3.0) / 2.0, 1e-6);
  EXPECT_NEAR(details["targets"][0]["mase"].get<double>(), 3.5 / 2.4, 1e-6);
  EXPECT_DOUBLE_EQ(details["targets"][0]["naive_mae"].get<double>(), 7.0 / 2.0);
  EXPECT_DOUBLE_EQ(details["targets"][0]["naive_mase"].get<double>(), 3.5 / 2.4);
  EXPECT_EQ(details["targets"][1]["mae"], 0.0);
  EXPECT_TRUE(details["targets"][1]["mase"].is_null());
  EXPECT_TRUE(details["targets"][1]["naive_mase"].is_null());
  EXPECT_EQ(details["mase"], details["targets"][0]["mase"]);  // of those that have one
  EXPECT_THAT(text("evaluation.txt"), HasSubstr("naive: as the last line; over 2 of 2 samples"));
  EXPECT_THAT(text("evaluation.txt"), testing::Not(HasSubstr("inf")));
}

TEST_F(EvaluatorTest, ClassesGoByTheirNamesWhereTheDataHasThem) {
  Job job;
  job.model.name = "logistic";
  job.data.kind = "csv";
  job.data.path = directory_.file("patients.csv");
  job.data.target = {"finding"};
  job.data.classes = 2;
  job.data.test_fraction = 0.4;
  write_bytes(job.data.path,
              "age,finding\n1,sick\n3,well\n2,sick\n7,well\n5,sick\n9,well\n4,sick\n8,well\n6,sick\n1,well\n");
  open(job);
  done(order(true));
  EXPECT_THAT(text("evaluation.txt"), testing::ContainsRegex("\n +sick +[01]\\."));
  EXPECT_THAT(text("evaluation.txt"), testing::ContainsRegex("\n +sick  well\n")) << "the confusion matrix";
}

TEST(ForecastTable, CanBeReadWhateverTheNumbersAre) {
  data::SeasonalNaive naive;
  const double none = std::nan("");
  naive.targets = {{"cars", 2.0, none}, {"trams", 4.0, 8.0}};
  Figures figures;
  figures.forecast = Forecast{&naive, 3, {1e31, none}};
  const std::string table = table_of(figures);
  EXPECT_EQ(table,
            "target          mae         mase    naive mae   naive mase\n"
            "  cars        1e+31        5e+30            -            -\n"
            " trams            -            -            8            2\n"
            "  mean                     5e+30                         2\n"
            "naive: as the last line; over 0 of 3 samples\n");
}

// However the test set is cut into batches.
TEST_F(EvaluatorTest, TheBatchSizeChangesNoFigure) {
  Job job = mlp_job(directory_);
  open(job);
  const protocol::EvaluationDone small = done(order(false));
  job.evaluation.batch = 500;
  weights_.clear();
  open(job);
  const protocol::EvaluationDone large = done(order(false));
  EXPECT_NEAR(small.figures.loss, large.figures.loss, 1e-6);
  EXPECT_EQ(small.figures.details_json, large.figures.details_json);
}

TEST_F(EvaluatorTest, TheFinalOneWritesTheWeightsAndTheirHash) {
  open(mlp_job(directory_));
  EXPECT_TRUE(done(order(false)).weights_sha256.empty());
  EXPECT_FALSE(std::filesystem::exists(path("final.safetensors")));

  const protocol::EvaluationDone result = done(order(true, 4));
  const auto file = data::read_safetensors(path("final.safetensors"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  Sha256 hash;
  ASSERT_EQ(file->tensors.size(), weights_.size());
  for (std::size_t p = 0; p < weights_.size(); ++p) {
    EXPECT_EQ(file->tensors[p].name, trainer_->manifest()[p].name);
    EXPECT_EQ(file->tensors[p].shape, trainer_->manifest()[p].shape);
    EXPECT_EQ(file->tensors[p].values, weights_[p]);
    hash.update(std::as_bytes(std::span(weights_[p])));
  }
  EXPECT_EQ(result.weights_sha256, hash.hex());
  EXPECT_EQ(file->metadata.at("layout"), "channels last");
}

TEST_F(EvaluatorTest, AModelThatPredictsNothingHasALossAlone) {
  open(quadratic_job());
  const protocol::EvaluationDone result = done(order(true));
  EXPECT_TRUE(result.figures.evaluated);
  const auto test_set = data::open_dataset(job_, data::Split::kTest).value();
  std::vector<std::uint64_t> ids(test_set->size());
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  data::BatchBuffer batch;
  EXPECT_TRUE(test_set->gather(0, ids, batch).ok());
  double loss = 0.0;
  for (std::size_t i = 0; i < batch.targets.size(); ++i)
    loss += 0.5 * std::pow(static_cast<double>(weights_[0][i % 40]) - batch.targets[i], 2.0);
  EXPECT_NEAR(result.figures.loss, loss / static_cast<double>(test_set->size()), 1e-9);
  EXPECT_TRUE(std::isnan(result.figures.accuracy) && std::isnan(result.figures.f1_macro));
  EXPECT_TRUE(result.figures.details_json.empty());
  EXPECT_FALSE(std::filesystem::exists(path("evaluation.txt")));
  EXPECT_EQ(result.weights_sha256, sha256_hex(std::as_bytes(std::span(weights_[0]))));
}

TEST_F(EvaluatorTest, WithoutATestSetTheWeightsAreWritten) {
  Job job = mlp_job(directory_);
  job.evaluation.enabled = false;
  job.data.test_inputs = job.data.test_labels = "/nowhere";
  open(job);
  const protocol::EvaluationDone result = done(order(true));
  EXPECT_FALSE(result.figures.evaluated);
  EXPECT_EQ(result.weights_sha256.size(), 64u);
  EXPECT_TRUE(std::filesystem::exists(path("final.safetensors")));
}

TEST_F(EvaluatorTest, EachSnapshotIsReadWithItsOwnWeights) {
  open(mlp_job(directory_));
  const double before = done(order(false, 1)).figures.loss;
  for (auto& parameter : weights_)
    for (float& value : parameter) value *= 3.0f;
  const double after = done(order(false, 2)).figures.loss;
  EXPECT_NE(before, after);
  for (auto& parameter : weights_)
    for (float& value : parameter) value /= 3.0f;
  EXPECT_NEAR(done(order(false, 3)).figures.loss, before, 1e-6);
}

// ---- with evaluation.holdout -------------------------------------------------------------------------

class HoldoutEvaluatorTest : public EvaluatorTest {
 protected:
  HoldoutEvaluatorTest() {
    Job job = mlp_job(directory_);
    job.evaluation.holdout = 0.5;
    open(job);
  }
  // The figure to beat, as the scheduler would say it.
  protocol::EvaluationDone judged(bool final, double to_beat) {
    EvaluateWeights next = order(final, ++snapshot_);
    next.order.to_beat = to_beat;
    return done(next);
  }
  void scale_weights(float by) {
    for (auto& parameter : weights_)
      for (float& value : parameter) value *= by;
  }
  [[nodiscard]] std::vector<std::vector<float>> kept() const {
    std::vector<std::vector<float>> values;
    const auto file = data::read_safetensors(path("best.safetensors"));
    EXPECT_TRUE(file.ok()) << file.error().message;
    if (file.ok())
      for (const data::Tensor& tensor : file->tensors) values.push_back(tensor.values);
    return values;
  }
  static constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  std::uint64_t snapshot_ = 0;
};

TEST_F(HoldoutEvaluatorTest, WhatIsHeldOutIsEvaluatedAndTheTestSetIsNot) {
  const protocol::EvaluationDone result = judged(false, kNothing);
  EXPECT_EQ(nlohmann::json::parse(result.figures.details_json)["samples"], 6);
  EXPECT_FALSE(result.test.evaluated);
  EXPECT_TRUE(result.best);
  EXPECT_EQ(kept(), weights_);
  EXPECT_EQ(result.best_sha256.size(), 64u);
}

TEST_F(HoldoutEvaluatorTest, WhatBeatsNothingIsNotKept) {
  const double loss = judged(false, kNothing).figures.loss;
  const auto before = kept();
  scale_weights(2.0f);
  const protocol::EvaluationDone other = judged(false, 0.0);
  EXPECT_NE(other.figures.loss, loss);
  EXPECT_FALSE(other.best);
  EXPECT_TRUE(other.best_sha256.empty());
  EXPECT_EQ(kept(), before);
  EXPECT_FALSE(judged(false, other.figures.loss).best) << "as good is not better";
  EXPECT_TRUE(judged(false, 1e9).best);
  EXPECT_EQ(kept(), weights_);
}

TEST_F(HoldoutEvaluatorTest, InTheEndTheBestWeightsAreTested) {
  const double loss = judged(false, kNothing).figures.loss;
  const auto best = weights_;
  scale_weights(-3.0f);
  const protocol::EvaluationDone last = judged(true, 1e-9);
  EXPECT_FALSE(last.best);
  EXPECT_NE(last.figures.loss, loss) << "of the last weights";
  EXPECT_EQ(data::read_safetensors(path("final.safetensors"))->tensors[0].values, weights_[0]);
  EXPECT_EQ(kept(), best);
  EXPECT_EQ(nlohmann::json::parse(last.test.details_json)["samples"], kTestSamples);
  EXPECT_THAT(text("evaluation.txt"), HasSubstr(std::to_string(kTestSamples)));
  EXPECT_NE(last.best_sha256, last.weights_sha256);

  // The same weights on the test set, where nothing is held out.
  job_.evaluation.holdout = 0.0;
  Job plain = job_;
  weights_.clear();
  open(plain);
  weights_ = best;
  const protocol::EvaluationDone tested = done(order(false, 90));
  EXPECT_EQ(tested.figures.loss, last.test.loss);
  EXPECT_EQ(tested.figures.details_json, last.test.details_json);
}

TEST_F(HoldoutEvaluatorTest, TheLastWeightsMayBeTheBest) {
  const protocol::EvaluationDone result = judged(true, kNothing);
  EXPECT_TRUE(result.best);
  EXPECT_EQ(result.best_sha256, result.weights_sha256);
  EXPECT_TRUE(result.test.evaluated);
}

TEST_F(HoldoutEvaluatorTest, WhatIsNoNumberIsNeverTheBest) {
  weights_.back()[0] = std::numeric_limits<float>::quiet_NaN();
  const protocol::EvaluationDone result = judged(true, kNothing);
  EXPECT_TRUE(std::isnan(result.figures.loss));
  EXPECT_FALSE(result.best);
  EXPECT_FALSE(std::filesystem::exists(path("best.safetensors")));
  EXPECT_TRUE(result.test.evaluated) << "of the last ones: there are no others";
}

// Where somebody has put another file, or none is there.
TEST_F(HoldoutEvaluatorTest, BestWeightsThatAreNotTheJobsAreSaid) {
  EvaluateWeights last = order(true);
  last.order.to_beat = 1e-9;
  ASSERT_TRUE(std::holds_alternative<ComputeFailed>(evaluate(last)));
  const std::vector<float> other{1, 2};
  const data::TensorView tensor{"other", {2}, std::span<const float>(other)};
  ASSERT_TRUE(data::write_safetensors(path("best.safetensors"), std::span(&tensor, 1)).ok());
  const ComputeReport report = evaluate(last);
  ASSERT_TRUE(std::holds_alternative<ComputeFailed>(report));
  EXPECT_EQ(std::get<ComputeFailed>(report).error.message,
            path("best.safetensors") + ": expected the weights that this job has written, found others");
}

// What a machine makes of its inputs may be a small number: it decides nothing.
TEST_F(EvaluatorTest, OfMachinesThatAreTrainedNothingIsKept) {
  Job job = mlp_job(directory_);
  job.model.name = "dbn";
  job.model.pretrain_epochs = 2;
  job.evaluation.holdout = 0.5;
  open(job);
  EvaluateWeights machine = order(false, 1), whole = order(false, 2);
  machine.order.epoch = 1;
  whole.order.epoch = 2;
  EXPECT_FALSE(done(machine).best);
  EXPECT_FALSE(std::filesystem::exists(path("best.safetensors")));
  EXPECT_TRUE(done(whole).best);
}

// Makes an error of 1 of each sample that it sees.
class MachineOfOnes : public model::Model {
 public:
  [[nodiscard]] std::span<const ParameterSpec> parameters() const override { return {}; }
  [[nodiscard]] std::int64_t outputs() const override { return 0; }
  [[nodiscard]] Result<model::LeafStats> train_leaf(const model::Batch& /*batch*/, model::WeightSource& /*source*/,
                                                    model::GradientSink& /*sink*/) override {
    return model::LeafStats{};
  }
  [[nodiscard]] Result<model::Evaluation> evaluate(const model::Batch& batch,
                                                   model::WeightSource& /*source*/) override {
    const std::size_t samples = batch.samples();
    return model::Evaluation{static_cast<double>(samples), static_cast<std::int64_t>(samples), 0.0, {}, {}};
  }
};

class NoWeights : public model::WeightSource {
 public:
  std::span<const float> weights(std::size_t /*parameter*/) override { return {}; }
  Version version(std::size_t /*parameter*/) override { return {}; }
};

// What has no label, as an image that is damaged, is one of those that it makes something of.
TEST_F(EvaluatorTest, OfMachinesTheLossIsTheMeanOverAllThatTheySee) {
  Job job = mlp_job(directory_);
  job.data.ignored_labels = {0};
  const auto data = data::open_dataset(job, data::Split::kTest).value();
  MachineOfOnes machine;
  NoWeights none;
  data::BatchBuffer buffer;
  const Figures figures = figures_on(machine, *data, job, none, buffer).value();
  EXPECT_EQ(figures.loss, 1.0);
  EXPECT_EQ(figures.samples, kTestSamples);
}

TEST_F(EvaluatorTest, AnInputThatAMachineDoesNotSeeIsToldWithFileAndSample) {
  Job job = mlp_job(directory_);
  job.model.name = "dbn";
  job.model.pretrain_epochs = 2;
  job.data.stddev = {0.5};
  open(job);
  const ComputeReport report = evaluate(order(false, 1));
  ASSERT_TRUE(std::holds_alternative<ComputeFailed>(report));
  EXPECT_THAT(std::get<ComputeFailed>(report).error.message, StartsWith(job.data.test_inputs + ": sample 0, value "));
}

TEST_F(EvaluatorTest, PartsAreToBeAnsweredAlike) {
  Job job;
  job.model.loss = "mse";
  job.data.kind = "npy";
  job.data.classes = 3;
  const auto write = [&](const std::string& name, const std::string& type, const std::string& values) {
    write_bytes(directory_.file(name), npy_bytes(type, "(2,)", values));
    return directory_.file(name);
  };
  const std::string images = directory_.file("images");
  write_bytes(images, npy_bytes("'|u1'", "(2, 1, 2)", "abcd"));
  const std::string floats = write("floats", "'<f4'", value_bytes<float>({0.5f, 1.0f}));
  const std::string classes = write("classes", "'<i8'", value_bytes<std::int64_t>({2, 1}));
  job.data.train_inputs = job.data.test_inputs = images;
  job.data.train_labels = floats;
  job.data.test_labels = classes;
  const auto error = [&] { return Trainer::open_datasets(job, Role::kEvaluator).error().message; };
  EXPECT_EQ(error(), classes +
                         ": expected labels that are 1 number in the test part, as those for training are, "
                         "found classes");
}

TEST_F(EvaluatorTest, AFileThatCannotBeWrittenIsSaid) {
  open(mlp_job(directory_));
  for (const char* name : {"final.safetensors", "evaluation.txt"}) {
    std::filesystem::create_directory(path(name));
    const ComputeReport report = evaluate(order(true));
    ASSERT_TRUE(std::holds_alternative<ComputeFailed>(report)) << name;
    EXPECT_EQ(std::get<ComputeFailed>(report).error.cause, Cause::kStorage);
    EXPECT_THAT(std::get<ComputeFailed>(report).error.message, HasSubstr(path(name)));
    std::filesystem::remove(path(name));
  }
  EXPECT_TRUE(std::filesystem::exists(path("final.safetensors"))) << "the weights do not wait for an evaluation";
  EXPECT_EQ(done(order(true)).weights_sha256.size(), 64u);
}

}  // namespace
}  // namespace rubato::worker
