#include "protocol/initial_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/base/temp_directory.h"

namespace rubato::protocol {
namespace {

using rubato::test::TempDirectory;
using testing::HasSubstr;

const std::string kHash(64, 'a'), kOther(64, 'b');

std::string error_of(const std::string& folder, const std::string& hash = kHash) {
  const auto opened = InitialWeights::open(folder, hash);
  if (opened.ok()) return "(no error)";
  EXPECT_EQ(opened.error().cause, Cause::kData);
  return opened.error().message;
}

TEST(InitialWeights, AreReadBack) {
  const TempDirectory folder;
  const std::vector<float> values{1.5f, -0.0f, 3e-40f};
  ASSERT_TRUE(write_initial_weights(folder.path().string(), kHash, values).ok());
  const auto opened = InitialWeights::open(folder.path().string(), kHash);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const InitialWeights copy = *opened;
  EXPECT_THAT(copy.values(), testing::ElementsAreArray(values));
}

TEST(InitialWeights, OfAnotherJobOrDamagedAreRefused) {
  const TempDirectory folder;
  const std::string path = folder.path().string();
  EXPECT_THAT(error_of(path), HasSubstr("initial.weights: No such file or directory; `rubato-weights begin"));
  ASSERT_TRUE(write_initial_weights(path, kHash, std::vector<float>{1.0f, 2.0f}).ok());
  EXPECT_THAT(error_of(path, kOther), HasSubstr("of another job"));
  for (const std::uintmax_t size : {71u, 65u, 64u, 10u, 0u}) {
    std::filesystem::resize_file(initial_weights_path(path), size);
    EXPECT_THAT(error_of(path), HasSubstr("expected a hash and numbers of 4 bytes, found")) << size;
  }
}

}  // namespace
}  // namespace rubato::protocol
