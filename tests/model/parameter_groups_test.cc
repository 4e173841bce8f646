// optimizer.groups on small networks: who is in which group, what backward leaves out, and that it leaves out nothing
// else.
#include "model/parameter_groups.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/glob.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::vector<ParameterSpec> named(const std::vector<std::string>& names) {
  std::vector<ParameterSpec> parameters;
  for (const std::string& name : names) {
    parameters.emplace_back();
    parameters.back().name = name;
    parameters.back().shape = {2};
    if (name.find("running") != std::string::npos) parameters.back().average = 0.1f;
  }
  return parameters;
}

TEST(ApplyGroups, TheFirstThatFitsHolds) {
  auto parameters = named({"conv.weight", "bn.weight", "bn.running_mean", "fc.weight", "fc.bias"});
  ASSERT_TRUE(
      apply_groups({"conv.* frozen", "fc.weight rate=10", "*.weight decay=0.5", "fc.* decay=0 rate=2"}, parameters)
          .ok());
  EXPECT_TRUE(parameters[0].frozen);
  auto expected = named({"conv.weight", "bn.weight", "bn.running_mean", "fc.weight", "fc.bias"});
  expected[0].frozen = true;
  expected[1].decay = 0.5;
  expected[3].rate_scale = 10.0;
  expected[4].rate_scale = 2.0;
  expected[4].decay = 0.0;
  EXPECT_EQ(parameters, expected);
}

TEST(ApplyGroups, ARateIsForWeightsAndFrozenForAll) {
  auto parameters = named({"bn.weight", "bn.running_mean", "fc.weight"});
  ASSERT_TRUE(apply_groups({"bn.* rate=3", "bn.running_* frozen"}, parameters).ok());
  EXPECT_EQ(parameters[0].rate_scale, 3.0);
  EXPECT_EQ(parameters[1].rate_scale, 1.0);
  EXPECT_TRUE(parameters[1].frozen && !parameters[0].frozen);
}

TEST(ApplyGroups, WhatFitsNothingIsRefused) {
  auto parameters = named({"conv.weight", "conv.bias", "bn.running_mean", "fc1.weight", "fc1.bias", "fc2.weight"});
  const auto refused = [&](const std::vector<std::string>& groups) {
    const Status status = apply_groups(groups, parameters);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.error().cause, Cause::kUsage);
    return status.error().message;
  };
  EXPECT_EQ(refused({"fc2.wieght rate=2"}),
            "optimizer.groups: \"fc2.wieght\" fits no parameter of the model; did you mean \"fc2.weight\"?; it has "
            "conv.weight, conv.bias, fc1.weight, fc1.bias and 1 more");
  EXPECT_THAT(refused({"bn.running_mean rate=2"}),
              HasSubstr("\"bn.running_mean\" fits no parameter of the model; it has"));
  EXPECT_THAT(refused({"fc1.* rate=2", "fc1.bias decay=0"}),
              HasSubstr("\"fc1.bias decay=0\" has no effect: all that it"));
  EXPECT_THAT(refused({"*.weight frozen", "*.bias frozen"}), HasSubstr("every parameter is frozen"));
}

class Groups : public ModelTest {
 protected:
  [[nodiscard]] std::unique_ptr<Model> make_with(const SmallModel& small, const std::vector<std::string>& groups) {
    auto made = make_model(small.config, small.shape, kClasses, *device_, kSamplesMax, 5, groups);
    EXPECT_TRUE(made.ok()) << small.title << ": " << (made.ok() ? "" : made.error().message);
    return std::move(made).value();
  }
  [[nodiscard]] static SmallModel small_model(const std::string& title) {
    const auto all = small_models();
    return *std::ranges::find(all, title, &SmallModel::title);
  }
};

// Every parameter but the last two, one after the other: of those that are left, nothing changes. Batch normalizations
// are left as they are: with their running means frozen they compute something else.
TEST_F(Groups, WhatIsNotFrozenHasTheGradientThatItHad) {
  for (const SmallModel& small : small_models()) {
    const auto plain = make(small);
    const auto parameters = plain->parameters();
    Store usual(*plain);
    const OwnedBatch batch(5, small);
    const LeafStats stats = plain->train_leaf(batch.view(2), usual, usual).value();
    std::vector<std::string> groups;
    for (std::size_t p = 0; p + 2 < parameters.size(); ++p) {
      if (parameters[p].average > 0.0f) continue;
      groups.push_back(parameters[p].name + " frozen");
      if (p > 6 && p + 4 < parameters.size()) continue;  // enough of the long ones
      SCOPED_TRACE(small.title + " with " + groups.back());
      const auto model = make_with(small, groups);
      Store store(*model);
      EXPECT_EQ(model->train_leaf(batch.view(2), store, store)->loss_sum, stats.loss_sum);
      for (std::size_t q = 0; q < parameters.size(); ++q) {
        EXPECT_EQ(model->parameters()[q].frozen, std::ranges::count(groups, parameters[q].name + " frozen") > 0);
        if (model->parameters()[q].frozen) continue;
        EXPECT_EQ(store.gradients[q], usual.gradients[q]) << parameters[q].name;
      }
    }
  }
}

TEST_F(Groups, BackwardEndsAtTheLowestLayerThatIsTrained) {
  const SmallModel small = small_model("mlp relu");  // fc1, fc2, fc3
  const auto model = make_with(small, {"fc1.* frozen", "fc2.weight frozen"});
  Store store(*model);
  ASSERT_TRUE(model->train_leaf(OwnedBatch(3, small).view(), store, store).ok());
  EXPECT_THAT(store.calls, testing::IsSupersetOf({"ready 5", "ready 4", "ready 3"}));
  EXPECT_THAT(store.calls, Not(Contains("buffer 1")));
  EXPECT_THAT(store.calls, Not(Contains("buffer 0")));
  EXPECT_EQ(store.gradients[0].front(), -7.0f);
}

// A body that is frozen gives in training what it gives in evaluation, whatever else is in the batch.
TEST_F(Groups, AFrozenBodyNormalizesByItsRunningMeans) {
  for (const char* title : {"resnet18", "resnet50"}) {
    SCOPED_TRACE(title);
    const SmallModel small = small_model(title);
    const auto model = make_with(small, {"conv1.* frozen", "bn1.* frozen", "layer?.* frozen"});
    Store store(*model);
    for (std::size_t p = 0; p < store.values.size(); ++p)
      if (model->parameters()[p].average > 0.0f)
        for (std::size_t i = 0; i < store.values[p].size(); ++i)
          store.values[p][i] += 0.01f * static_cast<float>(i + 1);
    const OwnedBatch batch(6, small);
    const LeafStats trained = model->train_leaf(batch.view(), store, store).value();
    const Evaluation evaluated = model->evaluate(batch.view(), store).value();
    EXPECT_EQ(trained.loss_sum, evaluated.loss_sum);
    EXPECT_EQ(std::ranges::count_if(store.calls, [](const std::string& call) { return call.starts_with("ready"); }), 2);
  }
}

TEST_F(Groups, OneFrozenRunningMeanIsRefused) {
  const SmallModel small = small_model("resnet18");
  const auto made =
      make_model(small.config, small.shape, kClasses, *device_, kSamplesMax, 5, {"*.running_mean frozen"});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(
      made.error().message,
      "optimizer.groups: of bn1.running_mean and bn1.running_var one is frozen and one is not: freeze both, as in "
      "\"bn1.running_* frozen\"");
}

}  // namespace
}  // namespace rubato::model
