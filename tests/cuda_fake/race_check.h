// Whether threads of a kernel touch the same memory with nothing between them that says who is first: at least one of
// them writes, and they are of different blocks, or of one block with no barrier between. A GPU may do that in any
// order; here it would be the same one each time, and the result as wished.
//
// Kernels tell it of every access: the compiler puts a call before each, as it does for ThreadSanitizer, whose runtime
// is not linked; race_check.cc has those functions in its place. Memory of the device counts and what is shared by a
// block; a thread's own stack does not. An access is known by where it begins: a word that is read whole and written in
// bytes is not noticed, but for the first. Atomic operations are not looked at.
//
// What other streams touch is happens_before.h's, which hears of each access from here.
//
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rubato::cuda_fake {

class RaceCheck {
 public:
  // Who runs from now on. `barriers`: how many its block has passed. `stack`: the thread's.
  struct Thread {
    std::size_t block = 0;
    unsigned number = 0, barriers = 0;
    std::span<const std::byte> stack;
  };

  void begin_launch();
  void run(const Thread& thread) {
    now_ = thread;
    watching_ = true;
  }
  void pause() { watching_ = false; }

  void read(const void* at, std::size_t bytes) {
    if (watching_) note(at, bytes, false);
  }
  void write(const void* at, std::size_t bytes) {
    if (watching_) note(at, bytes, true);
  }

 private:
  // Packed, as there is a cell for each address that a launch touches.
  struct Access {
    std::uint32_t block = 0;
    std::uint16_t number = 0, barriers = 0;  // a block has 1,024 threads at most
    friend bool operator==(const Access&, const Access&) = default;
  };
  struct Cell {
    const void* at = nullptr;
    std::uint32_t launch = 0;        // of another one: nobody's
    Access written = {}, read = {};  // the last ones, where there were any
    bool was_written = false, was_read = false;
    bool read_by_threads = false;  // by several since the last barrier, of one block
    bool read_by_blocks = false;   // by several
  };

  void note(const void* at, std::size_t bytes, bool writes);
  Cell& cell_of(const void* at);
  [[nodiscard]] std::size_t place_of(const void* at) const;
  void grow();
  [[nodiscard]] bool on_stack(const void* at) const;
  [[nodiscard]] Access access() const {
    return {static_cast<std::uint32_t>(now_.block), static_cast<std::uint16_t>(now_.number),
            static_cast<std::uint16_t>(now_.barriers)};
  }
  [[nodiscard]] bool unordered(const Access& before) const;
  void note_read(Cell& cell) const;
  void race(const Access& before, bool writes, bool others = false);

  Thread now_;
  bool watching_ = false, said_ = false;
  // By address, each as near as possible behind where its hash is; at most half full.
  std::vector<Cell> cells_;
  std::size_t used_ = 0;
  std::uint32_t launch_ = 0;
};

RaceCheck& race_check();

}  // namespace rubato::cuda_fake
