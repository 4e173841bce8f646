#include "tests/cuda_fake/race_check.h"

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <utility>

#include "tests/cuda_fake/machine.h"

namespace rubato::cuda_fake {
namespace {

constexpr std::size_t kCellsAtFirst = std::size_t{1} << 12, kCellsKept = std::size_t{1} << 20;

}  // namespace

RaceCheck& race_check() {
  static RaceCheck one;
  return one;
}

void RaceCheck::begin_launch() {
  ++launch_;
  used_ = 0;
  if (cells_.size() != kCellsAtFirst && (cells_.empty() || cells_.size() > kCellsKept))
    cells_ = std::vector<Cell>(kCellsAtFirst);
  said_ = false;
}

// Where it lies, or is to lie.
std::size_t RaceCheck::place_of(const void* at) const {
  constexpr std::size_t kGolden = 0x9E3779B97F4A7C15u;
  std::size_t place = (reinterpret_cast<std::uintptr_t>(at) * kGolden >> 20) % cells_.size();
  while (cells_[place].launch == launch_ && cells_[place].at != at) place = (place + 1) % cells_.size();
  return place;
}

void RaceCheck::grow() {
  const std::vector<Cell> before = std::exchange(cells_, std::vector<Cell>(2 * cells_.size()));
  for (const Cell& cell : before)
    if (cell.launch == launch_) cells_[place_of(cell.at)] = cell;
}

RaceCheck::Cell& RaceCheck::cell_of(const void* at) {
  Cell& found = cells_[place_of(at)];
  if (found.launch == launch_) return found;
  if (2 * ++used_ > cells_.size()) grow();
  Cell& cell = cells_[place_of(at)];
  cell = {.at = at, .launch = launch_};
  return cell;
}

bool RaceCheck::on_stack(const void* at) const {
  const std::byte* const byte = static_cast<const std::byte*>(at);
  return !std::less<>{}(byte, now_.stack.data()) && std::less<>{}(byte, now_.stack.data() + now_.stack.size());
}

// Whether nothing says that the one before was first.
bool RaceCheck::unordered(const Access& before) const {
  const Access now = access();
  return before.block != now.block || (before.barriers == now.barriers && before.number != now.number);
}

void RaceCheck::note(const void* at, std::size_t bytes, bool writes) {
  if (on_stack(at)) return;
  writes ? machine().writes(at, bytes) : machine().reads(at, bytes);
  Cell& cell = cell_of(at);
  // What a block shares, the next one has anew.
  const Access& last = cell.was_written ? cell.written : cell.read;
  const bool anew = (cell.was_written || cell.was_read) && last.block != now_.block && !machine().is_device(at);
  if (anew) cell = {.at = at, .launch = launch_};
  if (cell.was_written && unordered(cell.written)) race(cell.written, writes);
  if (!writes) return note_read(cell);
  const bool others = cell.read_by_blocks || (cell.read_by_threads && cell.read.barriers == now_.barriers);
  if (cell.was_read && (others || unordered(cell.read))) race(cell.read, true, others);
  cell.written = access();
  cell.was_written = true;
}

// The last read stands for all before it, but for those that no barrier and no block's end sets apart from it.
void RaceCheck::note_read(Cell& cell) const {
  const Access now = access();
  cell.read_by_blocks |= cell.was_read && cell.read.block != now.block;
  const bool together = cell.was_read && cell.read.block == now.block && cell.read.barriers == now.barriers;
  cell.read_by_threads = together && (cell.read_by_threads || cell.read != now);
  cell.read = now;
  cell.was_read = true;
}

// Once a launch: where one thread is wrong, many are.
void RaceCheck::race(const Access& before, bool writes, bool others) {
  if (said_) return;
  said_ = true;
  machine().fault(
      fmt::format("a race: thread {} of block {} {} what {} touched, with no barrier between", now_.number, now_.block,
                  writes ? "writes" : "reads",
                  others ? "several threads" : fmt::format("thread {} of block {}", before.number, before.block)));
}

}  // namespace rubato::cuda_fake

// What the compiler calls before each access, with -fsanitize=thread.
extern "C" {

using rubato::cuda_fake::race_check;

// NOLINTBEGIN(bugprone-reserved-identifier): the compiler's names.
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read1(void* at) { race_check().read(at, 1); }
void __tsan_read2(void* at) { race_check().read(at, 2); }
void __tsan_read4(void* at) { race_check().read(at, 4); }
void __tsan_read8(void* at) { race_check().read(at, 8); }
void __tsan_read16(void* at) { race_check().read(at, 16); }
void __tsan_write1(void* at) { race_check().write(at, 1); }
void __tsan_write2(void* at) { race_check().write(at, 2); }
void __tsan_write4(void* at) { race_check().write(at, 4); }
void __tsan_write8(void* at) { race_check().write(at, 8); }
void __tsan_write16(void* at) { race_check().write(at, 16); }
void __tsan_unaligned_read2(void* at) { race_check().read(at, 2); }
void __tsan_unaligned_read4(void* at) { race_check().read(at, 4); }
void __tsan_unaligned_read8(void* at) { race_check().read(at, 8); }
void __tsan_unaligned_read16(void* at) { race_check().read(at, 16); }
void __tsan_unaligned_write2(void* at) { race_check().write(at, 2); }
void __tsan_unaligned_write4(void* at) { race_check().write(at, 4); }
void __tsan_unaligned_write8(void* at) { race_check().write(at, 8); }
void __tsan_unaligned_write16(void* at) { race_check().write(at, 16); }
// Of more bytes, or of bytes whose number is only known then: copies of structures, which stay within a thread's stack.
void __tsan_read_range(void* at, std::size_t bytes) { race_check().read(at, bytes); }
void __tsan_write_range(void* at, std::size_t bytes) { race_check().write(at, bytes); }
// Counts of references, of tests around kernels.
int __tsan_atomic32_fetch_add(volatile int* at, int value, int) {
  return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
int __tsan_atomic32_fetch_sub(volatile int* at, int value, int) {
  return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);
}
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
