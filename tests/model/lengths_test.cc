// Sequences of different lengths: a sample in a batch is what it would be alone, cut off at its end; what is behind
// that does not matter; and which networks read none.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "model/architectures.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kPositions = 6;
const std::vector<std::int32_t> kLengths{4, 1, 6, 3, 3};

SmallModel listed(std::string title, const InputShape& shape, std::vector<std::string> network, bool tokens) {
  SmallModel small{std::move(title), {}, shape, tokens};
  small.config.name = "layers";
  small.config.network = std::move(network);
  small.shape.lengths = true;
  return small;
}

std::vector<SmallModel> sequence_models() {
  std::vector<SmallModel> models;
  for (const char* name : {"lstm", "gru"}) {
    SmallModel small{name, {}, {kPositions, 3, 2, 1, true}};
    small.config.name = name;
    small.config.width = 5;
    small.config.layers = 2;
    small.config.bidirectional = true;
    models.push_back(small);
  }
  models.push_back(listed("a mean", {kPositions, 1, 3},
                          {"dense 8 per_position tanh", "layer_norm", "lstm 5", "gelu", "global_average", "dense 4"},
                          false));
  models.push_back(listed("attention", {kPositions, 1, 1, kPositions},
                          {"embedding 8 rows=4 positions", "layer_norm", "dense 24 per_position", "attention heads=2",
                           "dense 8 per_position", "add embedding1", "dense 4 per_position"},
                          true));
  models.push_back(listed("labels of each", {kPositions, 1, 1, kPositions},
                          {"embedding 8 rows=4", "gru 5 bidirectional layers=2", "dense 4 per_position"}, true));
  return models;
}

// Numbers of each position.
std::int64_t row_of(const InputShape& shape) { return shape.width * shape.channels; }

struct LongBatch : OwnedBatch {
  explicit LongBatch(const SmallModel& small) : OwnedBatch(kLengths.size(), small) {}
  [[nodiscard]] Batch view() const {
    Batch batch = OwnedBatch::view();
    batch.lengths = kLengths;
    return batch;
  }
  // Inputs behind each end, and labels where positions have them.
  void spoil(const SmallModel& small, float input, std::int32_t label) {
    const auto row = static_cast<std::size_t>(row_of(small.shape)), width = row * kPositions;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (static_cast<std::int32_t>(i % width / row) >= kLengths[i / width]) inputs[i] = input;
    for (std::size_t i = 0; small.shape.labels > 1 && i < labels.size(); ++i)
      if (static_cast<std::int32_t>(i % kPositions) >= kLengths[i / kPositions]) labels[i] = label;
  }
};

class Lengths : public ModelTest {
 protected:
  // Sample `i` of the batch, cut off at its end, through a network that knows no other length.
  void add_alone(const SmallModel& small, const OwnedBatch& batch, std::size_t i, const Store& whole, double& loss,
                 std::vector<std::vector<double>>& sums) {
    SmallModel cut = small;
    cut.shape.height = kLengths[i];
    cut.shape.lengths = false;
    if (small.shape.labels > 1) cut.shape.labels = kLengths[i];
    const auto model = make(cut);
    Store store(*model);
    for (std::size_t p = 0; p < store.values.size(); ++p)  // of a table of positions the first ones
      std::copy_n(whole.values[p].begin(), store.values[p].size(), store.values[p].begin());
    OwnedBatch alone(1, cut);
    const auto width = small.shape.elements(), labels = small.shape.labels;
    std::copy_n(batch.inputs.begin() + static_cast<std::ptrdiff_t>(i) * width, alone.inputs.size(),
                alone.inputs.begin());
    std::copy_n(batch.labels.begin() + static_cast<std::ptrdiff_t>(i) * labels, alone.labels.size(),
                alone.labels.begin());
    const auto stats = model->train_leaf(alone.view(), store, store);
    ASSERT_TRUE(stats.ok()) << stats.error().message;
    loss += stats->loss_sum;
    for (std::size_t p = 0; p < sums.size(); ++p)
      for (std::size_t at = 0; at < store.gradients[p].size(); ++at)
        sums[p][at] += static_cast<double>(store.gradients[p][at]);
  }
};

// Gradients are sums of a few hundred products: some hundred roundings of 2^-24.
TEST_F(Lengths, ASampleIsWhatItWouldBeAlone) {
  for (const SmallModel& small : sequence_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    Store store(*model);
    const LongBatch batch(small);
    const auto stats = model->train_leaf(batch.view(), store, store);
    ASSERT_TRUE(stats.ok()) << stats.error().message;
    double loss = 0.0;
    std::vector<std::vector<double>> sums;
    for (const auto& gradient : store.gradients) sums.emplace_back(gradient.size(), 0.0);
    for (std::size_t i = 0; i < kLengths.size(); ++i) add_alone(small, batch, i, store, loss, sums);
    if (HasFatalFailure()) return;
    EXPECT_NEAR(stats->loss_sum, loss, 1e-5);
    for (std::size_t p = 0; p < sums.size(); ++p) {
      double greatest = 0.0;
      for (const double sum : sums[p]) greatest = std::max(greatest, std::abs(sum));
      EXPECT_GT(greatest, 0.0) << model->parameters()[p].name;
      for (std::size_t at = 0; at < sums[p].size(); ++at)
        ASSERT_NEAR(store.gradients[p][at], sums[p][at], 300 * 0x1p-24 * greatest)
            << model->parameters()[p].name << "[" << at << "]";
    }
  }
}

