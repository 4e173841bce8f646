#include "base/out_of_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread_name.h"
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
  EXPECT_EXIT(throwing(std::bad_alloc()), testing::ExitedWithCode(13),
              "not enough memory: more is wanted on the thread ");
  EXPECT_DEATH(throwing(std::runtime_error("another")), "another");
}

TEST(OutOfMemoryDeathTest, SaysHowMuchWasWantedAndByWhom) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have a new of their own";
#endif
  const auto allocating = [](auto allocate) {
    log::open("test", "info");
    end_where_memory_ends();
    std::thread([&] {
      name_thread("reader");
      allocate();
    }).join();
  };
  constexpr std::size_t kTiB = std::size_t{1} << 40;
  constexpr auto kSaid = "not enough memory: 1073741824.0 MiB more are wanted on the thread \"reader\", and ";
  EXPECT_EXIT(allocating([] { EXPECT_NE(::operator new(1024 * kTiB), nullptr); }), testing::ExitedWithCode(13), kSaid);
  EXPECT_EXIT(allocating([] { EXPECT_NE(PrivateMemory().floats(256 * kTiB), nullptr); }), testing::ExitedWithCode(13),
              kSaid);
}

TEST(OutOfMemory, WhatNobodyExpectsToFailDoesNot) {
  end_where_memory_ends();  // so that its `new` is the one that is linked
  EXPECT_EQ(::operator new (std::size_t{1} << 60, std::nothrow), nullptr);
  for (const std::size_t bytes : {0, 1, 65, 1 << 20}) {
    const auto floats = PrivateMemory().floats(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(floats.get()) % Memory::kAlignment, 0u);
    EXPECT_NE(std::make_unique<std::vector<char>>(bytes), nullptr);
  }
}

}  // namespace
}  // namespace rubato
