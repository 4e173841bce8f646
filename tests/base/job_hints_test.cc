// What is said of a value that was meant well: how to write it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/job.h"

namespace rubato {
namespace {

using testing::HasSubstr;

const std::string kJob = "[model]\nname = \"quadratic\"\n[data]\nkind = \"synthetic\"\n";

std::string error_of(const Result<Job>& job) { return job.ok() ? "(no error)" : job.error().message; }

std::string in_file(const std::string& text) { return error_of(parse_job(kJob + text, "j")); }

std::string typed(const std::string& key, const std::string& value) {
  return error_of(parse_job(kJob, "j", {{key, value}}));
}

TEST(JobHints, ANumberForAListOfThem) {
  EXPECT_EQ(error_of(parse_job("[model]\nname = \"mlp\"\nhidden = 32\n", "j")),
            "j:3: model.hidden = 32: expected a list of integers, found an integer: write [32]");
  EXPECT_EQ(typed("model.hidden", "32"),
            "--set: model.hidden = 32: expected a list of integers, found an integer: write [32]");
  for (const char* value : {"128,64", "128, 64", "(128,64)", "[128 64]", "128,64]"})
    EXPECT_EQ(typed("model.hidden", value), "--set: model.hidden = \"" + std::string(value) +
                                                "\": expected a list of integers, found a string: write [128, 64]");
  EXPECT_THAT(typed("data.mean", "0.5,0.25"), HasSubstr("found a string: write [0.5, 0.25]"));
  EXPECT_EQ(typed("model.hidden", "wide"),
            "--set: model.hidden = \"wide\": expected a list of integers, found a string");
}

TEST(JobHints, AListThatIsNotClosed) {
  EXPECT_EQ(typed("model.hidden", "[1,2"),
            "--set: model.hidden=[1,2: the bracket of the list is not closed: write model.hidden=[1,2]");
  EXPECT_THAT(typed("data.mean", "[0.5"), HasSubstr("is not closed: write data.mean=[0.5]"));
  EXPECT_THAT(typed("model.skip", "[\"fc.*\""), HasSubstr("is not closed: write model.skip=[\"fc.*\"]"));
  EXPECT_THAT(typed("model.skip", "[\"fc.*"), HasSubstr("close them, or leave them out")) << "it is the quote";
  EXPECT_EQ(parse_job(kJob, "j", {{"data.path", "[1"}})->data.path, "[1") << "no list";
}

TEST(JobHints, AListWhoseQuotesTheShellHas) {
  EXPECT_EQ(typed("model.skip", "[fc.*, conv1.*]"),
            "--set: model.skip=[fc.*, conv1.*]: expected texts in quotes, and others around all of it, for the shell: "
            "write 'model.skip=[\"fc.*\", \"conv1.*\"]'");
  EXPECT_THAT(typed("model.network", "[conv 8,dense 10]"), HasSubstr("[\"conv 8\", \"dense 10\"]"));
}

// As it was written, and not what 64 bits make of it.
TEST(JobHints, NumbersAreTold) {
  EXPECT_EQ(in_file("[optimizer]\nrate = -0.1\n"), "j:6: optimizer.rate = -0.1: must be 1e-30 to 1e+30");
  EXPECT_EQ(typed("optimizer.momentum", "1.1"), "--set: optimizer.momentum = 1.1: must be at least 0 and below 1");
  EXPECT_EQ(in_file("[optimizer]\nmomentum = 2.0\n"), "j:6: optimizer.momentum = 2.0: must be at least 0 and below 1");
  EXPECT_EQ(in_file("[optimizer]\nrate = inf\n"), "j:6: optimizer.rate = inf: must be finite, found inf");
}

TEST(JobHints, KeysAndTables) {
  EXPECT_EQ(in_file("[optimizer]\nlr = 0.1\n"), "j:6: unknown key \"optimizer.lr\"; did you mean \"optimizer.rate\"?");
  EXPECT_EQ(typed("train.batch.size", "8"), "--set: unknown key \"train.batch.size\"; did you mean \"train.batch\"?");
  EXPECT_EQ(in_file("[training]\nepochs = 3\n"), "j:5: unknown table \"training\"; did you mean \"train\"?");
}

}  // namespace
}  // namespace rubato
