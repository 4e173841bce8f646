// Memory that two processes of one host share: a memfd, mapped. It has no name and no file, so nothing is left
// behind, whoever is killed; whoever holds the descriptor or a mapping keeps it.
//
// A memfd made here can never shrink: its size is sealed, so that no process dies of a page that another took away.
// What comes from another process is mapped only if that is true of it.
//
// Thread-safety: values that are moved; the bytes belong to whoever says so.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace rubato::transport {

// A descriptor that is closed once.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }

  [[nodiscard]] int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void reset(int number = -1);

 private:
  int number_ = -1;
};

class SharedMemory {
 public:
  SharedMemory() = default;
  ~SharedMemory();
  SharedMemory(SharedMemory&& other) noexcept { *this = std::move(other); }
  SharedMemory& operator=(SharedMemory&& other) noexcept;

  // Zeroed, and taking memory only where it is touched. `name` is what /proc shows. Errors: kInternal, out of memory
  // or descriptors.
  [[nodiscard]] static Result<SharedMemory> create(const char* name, std::size_t bytes);
  // The same of a memfd that another process made and holds, and that is empty: what is written there outlives this
  // process. Errors: kInternal, also where it is not empty or no memfd.
  [[nodiscard]] static Result<SharedMemory> adopt(Descriptor descriptor, std::size_t bytes);
  enum class Access { kRead, kReadWrite };
  // What another process made, of whatever size it is; the descriptor is closed, for descriptors are few. Errors:
  // kMalformed, if it is no memfd of sealed size.
  [[nodiscard]] static Result<SharedMemory> map(Descriptor descriptor, Access access);

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  // Large memory is mapped so that this many bytes of it can be one page.
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  // Gives the bytes from `first` to `end`, multiples of kHugePage, huge pages: fewer faults, and fewer misses when
  // addresses are looked up. What is there stays. False: the system has none to give; all goes on without.
  bool make_huge(std::size_t first, std::size_t end) const;
  // Of memory made or adopted here, until it is closed.
  [[nodiscard]] const Descriptor& descriptor() const { return descriptor_; }
  // It stays mapped, and nobody else is given it any more.
  void close_descriptor() { descriptor_.reset(); }

 private:
  Descriptor descriptor_;
  std::span<std::byte> bytes_;
};

// Whether this process may make any. (A sandbox may forbid it.)
[[nodiscard]] Status can_share_memory();

}  // namespace rubato::transport
