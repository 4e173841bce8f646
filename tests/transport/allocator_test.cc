#include "transport/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace rubato::transport {
namespace {

// As oneDNN does in each product of matrices, beside others who allocate little things.
TEST(Allocator, ABlockThatIsAllocatedAgainAndAgainLiesWhereItLay) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have a heap of their own";
#endif
  tune_allocator();
  constexpr std::size_t kBytes = 1'492'672;
  std::uintptr_t lowest = UINTPTR_MAX, highest = 0;
  std::vector<std::unique_ptr<char[]>> others;
  for (std::size_t i = 0; i < 200; ++i) {
    void* block = nullptr;
    ASSERT_EQ(::posix_memalign(&block, 128, kBytes), 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 128, 0u);
    lowest = std::min(lowest, reinterpret_cast<std::uintptr_t>(block));
    highest = std::max(highest, reinterpret_cast<std::uintptr_t>(block));
    std::free(block);
    if (i % 10 == 0) others.push_back(std::make_unique<char[]>(16 * i + 1));
  }
  EXPECT_LT(highest - lowest, 2 * kBytes);
}

TEST(Allocator, ASmallBlockLiesWhereItWasAsked) {
  void* block = nullptr;
  ASSERT_EQ(::posix_memalign(&block, 64, 1000), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 64, 0u);
  std::free(block);
  EXPECT_EQ(::posix_memalign(&block, 3, 1000), EINVAL);
}

}  // namespace
}  // namespace rubato::transport
