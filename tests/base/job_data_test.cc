// What [data] of a job file has to be, before any file is looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/job.h"

namespace rubato {
namespace {

using testing::ElementsAre;

// Line 1 to 3; what is given begins in line 4.
Result<Job> parse(const std::string& data, const std::string& rest = "", const std::string& loss = "cross_entropy") {
  return parse_job("[model]\nname = \"logistic\"\nloss = \"" + loss + "\"\n[data]\n" + data + rest, "j");
}

std::string error_of(const Result<Job>& job) {
  if (job.ok()) return "";
  EXPECT_EQ(job.error().cause, Cause::kUsage);
  return job.error().message;
}

std::string error_of(const std::string& data, const std::string& rest = "", const std::string& loss = "cross_entropy") {
  return error_of(parse(data, rest, loss));
}

const std::string kCsv = "kind = \"csv\"\npath = \"t.csv\"\ntarget = \"y\"\n";
const std::string kSeries = "kind = \"series\"\npath = \"t.csv\"\ntarget = [\"y\"]\n";
const std::string kNoEvaluation = "[evaluation]\nenabled = false\n";
const std::string kValidation = "[evaluation]\npart = \"validation\"\n";

TEST(JobData, EachKindNeedsItsFiles) {
  for (const std::string kind : {"npz", "cifar", "series", "csv", "libsvm"})
    EXPECT_EQ(error_of("kind = \"" + kind + "\"\n"), "j: data.path is missing: data.kind = \"" + kind + "\" needs it");
  EXPECT_EQ(error_of("kind = \"npy\"\ntrain_inputs = \"a\"\n"),
            "j: data.train_labels is missing: data.kind = \"npy\" needs it");
  EXPECT_EQ(error_of("kind = \"npz\"\npath = \"a\"\n"), "");
  EXPECT_EQ(error_of("kind = \"cifar\"\npath = \"a\"\n"), "");
  const std::string two = "kind = \"csv\"\ntarget = \"y\"\ntrain_inputs = \"a\"\n";
  EXPECT_EQ(error_of(two), "j: data.test_inputs is missing: give it, or set evaluation.enabled = false");
  EXPECT_EQ(error_of(two, kNoEvaluation), "");
  EXPECT_EQ(error_of(two + "test_inputs = \"b\"\n"), "");
  EXPECT_EQ(error_of(two + "path = \"b\"\n"),
            "j:7: data.train_inputs is given beside data.path: give one table to be split, or two that are");
}

// Tokens and the network that reads them go together.
TEST(JobData, TextIsForGptAndGptForText) {
  const auto text = [](const std::string& model, const std::string& data) {
    return error_of(parse_job("[model]\n" + model + "\n[data]\n" + data, "j"));
  };
  const std::string kText = "kind = \"text\"\npath = \"t\"\nclasses = 256\n";
  EXPECT_EQ(text("name = \"gpt\"", kText), "");
  EXPECT_EQ(text("name = \"logistic\"", kText),
            "j:2: model.name = \"logistic\" does not go with data.kind = \"text\": use \"gpt\" or \"layers\"");
  EXPECT_EQ(text("name = \"gpt\"", "kind = \"text\"\npath = \"t\"\n"),
            "j: data.classes = 10: must be 256, as many as there are bytes, where data.kind = \"text\"");
  EXPECT_EQ(text("name = \"gpt\"", "kind = \"npz\"\npath = \"t\"\n"),
            "j:4: data.kind = \"npz\" does not go with model.name = \"gpt\", which reads tokens: use \"text\"");
  EXPECT_EQ(text("name = \"gpt\"\nheads = 5", kText), "j:3: model.heads = 5 does not divide model.width = 64");
  EXPECT_EQ(text("name = \"gpt\"\nloss = \"mse\"", kText),
            "j:3: model.loss = \"mse\" does not go with model.name = \"gpt\": set it to \"cross_entropy\"");
  EXPECT_EQ(text("name = \"logistic\"\nloss = \"mse\"\nlabel_smoothing = 0.1", "kind = \"npz\"\npath = \"t\"\n"),
            "j:4: model.label_smoothing = 0.1 does not go with model.loss = \"mse\": it is for cross_entropy");
}

TEST(JobData, WhatIsPredictedFitsTheLoss) {
  EXPECT_EQ(error_of("kind = \"csv\"\npath = \"t\"\n"),
            "j: data.target is missing: name the column that is to be predicted");
  EXPECT_EQ(error_of(kCsv), "");
  const std::string two = "kind = \"csv\"\npath = \"t\"\ntarget = [\"y\", \"z\"]\n";
  EXPECT_EQ(error_of(two),
            "j:7: data.target has 2 columns, and model.loss = \"cross_entropy\" takes one, of classes; \"mse\" takes "
            "several, of numbers");
  EXPECT_EQ(error_of(two, "", "mse"), "");
  EXPECT_EQ(error_of(kSeries),
            "j:3: model.loss = \"cross_entropy\" does not go with data.kind = \"series\", which has numbers to "
            "predict: set it to \"mse\"");
  EXPECT_EQ(error_of(kSeries, "", "mse"), "");
  EXPECT_EQ(error_of("kind = \"cifar\"\npath = \"t\"\ntarget = \"coars\"\n"),
            "j:7: data.target must be \"fine\" or \"coarse\" where data.kind = \"cifar\"; did you mean \"coarse\"?");
}

TEST(JobData, ClassWeightsAndIgnoredLabelsAreForClasses) {
  const auto parsed = [](const std::string& model, const std::string& data = "") {
    return error_of(parse_job(
        "[model]\nname = \"logistic\"\n" + model + "\n[data]\nkind = \"npz\"\npath = \"t\"\nclasses = 2\n" + data,
        "j"));
  };
  EXPECT_EQ(parsed("class_weights = [1, 2.5]", "ignored_labels = [255, -1]"), "");
  EXPECT_EQ(parsed("class_weighting = \"balanced\"\nloss = \"binary_cross_entropy\""), "");
  EXPECT_EQ(parsed("class_weights = [1, 2, 3]"),
            "j:3: model.class_weights has 3 numbers, and data.classes = 2: give one for each class");
  EXPECT_EQ(parsed("class_weights = [1, 0]"), "");
  EXPECT_EQ(parsed("class_weights = [0, 0]"), "j:3: model.class_weights are all 0: no class would count");
  EXPECT_EQ(parsed("class_weights = [1, -1]"),
            "j:3: model.class_weights: each must be 0 to 1e+30, and number 2 of 2 (class 1, counted from 0) is -1");
  EXPECT_EQ(parsed("class_weights = [nan, 1]"),
            "j:3: model.class_weights: each must be finite, and number 1 of 2 (class 0, counted from 0) is nan");
  EXPECT_EQ(parsed("class_weights = [1, 1e-40]"),
            "j:3: model.class_weights has 1e-40, number 2 of 2 (class 1, counted from 0): each must be 0, or at least "
            "1e-30");
  EXPECT_EQ(parsed("class_weighting = \"balance\""),
            "j:3: model.class_weighting = \"balance\": must be one of \"none\", \"balanced\"; did you mean "
            "\"balanced\"?");
  EXPECT_EQ(parsed("class_weights = [1, 2]\nclass_weighting = \"balanced\""),
            "j:3: model.class_weights and model.class_weighting = \"balanced\" both weigh classes: give one of them");
  EXPECT_EQ(parsed("loss = \"mse\"\nclass_weighting = \"balanced\""),
            "j:4: model.class_weighting does not go with model.loss = \"mse\", which has no classes: it is for "
            "cross_entropy and binary_cross_entropy");
  EXPECT_EQ(parsed("loss = \"mse\"", "ignored_labels = [1]"),
            "j:8: data.ignored_labels does not go with model.loss = \"mse\", which has no labels: leave it out");
  EXPECT_EQ(error_of(kSeries + "ignored_labels = [1]\n", "", "mse"),
            "j:8: data.ignored_labels does not go with data.kind = \"series\", which has no labels: leave it out");
}

TEST(JobData, LengthsAreOfSequencesAndOfBothParts) {
  const auto lengths = [](const std::string& model, const std::string& data, const std::string& rest = "") {
    return error_of(parse_job("[model]\nname = \"" + model + "\"\n[data]\nkind = \"npy\"\ntrain_inputs = \"a\"\n" +
                                  "train_labels = \"b\"\ntest_inputs = \"c\"\ntest_labels = \"d\"\n" + data + rest,
                              "j"));
  };
  const std::string train = "train_lengths = \"e\"\n", test = "test_lengths = \"f\"\n";
  EXPECT_EQ(lengths("gru", train + test), "");
  EXPECT_EQ(lengths("gru", train), "j: data.test_lengths is missing, and data.train_lengths is there: give both");
  EXPECT_EQ(lengths("gru", train, kNoEvaluation), "");
  EXPECT_EQ(lengths("lstm", test), "j: data.train_lengths is missing, and data.test_lengths is there: give both");
  EXPECT_EQ(lengths("lenet5", train + test),
            "j:9: data.train_lengths does not go with model.name = \"lenet5\", which takes a sample as a whole: use "
            "\"lstm\", \"gru\" or \"layers\"");
}

TEST(JobData, AColumnIsOneThing) {
  EXPECT_EQ(error_of(kCsv + "group = \"y\"\n"), "j:8: data.group = \"y\" is in data.target too");
  EXPECT_EQ(error_of(kCsv + "columns = [\"a\", \"y\"]\n"),
            "j:8: data.columns has \"y\", which is there twice, or is no input");
  EXPECT_EQ(error_of(kCsv + "columns = [\"a\", \"a\"]\n"),
            "j:8: data.columns has \"a\", which is there twice, or is no input");
  EXPECT_EQ(error_of(kSeries + "columns = [\"a\", \"y\"]\n", "", "mse"), "") << "what is predicted is seen too";
  EXPECT_EQ(error_of(kSeries + "time = \"a\"\ncolumns = [\"a\"]\n", "", "mse"),
            "j:9: data.columns has \"a\", which is there twice, or is no input");
  EXPECT_EQ(error_of("kind = \"csv\"\npath = \"t\"\ntarget = [\"y\", \"y\"]\n", "", "mse"),
            "j:7: data.target names a column twice");
  EXPECT_EQ(error_of(kCsv + "missing = \"previous\"\n"),
            "j:8: data.missing = \"previous\" is for data.kind = \"series\": lines of a table have no order");
  EXPECT_EQ(error_of(kSeries + "group = \"g\"\n", "", "mse"),
            "j:8: data.group = \"g\" is for data.kind = \"csv\" with data.path, which is to be split");
}

TEST(JobData, PartsLeaveSomethingForEachOther) {
  EXPECT_EQ(error_of(kCsv + "test_fraction = 0.6\nvalidation_fraction = 0.4\n"),
            "j:8: data.test_fraction = 0.6 and data.validation_fraction = 0.4 leave nothing to train on");
  EXPECT_EQ(error_of(kCsv + "test_fraction = 0\n"),
            "j:8: data.test_fraction = 0 leaves nothing to evaluate on: raise it, or set evaluation.enabled = false");
  EXPECT_EQ(error_of(kCsv + "test_fraction = 0\n", kNoEvaluation), "");
  EXPECT_EQ(error_of(kCsv, kValidation),
            "j:9: evaluation.part = \"validation\" needs data.validation_fraction above 0");
  EXPECT_EQ(error_of(kCsv + "validation_fraction = 0.1\ntest_fraction = 0\n", kValidation), "");
  EXPECT_EQ(error_of("kind = \"npz\"\npath = \"t\"\n", kValidation), "");
  EXPECT_EQ(
      error_of("kind = \"cifar\"\npath = \"t\"\n", kValidation),
      "j:8: evaluation.part = \"validation\" needs data with such a part: an npz file, a folder, or what is behind "
      "data.path and split");
  EXPECT_EQ(error_of("kind = \"folder\"\npath = \"t\"\n", kValidation), "");
}

TEST(JobData, WhatIsHeldOutDecidesAlone) {
  const auto evaluation = [](const std::string& keys) { return "[evaluation]\n" + keys + "\n"; };
  const std::string npz = "kind = \"npz\"\npath = \"t\"\n",
                    needs =
                        " is about evaluations on held-out training samples, and none are: set evaluation.holdout, to "
                        "0.1 for a tenth of "
                        "them";
  EXPECT_EQ(error_of(npz, evaluation("holdout = 0.1\npatience = 3\nmin_delta = 0.01\nmetric = \"accuracy\"")), "");
  EXPECT_EQ(error_of(npz, evaluation("patience = 3")), "j:8: evaluation.patience" + needs);
  EXPECT_EQ(error_of(npz, evaluation("min_delta = 0.1")), "j:8: evaluation.min_delta" + needs);
  EXPECT_EQ(error_of(npz, evaluation("metric = \"accuracy\"")), "j:8: evaluation.metric" + needs);
  EXPECT_EQ(error_of(npz, evaluation("holdout = 0.1\nenabled = false")),
            "j:8: evaluation.holdout = 0.1 sets samples aside that nobody looks at: set evaluation.enabled = true, or "
            "holdout to 0");
  EXPECT_EQ(
      error_of(npz, evaluation("holdout = 0.1\npart = \"validation\"")),
      "j:9: evaluation.part = \"validation\" does not go with evaluation.holdout = 0.1, which has decisions made on "
      "a part of the training samples and keeps the test part for the end: give one of them");
  EXPECT_EQ(error_of(kCsv + "validation_fraction = 0.2\n", evaluation("holdout = 0.1")),
            "j:8: data.validation_fraction = 0.2 does not go with evaluation.holdout = 0.1, which sets samples aside "
            "itself: give one of them");
  EXPECT_EQ(error_of(kSeries, evaluation("holdout = 0.1\nmetric = \"accuracy\""), "mse"),
            "j:10: evaluation.metric = \"accuracy\" needs classes, and this job predicts numbers: set it to \"loss\"");
  EXPECT_EQ(error_of(npz, evaluation("holdout = 1.0")),
            "j:8: evaluation.holdout = 1.0: must be at least 0 and below 1");
}

TEST(JobData, MeansAreOneNumberOrOneForEachChannel) {
  const std::string npz = "kind = \"npz\"\npath = \"a\"\n";
  EXPECT_THAT(parse(npz + "mean = 1\n")->data.mean, ElementsAre(1.0));
  EXPECT_THAT(parse(npz + "mean = [0.5, 1]\n")->data.mean, ElementsAre(0.5, 1.0));
  EXPECT_EQ(error_of(npz + "mean = []\n"), "j:7: data.mean is empty: give a number, or one for each channel");
  EXPECT_EQ(error_of(npz + "mean = \"a\"\n"),
            "j:7: data.mean = \"a\": expected a number or a list of numbers, found a string");
  EXPECT_EQ(error_of(npz + "mean = [1, \"a\"]\n"),
            "j:7: data.mean: expected a number or a list of numbers, found a string in the list");
  EXPECT_EQ(error_of(npz + "stddev = [1, 0]\n"),
            "j:7: data.stddev: each must be 1e-30 to 1e+30, and number 2 of 2 is 0");
  EXPECT_EQ(error_of(npz + "stddev = 0\n"), "j:7: data.stddev = 0: must be 1e-30 to 1e+30");
  EXPECT_EQ(error_of(npz + "mean = [1, 2]\nstddev = [1, 2, 3]\n"),
            "j:8: data.stddev has 3 numbers and data.mean 2: give one for each channel, or one for all");
  for (const std::string text : {"mean = 0.5\n", "mean = [0.5, 0.25]\n"}) {
    const Job job = *parse(npz + text);
    EXPECT_NE(write_job(job).find("\n" + text), std::string::npos) << "is written as it was given";
    EXPECT_EQ(*parse_job(write_job(job), "again"), job);
  }
}

TEST(JobData, ImagesOfAFolderFitTheirKeys) {
  const std::string folder = "kind = \"folder\"\npath = \"a\"\n";
  EXPECT_EQ(error_of(folder), "");
  EXPECT_EQ(error_of("kind = \"folder\"\n"), "j: data.path is missing: data.kind = \"folder\" needs it");
  EXPECT_EQ(error_of(folder + "group = \"(.*)_\"\n"), "");
  EXPECT_EQ(error_of(folder + "group = \"patient\"\n"),
            "j:7: data.group = \"patient\" has no parentheses around what images of one group share, as in \"(.*)_\"");
  EXPECT_THAT(error_of(folder + "group = \"(a\"\n"), testing::HasSubstr("j:7: data.group = \"(a\" is no expression: "));
  EXPECT_EQ(error_of(folder + "channels = 2\n"), "j:7: data.channels = 2 is neither gray, 1, nor colour, 3");
  EXPECT_EQ(error_of(folder + "normalization = \"imagenet\"\n"), "");
  EXPECT_EQ(error_of(folder + "normalization = \"imagenet\"\nchannels = 1\n"),
            "j:7: data.normalization = \"imagenet\" needs data.channels = 3");
  EXPECT_EQ(error_of(folder + "mean = 0.5\nnormalization = \"imagenet\"\n"),
            "j:8: data.normalization = \"imagenet\" does not go with data.mean and data.stddev: give one of them");
  EXPECT_EQ(error_of(folder + "image_size = 32\nresize = 31\n"),
            "j:8: data.resize = 31 is less than data.image_size = 32, which is cut out of it");
  EXPECT_EQ(error_of(folder + "crop_area = [0.5, 0.1]\n"),
            "j:7: data.crop_area must be the least and the greatest, as [0.5, 1.0]");
  EXPECT_EQ(error_of(folder + "crop_ratio = 1.0\n"),
            "j:7: data.crop_ratio must be the least and the greatest, as [0.5, 1.0]");
  EXPECT_EQ(error_of(folder + "crop_area = [0.5, 1.5]\n"), "j:7: data.crop_area goes up to 1.5, and an image has 1");
}

TEST(JobData, HowImagesAreReadIsNoPartOfTheJobsHash) {
  const std::string folder = "kind = \"folder\"\npath = \"a\"\n";
  const std::string hash = job_hash(*parse(folder));
  EXPECT_EQ(job_hash(*parse(folder + "readers = 7\ncache_mb = 0\n")), hash);
  EXPECT_NE(job_hash(*parse(folder + "flip = 0.0\n")), hash);
}

TEST(JobData, ASeparatorIsOneCharacter) {
  for (const std::string text : {";", "|", "\\t", " "})
    EXPECT_EQ(error_of(kCsv + "separator = \"" + text + "\"\n"), "") << text;
  for (const std::string text : {"", ",,", "a", "1", "\\\"", "-", "\\n"})
    EXPECT_NE(error_of(kCsv + "separator = \"" + text + "\"\n"), "") << text;
}

TEST(JobData, NotesNameKeysThatDoNothing) {
  Job job = *parse(kCsv);
  EXPECT_TRUE(job_notes(job).empty());
  job.data.window = 3;
  job.data.mean = {1.0};
  job.data.skip_max = 3;
  EXPECT_THAT(job_notes(job),
              ElementsAre("data.mean has no effect on csv data", "data.window has no effect on csv data"));
}

}  // namespace
}  // namespace rubato
