#include "sim/memory_estimate.h"

#include <gmock/gmock.h>

#include <map>

#include "server/version_table.h"
#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"
#include "worker/figures.h"

namespace rubato::sim {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::map<std::string, std::uint64_t> estimated(const Job& job) {
  std::map<std::string, std::uint64_t> rows;
  const std::vector<MemoryRow> estimate = estimate_memory(job).value();
  for (const MemoryRow& row : estimate) rows.emplace(row.what, row.bytes);
  return rows;
}

// A model of 1 MiB without layers, in four slices.
Job points() {
  Job job;
  job.model.name = "quadratic";
  job.model.size = kMiB / 4;
  job.data.kind = "synthetic";
  job.consistency.mode = "asp";
  job.cluster.workers = 3;
  job.cluster.slice_bytes = kMiB / 4;
  return job;
}

TEST(MemoryEstimate, NamesWhatThereIsOfTheModel) {
  Job job = points();
  const auto sgd = estimated(job);
  EXPECT_EQ(sgd.at("weights"), kMiB);
  EXPECT_FALSE(sgd.contains("optimizer state"));
  EXPECT_EQ(sgd.at("spare slots"), kMiB / 4);
  EXPECT_EQ(sgd.at("marks of workers"), server::VersionTable::bytes(4, 3));
  EXPECT_EQ(sgd.at("older weights that are still read"), 2 * kMiB);
  EXPECT_EQ(sgd.at("gradients"), 3 * kMiB);
  EXPECT_EQ(sgd.at("workers' weights"), 3 * kMiB);
  EXPECT_FALSE(sgd.contains("reordered weights"));
  EXPECT_EQ(sgd.at("a server's slices"), kMiB + kMiB / 4 + sgd.at("marks of workers"));
  EXPECT_GE(sgd.at("a worker's weights, gradient and activations"), 2 * kMiB);
  job.optimizer.name = "adam";
  job.cluster.servers = 2;
  const auto adam = estimated(job);
  EXPECT_EQ(adam.at("optimizer state"), 2 * kMiB);
  EXPECT_EQ(adam.at("spare slots"), 2 * 3 * kMiB / 4);
  EXPECT_EQ(adam.at("a server's slices"), 3 * (kMiB / 2 + kMiB / 4) + adam.at("marks of workers") / 2);
  EXPECT_EQ(adam.at("older weights that are still read"), 2 * kMiB);  // without their state
}

TEST(MemoryEstimate, NamesWhatServersHaveOnAGpu) {
  Job job = points();
  EXPECT_FALSE(estimated(job).contains("slices of servers"));
  const auto host = estimated(job);
  job.server.device = "cuda:0";
  // Four slices and a spare one, and eight gradients on their way into a sum.
  EXPECT_EQ(estimated(job).at("slices of servers"), (4 + 1 + 8) * kMiB / 4);
  EXPECT_EQ(estimated(job).at("weights"), host.at("weights")) << "which are on the host as well";
  job.optimizer.name = "adam";
  job.evaluation.average = 0.9;
  job.cluster.servers = 2;
  EXPECT_EQ(estimated(job).at("slices of servers"), 2 * ((2 + 1) * 4 + 8) * kMiB / 4);
}

TEST(MemoryEstimate, CountsWhatAModeKeepsMore) {
  Job job = points();
  job.consistency.mode = "bsp";
  job.train.micro_batches = 12;  // four leaves each: two sums wait while a third is computed
  EXPECT_EQ(estimated(job).at("gradients"), 3 * 3 * kMiB);
  // Of four leaves and four; the last four add up as they come.
  EXPECT_EQ(estimated(job).at("sums of gradients"), kMiB);
  EXPECT_FALSE(estimated(job).contains("older weights that are still read"));
  job.train.micro_batches = 9;  // three leaves each, in two nodes: what was pushed waits for the clock as well
  EXPECT_EQ(estimated(job).at("gradients"), (2 + 3 + 2) * kMiB);
  job.consistency.mode = "softsync:2";
  EXPECT_EQ(estimated(job).at("gradients under commit"), 3 * kMiB);
  EXPECT_EQ(estimated(job).at("older weights that are still read"), 3 * kMiB);
  job.consistency.mode = "local:4+asp";
  job.optimizer.name = "momentum";
  EXPECT_EQ(estimated(job).at("deltas"), 3 * kMiB);
  EXPECT_EQ(estimated(job).at("local steps"), 2 * 3 * kMiB);
  EXPECT_EQ(estimated(job).at("inner optimizers' state"), 3 * kMiB);
  job = points();
  job.optimizer.compensation.name = "adaptive";
  EXPECT_EQ(estimated(job).at("older weights that are still read"), 2 * 3 * kMiB);
  EXPECT_EQ(estimated(job).at("optimizer state"), kMiB);  // the mean square
  job.evaluation.average = 0.99;
  EXPECT_EQ(estimated(job).at("optimizer state"), 2 * kMiB);
}

TEST(MemoryEstimate, CountsTheSnapshotsThatMayWaitForTheEvaluator) {
  const auto held = [](const Job& job) { return estimated(job).at("weights held for the evaluator") / kMiB; };
  Job job = points();
  job.train.steps = 0;
  job.train.epochs = 1;
  EXPECT_EQ(held(job), 1u);
  job.train.epochs = 4;  // the last of them are the newest weights themselves
  EXPECT_EQ(held(job), 3u);
  job.train.epochs = 1000;
  EXPECT_EQ(held(job), 6u) << "later ones are left out";
  job.evaluation.every_epochs = 400;
  EXPECT_EQ(held(job), 2u);
  job.evaluation.per_epoch = 2;
  EXPECT_EQ(held(job), 5u);
  job.evaluation.every_epochs = job.evaluation.per_epoch = 1;
  job.data.samples = 3000;
  job.train.batch = 10;
  job.train.steps = 200;  // clocks of 30 samples: two epochs
  EXPECT_EQ(held(job), 1u);
  job.train.steps = 250;
  EXPECT_EQ(held(job), 2u);
  job.consistency.mode = "bsp";  // of 10
  EXPECT_EQ(held(job), 1u);
  job.evaluation.enabled = false;
  EXPECT_FALSE(estimated(job).contains("weights held for the evaluator"));
}

// A small network on images; there are none yet.
Job pictures(const test::TempDirectory& folder) {
  Job job;
  job.model.name = "cnn";
  job.model.channels = {8, 16};
  job.consistency.mode = "asp";
  job.cluster.workers = 2;
  job.train.batch = 32;
  job.evaluation.batch = 100;
  job.data.train_inputs = folder.file("train");
  job.data.test_inputs = folder.file("test");
  job.data.test_labels = folder.file("test labels");
  return job;
}

// Headers alone: nobody reads what would be behind them.
void write_pictures(const Job& job, std::uint32_t train, std::uint32_t test) {
  data::test::write_bytes(job.data.train_inputs, data::test::idx_bytes({train, 28, 28}, ""));
  data::test::write_bytes(job.data.test_inputs, data::test::idx_bytes({test, 28, 28}, ""));
}

TEST(MemoryEstimate, AsksTheDeviceForTheRest) {
  const test::TempDirectory folder;
  Job job = pictures(folder);
  EXPECT_EQ(estimate_memory(job).error().cause, Cause::kData);
  write_pictures(job, 1000, 100);
  const auto rows = estimated(job);
  // Workers and evaluator have read the training set; each worker has five batches at hand or ahead.
  EXPECT_EQ(rows.at("data"), (2 + 1) * 1000 * 788u + 100 * 788u + 2 * 5 * 32 * 784 * 4u);
  // Of each worker, what 32 samples are behind the first layer, its pool and the second one.
  EXPECT_GT(rows.at("activations"), 2 * 32 * 4u * (28 * 28 * 8 + 14 * 14 * 8 + 14 * 14 * 16));
  EXPECT_GT(rows.at("reordered weights"), 0u);
  // 500 samples of a worker are no whole number of batches.
  EXPECT_EQ(rows.at("reordered for short batches"), rows.at("reordered weights"));
  EXPECT_GT(rows.at("evaluator"), rows.at("weights") + 100 * 4u * 28 * 28 * 8);
  job.worker.micro_batch = 8;
  const auto cut = estimated(job);
  EXPECT_LT(cut.at("activations"), rows.at("activations") / 2);
  EXPECT_EQ(cut.at("gradients"), 2 * rows.at("gradients"));
  EXPECT_EQ(rows.at("data") - cut.at("data"), 2 * 5 * (32 - 8) * 784 * 4u);
  job.worker.micro_batch = 32;  // nothing to cut
  EXPECT_EQ(estimated(job), rows);
  job.worker.micro_batch = 8;
  job.data.shards = "leased";  // of up to four batches, computed as little at a time
  EXPECT_EQ(estimated(job).at("activations"), cut.at("activations"));
  EXPECT_GT(estimated(job).at("reordered for short batches"), rows.at("reordered for short batches"));
  job.data.shards = "static";
  job.train.batch = 20;
  EXPECT_FALSE(estimated(job).contains("reordered for short batches"));
  job.train.batch = 32;
  job.consistency.mode = "bsp";
  const auto leaves = estimated(job);
  job.worker.micro_batch = 0;
  EXPECT_EQ(estimated(job), leaves) << "leaves are all";
  job.evaluation.enabled = false;
  EXPECT_FALSE(estimated(job).contains("evaluator"));
}

// A batch of an evaluation is never larger than what is evaluated.
TEST(MemoryEstimate, CountsNoMoreSamplesThanAreEvaluated) {
  const test::TempDirectory folder;
  Job job = pictures(folder);
  write_pictures(job, 1000, 100);
  const std::uint64_t all = estimated(job).at("evaluator");
  job.evaluation.batch = 500;
  EXPECT_EQ(estimated(job).at("evaluator"), all);
  job.evaluation.batch = 50;
  EXPECT_LT(estimated(job).at("evaluator"), all);
  // Here the larger part is what is held out.
  job.evaluation.batch = 500;
  job.evaluation.holdout = 0.3;
  const std::uint64_t of_300 = estimated(job).at("evaluator");
  job.evaluation.batch = 300;
  EXPECT_EQ(estimated(job).at("evaluator"), of_300);
  job.evaluation.batch = 200;
  EXPECT_LT(estimated(job).at("evaluator"), of_300);
}

// The last batch is short, and its plan has weights in its own order.
TEST(MemoryEstimate, CountsThePlanOfEachSizeThatIsEvaluated) {
  const test::TempDirectory folder;
  Job job = pictures(folder);
  write_pictures(job, 1000, 100);
  job.evaluation.batch = 50;
  const std::uint64_t even = estimated(job).at("evaluator");
  write_pictures(job, 1000, 120);
  const std::uint64_t figures = worker::bytes_of_figures(job, {.samples = 120, .shape = {28, 28, 1}}) -
                                worker::bytes_of_figures(job, {.samples = 100, .shape = {28, 28, 1}});
  EXPECT_GT(estimated(job).at("evaluator"), even + figures);
}

// Of each byte of a text a network that tells of 256 classes says so many numbers, which come to the host.
TEST(MemoryEstimate, CountsWhatAnEvaluationSays) {
  const test::TempDirectory folder;
  Job job;
  job.model.name = "gpt";
  job.model.width = 8;
  job.model.heads = 2;
  job.data.kind = "text";
  job.data.classes = 256;
  job.data.window = 64;
  job.data.stride = 64;
  job.data.path = folder.file("text");
  job.data.test_fraction = 0.5;
  data::test::write_bytes(job.data.path, std::string(20'000, 'a'));
  job.evaluation.batch = 100;
  const std::uint64_t hundred = estimated(job).at("evaluator");
  job.evaluation.batch = 50;
  constexpr std::uint64_t kScores = 50 * 64 * 256 * sizeof(float);
  EXPECT_GT(hundred - estimated(job).at("evaluator"), 2 * kScores) << "on the device, and on the host";
}

// Their scores, and no matrix of them.
TEST(MemoryEstimate, CountsTheFiguresOfManyClasses) {
  Job job;
  job.data.kind = "text";  // which has no areas under curves
  job.data.classes = 50'000;
  const std::size_t many = worker::bytes_of_figures(job, {.samples = 10, .shape = {64, 1, 1}});
  EXPECT_GT(many, std::size_t{50} << 20);
  EXPECT_LT(many, std::size_t{100} << 20);
  EXPECT_EQ(worker::bytes_of_figures(job, {.samples = 10, .shape = {64, 1, 1}, .target_floats = 3}), 0u);
}

}  // namespace
}  // namespace rubato::sim
