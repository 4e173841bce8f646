// A job on files in a folder of its own, for tests of what a kind of data set makes of them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "data/dataset.h"
#include "tests/base/temp_directory.h"

namespace rubato::data::test {

class DatasetFixture : public testing::Test {
 protected:
  // What is wrong for whoever opens that part, without the folder, with which it begins; nothing where it opens.
  [[nodiscard]] std::string open_error(Split split = Split::kTrain) const {
    const auto dataset = open_dataset(job_, split);
    if (dataset.ok()) return "";
    EXPECT_EQ(dataset.error().cause, Cause::kData);
    const std::string& message = dataset.error().message;
    const std::string folder = directory_.file("");
    EXPECT_TRUE(message.starts_with(folder)) << message;
    return message.substr(folder.size());
  }

  rubato::test::TempDirectory directory_;
  Job job_;
};

}  // namespace rubato::data::test
