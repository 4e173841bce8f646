#include "base/pretraining.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato {
namespace {

using testing::HasSubstr;

TEST(Pretraining, IsOneMachineAfterTheOther) {
  ModelConfig model;
  model.name = "dbn";
  model.hidden = {5, 4, 3};
  model.pretrain_epochs = 2;
  EXPECT_EQ(pretraining_epochs(model), 6);
  const std::vector<std::optional<std::size_t>> expected{0, 0, 1, 1, 2, 2, std::nullopt, std::nullopt};
  for (std::uint64_t epoch = 0; epoch < expected.size(); ++epoch) EXPECT_EQ(machine_of(model, epoch), expected[epoch]);
  model.pretrain_epochs = 0;
  EXPECT_EQ(machine_of(model, 0), std::nullopt);
  model.name = "mlp", model.pretrain_epochs = 2;
  EXPECT_EQ(pretraining_epochs(model), 0);
  EXPECT_EQ(machine_of(model, 0), std::nullopt);
}

std::string refusal(const std::string& model, const std::string& train) {
  const auto job = parse_job("[model]\nname = \"dbn\"\n" + model + "\n[train]\n" + train +
                                 "\n[data]\ntrain_inputs = \"a\"\ntrain_labels = \"b\"\ntest_inputs = \"c\"\n"
                                 "test_labels = \"d\"\n",
                             "job.toml");
  return job.ok() ? "(no error)" : job.error().message;
}

TEST(Pretraining, LeavesEpochsForTheLabels) {
  EXPECT_EQ(refusal("hidden = [8, 8]\npretrain_epochs = 3", "epochs = 7"), "(no error)");
  EXPECT_THAT(refusal("hidden = [8, 8]\npretrain_epochs = 3", "epochs = 6"),
              HasSubstr("job.toml:6: train.epochs = 6 leaves none for the labels: 2 machines are trained for "
                        "model.pretrain_epochs = 3 each; set it to 7 or more"));
  EXPECT_EQ(refusal("hidden = [8, 8]\npretrain_epochs = 3", "epochs = 6\nsteps = 5"), "(no error)");
  EXPECT_THAT(refusal("", "epochs = 6"), HasSubstr("model.hidden is empty"));
}

}  // namespace
}  // namespace rubato
