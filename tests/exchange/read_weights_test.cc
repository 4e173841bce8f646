#include "exchange/read_weights.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "data/weights_metadata.h"
#include "kernels/initialize.h"

namespace rubato::exchange {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// conv1 (6), conv2, fc1, fc2 on images of 8 x 8 x 2.
class ReadWeightsTest : public testing::Test {
 protected:
  ReadWeightsTest() {
    Job job;
    job.model.name = "cnn";
    job.model.channels = {3, 4};
    job.model.dense = 5;
    job.data.classes = 3;
    data::DatasetSize size;
    size.shape = {8, 8, 2};
    model_ = describe_model(job, size).value();
    float next = 0.0f;
    for (const model::TorchTensor& tensor : model_.tensors) {
      data::Tensor& entry = file_.tensors.emplace_back();
      entry.name = tensor.name;
      entry.shape = tensor.shape;
      entry.values.resize(static_cast<std::size_t>(tensor.spec.elements()));
      std::iota(entry.values.begin(), entry.values.end(), next);
      next += 1000.0f;
    }
  }
  data::Tensor& tensor(const std::string& name) { return *std::ranges::find(file_.tensors, name, &data::Tensor::name); }
  Result<std::vector<float>> read() { return read_weights(file_, "w.safetensors", model_, skip_, 7); }
  std::string error() {
    const auto weights = read();
    if (weights.ok()) return "(no error)";
    cause_ = weights.error().cause;
    return weights.error().message;
  }
  // Of one parameter, out of all.
  std::vector<float> part(const std::vector<float>& all, const std::string& name) {
    std::size_t at = 0;
    for (const model::TorchTensor& wanted : model_.tensors) {
      const auto count = static_cast<std::size_t>(wanted.spec.elements());
      if (wanted.name == name) return {all.begin() + at, all.begin() + at + count};
      at += count;
    }
    return {};
  }

