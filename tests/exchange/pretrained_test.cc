#include "exchange/pretrained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"
#include "data/safetensors.h"
#include "tests/base/temp_directory.h"

namespace rubato::exchange {
namespace {

using testing::HasSubstr;

TEST(Pretrained, TheFileIsTheOneThatTheJobWasResolvedWith) {
  const rubato::test::TempDirectory directory;
  const std::vector<float> weight{1, 2, 3, 4, 5, 6}, bias{7, 8};
  const std::vector<data::TensorView> tensors{{"fc.weight", {2, 3}, std::span(weight)},
                                              {"fc.bias", {2}, std::span(bias)}};
  Job job;
  job.model.name = "logistic";
  job.data.classes = 2;
  job.model.pretrained = directory.file("w.safetensors");
  ASSERT_TRUE(data::write_safetensors(job.model.pretrained, tensors).ok());
  job.model.pretrained_sha256 = sha256_of_file(job.model.pretrained).value();
  data::DatasetSize size;
  size.shape = {1, 1, 3};
  EXPECT_THAT(pretrained_weights(job, size).value(), testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));

  ASSERT_TRUE(data::write_safetensors(job.model.pretrained, tensors, {{"changed", "yes"}}).ok());
  EXPECT_THAT(pretrained_weights(job, size).error().message, HasSubstr("another file lies there now"));
}

}  // namespace
}  // namespace rubato::exchange