TEST_F(Lengths, WhatIsBehindTheEndDoesNotMatter) {
  for (const SmallModel& small : sequence_models()) {
    SCOPED_TRACE(small.title);
    const auto model = make(small);
    Store clean(*model), dirty(*model);
    LongBatch batch(small), spoilt(small);
    spoilt.spoil(small, small.tokens ? 3.0f : 100.0f, 2);
    const auto a = model->train_leaf(batch.view(), clean, clean), b = model->train_leaf(spoilt.view(), dirty, dirty);
    ASSERT_TRUE(a.ok() && b.ok());
    EXPECT_EQ(a->loss_sum, b->loss_sum);
    EXPECT_EQ(a->correct, b->correct);
    EXPECT_EQ(clean.gradients, dirty.gradients);
    const double evaluated = model->evaluate(batch.view(), clean)->loss_sum;
    EXPECT_EQ(model->evaluate(spoilt.view(), clean)->loss_sum, evaluated);
    EXPECT_NE(model->evaluate(static_cast<const OwnedBatch&>(batch).view(), clean)->loss_sum, evaluated)
        << "lengths do something";
  }
}

TEST_F(Lengths, ABatchSaysHowLongEachSampleIs) {
  const SmallModel small = sequence_models().front();
  const auto model = make(small);
  Store store(*model);
  const OwnedBatch batch(2, small);
  const auto refusal = [&](const std::vector<std::int32_t>& lengths) {
    Batch view = batch.view();
    view.lengths = lengths;
    const auto stats = model->train_leaf(view, store, store);
    return stats.ok() ? "(no error)" : stats.error().message;
  };
  EXPECT_EQ(refusal({6, 1}), "(no error)");
  EXPECT_EQ(refusal({6}), "1 lengths for 2 samples");
  EXPECT_EQ(refusal({6, 0}), "sample 1 of the batch is 0 positions long; expected 1 to 6");
  EXPECT_EQ(refusal({7, 1}), "sample 0 of the batch is 7 positions long; expected 1 to 6");
}

TEST_F(Lengths, NetworksThatMixPositionsAreRefused) {
  const auto refusal = [&](const ModelConfig& config, InputShape shape) {
    shape.lengths = true;
    const auto made = try_make(config, shape);
    if (made.ok()) return std::string("(no error)");
    EXPECT_EQ(made.error().cause, Cause::kUsage);
    return made.error().message;
  };
  const auto of_list = [&](std::vector<std::string> network, const InputShape& shape = {8, 6, 3}) {
    return refusal(listed("", shape, std::move(network), false).config, shape);
  };
  ModelConfig named;
  named.hidden = {5};
  EXPECT_THAT(refusal(named, {8, 6, 3}), HasSubstr("layer fc1 is a dense layer of all positions, which reads what is "
                                                   "behind a sample's end, and the samples have lengths"));
  named.name = "cnn";
  named.channels = {4};
  EXPECT_THAT(refusal(named, {8, 6, 3}), HasSubstr("layer conv1 is a convolution"));
  EXPECT_THAT(of_list({"batch_norm", "gru 4 last", "dense 4"}), HasSubstr("layer batch_norm1 is a batch normaliz"));
  EXPECT_THAT(of_list({"group_norm 3", "gru 4 last", "dense 4"}), HasSubstr("is a group normalization"));
  EXPECT_THAT(of_list({"max_pool 2", "gru 4 last", "dense 4"}), HasSubstr("layer max_pool1 is a pool"));
  EXPECT_THAT(of_list({"gru 4", "dense 4"}), HasSubstr("layer dense1 is a dense layer of all positions"));
  EXPECT_EQ(of_list({"gru 4", "global_average", "batch_norm", "dense 4"}), "(no error)") << "one position is left";
  EXPECT_THAT(
      of_list({"gru 4 last", "conv 4 kernel=1 padding=1"}, {8, 1, 3, 9}),
      HasSubstr("layer conv1, the last, gives numbers at 3 x 3 positions made of one, which have no end of their "
                "own, and the samples have lengths"));
  EXPECT_EQ(of_list({"gru 4 last", "conv 3 kernel=1 padding=1", "global_average", "dense 4"}), "(no error)");
  ModelConfig numbers = listed("", {4, 1, 3}, {"gru 1"}, false).config;
  numbers.loss = "mse";
  EXPECT_THAT(refusal(numbers, {4, 1, 3}), HasSubstr("layer gru1.l0, the last, gives numbers at each position"));
}

// Of a model that was made for whole samples.
TEST_F(Lengths, ANetworkThatMixesPositionsTakesNoBatchWithLengths) {
  SmallModel small{"mlp", {}, {kPositions, 1, 2}};
  small.config.hidden = {5};
  const auto model = make(small);
  Store store(*model);
  const LongBatch batch(small);
  const auto stats = model->train_leaf(batch.view(), store, store);
  ASSERT_FALSE(stats.ok());
  EXPECT_THAT(stats.error().message, HasSubstr("layer fc1 is a dense layer of all positions"));
}

}  // namespace
}  // namespace rubato::model
