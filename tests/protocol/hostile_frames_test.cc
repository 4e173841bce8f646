// Frames from someone who means harm, with checksums that are right: nothing crashes, and nothing is
// allocated on the word of a count.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "base/rng.h"
#include "tests/protocol/frames.h"

namespace {
std::size_t largest_allocation = 0;  // since it was last set to 0
}

void* operator new(std::size_t size) {
  largest_allocation = std::max(largest_allocation, size);
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
// Not inline: GCC would see free() of what new gave, and warn.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace rubato::protocol {
namespace {

using test::bodies;
using test::kJob;

// A decoded list takes more room than its bytes on the wire, at most a struct for a byte; growing doubles it.
void expect_modest(const transport::Frame& frame) {
  largest_allocation = 0;
  const bool ok = decode(frame, kJob).ok();
  EXPECT_LE(largest_allocation, 32 * frame.body.size() + 1024)
      << test::name_of(frame) << (ok ? " decoded" : " refused");
}

TEST(HostileFrames, CountsAllocateNothing) {
  for (const Body& body : bodies()) {
    const transport::Frame frame = encode(test::stamp(), body);
    const std::vector<std::byte> good = test::bytes_of(frame.body);
    for (std::size_t at = 0; at + 4 <= good.size(); ++at) {
      for (const std::uint32_t count :
           {0xFFFFFFFFu, 0x7FFFFFFFu, 0x00FFFFFFu, static_cast<std::uint32_t>(good.size())}) {
        std::vector<std::byte> bytes = good;
        std::memcpy(bytes.data() + at, &count, sizeof(count));
        expect_modest(test::with_body(frame, std::move(bytes)));
      }
    }
  }
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(stream_key(seed, "hostile frames")) {}

  void spoil(std::vector<std::byte>& bytes) {
    for (std::uint64_t n = 1 + random_.below(4); n > 0 && !bytes.empty(); --n) {
      std::byte& byte = bytes[random_.below(bytes.size())];
      switch (random_.below(6)) {
        case 0:
          byte ^= std::byte{1} << random_.below(8);
          break;
        case 1:
          byte = std::byte{0xFF};
          break;
        case 2:
          byte = std::byte{0};
          break;
        case 3:
          byte = static_cast<std::byte>(random_.next_u32());
          break;
        case 4:
          bytes.resize(random_.below(bytes.size() + 1));
          break;
        default:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random_.below(bytes.size())), 1 + random_.below(9),
                       byte);
      }
    }
  }

  // Most of the time the checksums fit again, so that the fields behind them are reached.
  transport::Frame frame(const transport::Frame& good) {
    std::vector<std::byte> header = test::bytes_of(good.header), body = test::bytes_of(good.body);
    const std::uint64_t which = random_.below(4);
    if (which != 0) spoil(body);
    if (which != 1) {
      const std::size_t size = header.size();
      spoil(header);
      if (random_.below(8) != 0) header.resize(size);
    }
    if (header.size() == kHeaderBytes && random_.below(8) != 0) {
      const std::uint64_t length = body.size(), sum = body.empty() ? 0 : xxh3(body);
      std::memcpy(header.data() + 64, &length, sizeof(length));
      std::memcpy(header.data() + 160, &sum, sizeof(sum));
      test::seal(header);
    }
    return {Payload::of(std::move(header)), Payload::of(std::move(body))};
  }

 private:
  RandomStream random_;
};

TEST(HostileFrames, ManyMutationsNeverCrash) {
  std::vector<transport::Frame> good;
  for (const Body& body : bodies()) good.push_back(encode(test::stamp(), body));
  for (const auto& [first, second] : test::pairs()) good.push_back(encode(test::stamp(), first, &second));
  good.push_back(encode(test::stamp(DType::kFloat16), bodies().front()));
  Mutator mutator(1);
  std::size_t accepted = 0;
  constexpr std::size_t kRounds = 200'000;
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto decoded = decode(mutator.frame(good[round % good.size()]), kJob);
    if (!decoded.ok()) {
      const Cause cause = decoded.error().cause;
      ASSERT_TRUE(cause == Cause::kMalformed || cause == Cause::kRefused) << decoded.error().message;
      continue;
    }
    // What was taken in can be said again, and means the same.
    const Body* behind = decoded->behind ? &*decoded->behind : nullptr;
    const auto again = decode(encode(test::stamp(), decoded->body, behind), kJob);
    ASSERT_TRUE(again.ok()) << again.error().message;
    ASSERT_EQ(again->body.index(), decoded->body.index());
    ASSERT_EQ(again->behind.has_value(), decoded->behind.has_value());
    ++accepted;
  }
  EXPECT_GT(accepted, kRounds / 20);  // mutations that reach the fields ...
  EXPECT_LT(accepted, kRounds / 2);   // ... and mutations that are noticed
}

}  // namespace
}  // namespace rubato::protocol