  DescribedModel model_;
  data::TensorFile file_;
  std::vector<std::string> skip_;
  Cause cause_ = Cause::kInternal;
};

TEST_F(ReadWeightsTest, AllOfThemInTheModelsLayouts) {
  const auto weights = read();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  ASSERT_EQ(weights->size(), model_.elements());
  EXPECT_EQ(part(*weights, "fc2.bias"), tensor("fc2.bias").values);
  // (out, in, height, width) to (out, height, width, in)
  const std::vector<float> conv = part(*weights, "conv1.weight");
  EXPECT_EQ(conv[0], tensor("conv1.weight").values[0]);
  EXPECT_EQ(conv[1], tensor("conv1.weight").values[9]) << "the second channel of the first pixel";
  // Columns of 2 x 2 x 4: channels first to channels last.
  EXPECT_EQ(part(*weights, "fc1.weight")[1], tensor("fc1.weight").values[4]);
}

TEST_F(ReadWeightsTest, ARunsOwnLayoutIsTakenAsItIs) {
  file_.metadata[data::kLayoutKey] = data::kChannelsLast;
  for (const model::TorchTensor& wanted : model_.tensors) tensor(wanted.name).shape = wanted.spec.shape;
  const auto weights = read();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(part(*weights, "conv1.weight"), tensor("conv1.weight").values);
  EXPECT_EQ(part(*weights, "fc1.weight"), tensor("fc1.weight").values);
}

TEST_F(ReadWeightsTest, TheOrderInTheFileDoesNotMatter) {
  const auto before = read();
  std::ranges::reverse(file_.tensors);
  EXPECT_EQ(*read(), *before);
}

TEST_F(ReadWeightsTest, WhatIsSkippedIsDrawnAsIfThereWereNoFile) {
  tensor("fc2.weight").shape = {1000, 5};  // of a thousand classes
  skip_ = {"fc2.*"};
  const auto weights = read();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  for (const model::TorchTensor& wanted : model_.tensors) {
    if (!wanted.name.starts_with("fc2.")) continue;
    std::vector<float> drawn(static_cast<std::size_t>(wanted.spec.elements()));
    kernels::initialize(wanted.spec, 7, 0, drawn);
    EXPECT_EQ(part(*weights, wanted.name), drawn) << wanted.name;
  }
  EXPECT_EQ(part(*weights, "fc1.bias"), tensor("fc1.bias").values);
}

TEST_F(ReadWeightsTest, SkippedTensorsMayBeMissingOrTooMany) {
  std::erase_if(file_.tensors, [](const data::Tensor& entry) { return entry.name == "fc2.weight"; });
  file_.tensors.push_back({"fc9.weight", {1}, {0.0f}});
  skip_ = {"fc[29].w*"};
  EXPECT_EQ(error(), "(no error)");
}

TEST_F(ReadWeightsTest, WhatIsMissingIsNamedWithTheNearestThatIsThere) {
  tensor("fc2.weight").name = "fc2.wieght";
  EXPECT_EQ(error(),
            "w.safetensors: tensor \"fc2.weight\": expected shape [3, 5], found no such tensor; did you mean "
            "\"fc2.wieght\"?; model.skip = [\"fc2.weight\"] leaves it out");
  EXPECT_EQ(cause_, Cause::kData);
}

TEST_F(ReadWeightsTest, WhatIsTooManyIsNamedWithTheNearestOfTheModel) {
  file_.tensors.push_back({"conv3.weight", {2, 2}, std::vector<float>(4)});
  EXPECT_EQ(error(),
            "w.safetensors: tensor \"conv3.weight\": found shape [2, 2], and the model has no such tensor; did "
            "you mean \"conv1.weight\"?; model.skip = [\"conv3.weight\"] leaves it out");
}

// As of a resnet50 in a resnet18: one name says little then, and to leave it out is no way out.
TEST_F(ReadWeightsTest, WhereManyNamesDifferItIsAnotherNetwork) {
  const std::size_t all = file_.tensors.size();
  for (const char* name : {"fc3.weight", "fc3.bias", "fc4.weight", "fc4.bias"})
    file_.tensors.push_back({name, {1}, {0}});
  EXPECT_THAT(error(), HasSubstr("model.skip = [\"fc3.weight\"] leaves it out"));
  file_.tensors.push_back({"fc5.weight", {1}, {0}});
  EXPECT_THAT(error(), HasSubstr("tensor \"fc3.weight\": found shape [1], and the model has no such tensor"));
  EXPECT_THAT(error(), EndsWith(fmt::format("; 5 of {} names differ: this looks like another network", all + 5)));
  tensor("fc2.weight").name = "0.weight";
  EXPECT_THAT(error(), HasSubstr("tensor \"fc2.weight\": expected shape [3, 5], found no such tensor"));
  EXPECT_THAT(error(), EndsWith(fmt::format("; 7 of {} names differ: this looks like another network", all + 6)));
  skip_ = {"fc[2345].*", "0.weight"};
  EXPECT_EQ(error(), "(no error)");
}

TEST_F(ReadWeightsTest, AnotherShapeIsNamed) {
  tensor("conv2.weight").shape = {4, 3, 3, 4};
  EXPECT_EQ(error(),
            "w.safetensors: tensor \"conv2.weight\": expected shape [4, 3, 3, 3], found [4, 3, 3, 4]; "
            "model.skip = [\"conv2.weight\"] leaves it out");
}

TEST_F(ReadWeightsTest, APatternOfNothingIsATypingMistake) {
  skip_ = {"fc2.wieght"};
  EXPECT_EQ(error(),
            "model.skip: \"fc2.wieght\" is no tensor of the model or of w.safetensors; did you mean "
            "\"fc2.weight\"?");
  EXPECT_EQ(cause_, Cause::kUsage);
}

TEST_F(ReadWeightsTest, WhatIsNoFloatOrNotFiniteIsRefused) {
  tensor("fc1.bias").dtype = "I64";
  tensor("fc1.bias").values.clear();
  EXPECT_THAT(error(), HasSubstr("tensor \"fc1.bias\": expected F32, F64, F16 or BF16, found I64"));
  tensor("fc1.bias").dtype = "F64";
  tensor("fc1.bias").values.assign(5, 0.0f);
  tensor("fc1.bias").values[3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error(), HasSubstr("tensor \"fc1.bias\": value 3 is inf, not a finite float32"));
}

TEST_F(ReadWeightsTest, CountersOfBatchNormalizationsMayBeThereAndNeedNot) {
  Job job;
  job.model.name = "resnet18";
  job.model.width = 2;
  data::DatasetSize size;
  size.shape = {8, 8, 1};
  model_ = describe_model(job, size).value();
  file_.tensors.clear();
  for (const model::TorchTensor& wanted : model_.tensors)
    file_.tensors.push_back(
        {wanted.name, wanted.shape, std::vector<float>(static_cast<std::size_t>(wanted.spec.elements()))});
  EXPECT_EQ(error(), "(no error)");
  file_.tensors.push_back({"bn1.num_batches_tracked", {}, {}, "I64"});
  EXPECT_EQ(error(), "(no error)");
  file_.tensors.back().name = "fc.num_batches_tracked";
  EXPECT_THAT(error(), HasSubstr("the model has no such tensor"));
}

TEST(DescribeModel, AQuadraticHasNothingToExchange) {
  Job job;
  job.model.name = "quadratic";
  EXPECT_EQ(describe_model(job, {}).error().cause, Cause::kUsage);
}

}  // namespace
}  // namespace rubato::exchange
