// How many products and sums a core of this processor does in a second, in registers alone: of float32 (an FMA), of
// pairs of bfloat16 summed to float32 (VDPBF16PS), and of tiles of such pairs (AMX: TDPBF16PS), which are another
// unit's. What convolutions and dense layers in either precision are limited by: in bfloat16 by tiles, where there are
// any.
//
//   vector_products
//
// One line for each: its name, and GFLOP/s, two for a product that is added to a sum, or why it was not measured. The
// best of several times.
#include <fmt/format.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

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

#if __has_include(<amxbf16intrin.h>)  // as old as that the assembler knows tiles, too

// Six sums of 16 x 16, each of 16 x 32 products with 32 x 16: a product takes 16 cycles, its sum is there after 52.
constexpr std::int64_t kTileRounds = 1'000'000, kTileSums = 6;
constexpr double kTileOperations = 2.0 * 16 * 16 * 32;

// As LDTILECFG reads it.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

void multiply_tiles() {
  const TileConfig config;
  asm volatile(
      "ldtilecfg %0\n"
      "tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
      "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7\n" ::"m"(config));
  for (std::int64_t i = 0; i < kTileRounds; ++i)
    asm volatile(
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm0\n tdpbf16ps %%tmm7, %%tmm6, %%tmm1\n"
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm2\n tdpbf16ps %%tmm7, %%tmm6, %%tmm3\n"
        "tdpbf16ps %%tmm7, %%tmm6, %%tmm4\n tdpbf16ps %%tmm7, %%tmm6, %%tmm5\n" ::);
  asm volatile("tilerelease\n" ::);
}

// Empty where they may be used: Linux gives a process its tiles when it asks for them
// (Documentation/arch/x86/xstate.rst).
std::string why_no_tiles() {
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kBfloat16) == 0 || (edx & kTiles) == 0)
    return "this processor has none (AMX)";
  if (::syscall(SYS_arch_prctl, kRequest, kTileData) == 0) return {};
  return fmt::format("the processor has them (AMX), and the system does not give them: {}", std::strerror(errno));
}

#else

constexpr std::int64_t kTileRounds = 0, kTileSums = 0;
constexpr double kTileOperations = 0.0;
void multiply_tiles() {}
std::string why_no_tiles() { return "the compiler that built this does not know them (AMX)"; }

#endif

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

void print(const char* name, double operations, double took) {
  fmt::print("{} {:.0f} GFLOP/s\n", name, operations / took / 1e9);
}

int run() {
  if (!__builtin_cpu_supports("avx512f")) {
    fmt::print(stderr, "vector_products: this processor has no AVX-512\n");
    return 7;
  }
  constexpr auto kLaneProducts = static_cast<double>(kRounds * kRegisters * kLanes);
  print("float32", 2 * kLaneProducts, best_seconds(multiply_float32));
  if (__builtin_cpu_supports("avx512bf16"))
    print("bfloat16", 4 * kLaneProducts, best_seconds(multiply_bfloat16));
  else
    fmt::print("bfloat16: this processor does not multiply it\n");
  if (const std::string why = why_no_tiles(); why.empty())
    print("bfloat16 in tiles", static_cast<double>(kTileRounds * kTileSums) * kTileOperations,
          best_seconds(multiply_tiles));
  else
    fmt::print("bfloat16 in tiles: {}\n", why);
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
