// How many products and sums a core of this processor does in a second, in registers alone: of float32 (an FMA), and of
// pairs of bfloat16 summed to float32 (VDPBF16PS). What convolutions in either precision are limited by.
//
//   vector_products
//
// One line for each that the processor has: its name, and GFLOP/s, two for a product that is added to a sum. The best
// of several times.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace rubato::bench {
namespace {

#if defined(__x86_64__)

constexpr std::int64_t kRounds = 20'000'000, kRegisters = 16, kLanes = 16;
constexpr int kTimes = 5;

// Sixteen sums, none of which waits for another: more than any of these instructions takes cycles.
#define RUBATO_SIXTEEN(instruction)                                                                                \
  instruction(0) instruction(1) instruction(2) instruction(3) instruction(4) instruction(5) instruction(6)         \
      instruction(7) instruction(8) instruction(9) instruction(10) instruction(11) instruction(12) instruction(13) \
          instruction(14) instruction(15)
#define RUBATO_CLEAR(k) "vpxord %%zmm" #k ", %%zmm" #k ", %%zmm" #k "\n"
#define RUBATO_FMA(k) "vfmadd231ps %%zmm16, %%zmm16, %%zmm" #k "\n"
#define RUBATO_DOT(k) "vdpbf16ps %%zmm16, %%zmm16, %%zmm" #k "\n"
#define RUBATO_CLOBBERS                                                                                               \
  "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", \
      "zmm14", "zmm15", "zmm16"

__attribute__((target("avx512f"))) void multiply_float32() {
  asm volatile(RUBATO_SIXTEEN(RUBATO_CLEAR) "vpxord %%zmm16, %%zmm16, %%zmm16\n" ::: RUBATO_CLOBBERS);
  for (std::int64_t i = 0; i < kRounds; ++i) asm volatile(RUBATO_SIXTEEN(RUBATO_FMA)::: RUBATO_CLOBBERS);
}

__attribute__((target("avx512f"))) void multiply_bfloat16() {
  asm volatile(RUBATO_SIXTEEN(RUBATO_CLEAR) "vpxord %%zmm16, %%zmm16, %%zmm16\n" ::: RUBATO_CLOBBERS);
  for (std::int64_t i = 0; i < kRounds; ++i) asm volatile(RUBATO_SIXTEEN(RUBATO_DOT)::: RUBATO_CLOBBERS);
}

template <typename Work>
double best_seconds(Work&& work) {
  double best = 1e9;
  for (int i = 0; i < kTimes; ++i) {
    const TimeNs began = steady_now();
    work();
    best = std::min(best, seconds(steady_now() - began));
  }
  return best;
}

void print(const char* name, double per_lane, double took) {
  fmt::print("{} {:.0f} GFLOP/s\n", name, static_cast<double>(kRounds * kRegisters * kLanes) * per_lane / took / 1e9);
}

int run() {
  if (!__builtin_cpu_supports("avx512f")) {
    fmt::print(stderr, "vector_products: this processor has no AVX-512\n");
    return 7;
  }
  print("float32", 2, best_seconds(multiply_float32));
  if (__builtin_cpu_supports("avx512bf16")) print("bfloat16", 4, best_seconds(multiply_bfloat16));
  return 0;
}

#else

int run() {
  fmt::print(stderr, "vector_products: this is no x86-64 processor\n");
  return 7;
}

#endif

}  // namespace
}  // namespace rubato::bench

int main() { return rubato::bench::run(); }
