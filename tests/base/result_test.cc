#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace rubato {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Cause::kData, "odd"};
  return number / 2;
}

Result<int> quarter(int number) {
  RUBATO_ASSIGN(const int once, half(number));
  RUBATO_ASSIGN(const int twice, half(once));
  return twice;
}

Status even(int number) {
  RUBATO_TRY(half(number));
  return {};
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_TRUE(half(4).ok());
  EXPECT_EQ(*half(4), 2);
  ASSERT_FALSE(half(3));
  EXPECT_EQ(half(3).error().message, "odd");
  EXPECT_EQ(half(3).error().exit_code(), 3);
}

TEST(Result, PassesErrorsOn) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(even(2).ok());
  EXPECT_EQ(even(1).error().cause, Cause::kData);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ErrorsGainContext) {
  const Error error = Error{Cause::kStorage, "disk full"}.in("final.safetensors");
  EXPECT_EQ(error.message, "final.safetensors: disk full");
  EXPECT_EQ(error.cause, Cause::kStorage);
}

TEST(ResultDeathTest, AskingForWhatIsNotThereIsABug) {
  EXPECT_DEATH((void)half(3).value(), "value\\(\\) of an error: odd");
  EXPECT_DEATH((void)half(4).error(), "error\\(\\) of a value");
  EXPECT_DEATH((void)Status().error(), "error\\(\\) of a value");
}

}  // namespace
}  // namespace rubato
