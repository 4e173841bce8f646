#include "base/out_of_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <thread>

#include "base/log.h"
#include "tests/base/address_space_limit.h"

namespace rubato {
namespace {

TEST(OutOfMemory, SaysHowMuchForWhatAndWhatToDo) {
  const Error error = out_of_memory(3 << 20, "the marks of 2 workers", "use more servers");
  EXPECT_EQ(error.exit_code(), 13);
  EXPECT_THAT(
      error.message,
      testing::AllOf(testing::StartsWith("not enough memory: 3.0 MiB are wanted for the marks of 2 workers, and "),
                     testing::EndsWith(", or use more servers")));
}

TEST(OutOfMemory, NamesALimit) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more addresses than any limit";
#endif
  const test::AddressSpaceLimit limit(64 << 20);
  EXPECT_THAT(out_of_memory(1, "a", "b").message, testing::HasSubstr(" MiB in all (ulimit -v): raise that, or b"));
}

// Whatever thread it is that nobody expected it of.
TEST(OutOfMemoryDeathTest, EndsAProcessInALineAndNotAsABug) {
  const auto throwing = [](auto exception) {
    log::open("test", "info");  // what is logged goes to standard error
    end_where_memory_ends();
    std::thread([&] { throw exception; }).join();
  };
  EXPECT_EXIT(throwing(std::bad_alloc()), testing::ExitedWithCode(13), "not enough memory: ");
  EXPECT_DEATH(throwing(std::runtime_error("another")), "another");
}

}  // namespace
}  // namespace rubato
