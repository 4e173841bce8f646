#include "base/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace rubato {
namespace {

TEST(Payload, CopiesShareOneOwner) {
  Payload part;
  {
    const std::array<float, 4> values{1, 2, 3, 4};
    const Payload whole = Payload::of_floats(values);
    EXPECT_EQ(whole.size(), 16u);
    part = whole.part(4, 8);
    EXPECT_EQ(part.bytes().data(), whole.bytes().data() + 4);
  }
  ASSERT_EQ(part.floats().size(), 2u);  // the owner outlives `whole`
  EXPECT_EQ(part.floats()[0], 2.0f);
  EXPECT_EQ(part.floats()[1], 3.0f);
}

// Headers of frames and bodies of all sizes are copied, and are read in words.
TEST(Payload, CopiesAreAlignedAndTheSame) {
  for (std::size_t size = 0; size < 600; size += 7) {
    std::vector<std::byte> bytes(size + 1);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31);
    const auto tail = std::span(bytes).subspan(1);
    const Payload copy = Payload::copy_of(tail);
    EXPECT_TRUE(std::ranges::equal(copy.bytes(), tail)) << size;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copy.bytes().data()) % alignof(std::uint64_t), 0u) << size;
  }
}

TEST(Payload, EmptyOnesArePayloadsToo) {
  EXPECT_TRUE(Payload().empty());
  EXPECT_TRUE(Payload().floats().empty());
  EXPECT_TRUE(Payload::of({}).part(0, 0).empty());
}

TEST(PayloadMark, KnowsTheSameBytesAndNoOthers) {
  const std::array<float, 4> values{1, 2, 3, 4};
  Payload one = Payload::of_floats(values);
  const Payload same = one, equal = Payload::of_floats(values);
  const PayloadMark mark(one);
  EXPECT_TRUE(mark.is(one));
  EXPECT_TRUE(mark.is(same));
  EXPECT_FALSE(mark.is(equal));
  EXPECT_FALSE(mark.is(one.part(0, 8)));
  EXPECT_FALSE(mark.is(one.part(4, 12)));
  EXPECT_FALSE(mark.is(Payload()));
  EXPECT_FALSE(PayloadMark().is(Payload()));
  EXPECT_FALSE(PayloadMark().is(one));
}

// Whatever the allocator does with the memory of the one that is gone.
TEST(PayloadMark, WhatIsGoneDoesNotComeBack) {
  for (int i = 0; i < 100; ++i) {
    PayloadMark mark;
    { mark = PayloadMark(Payload::of(std::vector<std::byte>(64))); }
    EXPECT_FALSE(mark.is(Payload::of(std::vector<std::byte>(64))));
  }
}

TEST(PayloadDeathTest, PartsStayInside) {
  const Payload payload = Payload::of(std::vector<std::byte>(8));
  EXPECT_DEATH((void)payload.part(4, 5), "of 8 bytes");
  EXPECT_DEATH((void)payload.part(9, 0), "of 8 bytes");
  EXPECT_DEATH((void)payload.part(1, ~std::size_t{0}), "of 8 bytes");
  EXPECT_DEATH((void)payload.part(0, 3).floats(), "3 bytes are no floats");
}

}  // namespace
}  // namespace rubato
