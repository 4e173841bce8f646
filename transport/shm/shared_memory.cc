#include "transport/shm/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace rubato::transport {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Error failed(const char* what, std::size_t bytes) {
  return {Cause::kInternal, fmt::format("cannot {} {} bytes of shared memory: {}", what, bytes, std::strerror(errno))};
}

// Large ones start at a multiple of a huge page: in each process, or its part of the page table has small ones.
std::byte* map_bytes(const Descriptor& descriptor, std::size_t bytes, int protection) {
  constexpr std::size_t kAlign = SharedMemory::kHugePage;
  if (bytes < kAlign) {
    void* address = ::mmap(nullptr, bytes, protection, MAP_SHARED, descriptor.number(), 0);
    return address == MAP_FAILED ? nullptr : static_cast<std::byte*>(address);
  }
  // As many addresses and one page more, of which the middle is taken.
  void* reserved = ::mmap(nullptr, bytes + kAlign, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  auto* first = static_cast<std::byte*>(reserved);
  const std::size_t before = (kAlign - reinterpret_cast<std::uintptr_t>(first) % kAlign) % kAlign;
  void* address = ::mmap(first + before, bytes, protection, MAP_SHARED | MAP_FIXED, descriptor.number(), 0);
  if (address == MAP_FAILED) {
    ::munmap(reserved, bytes + kAlign);
    return nullptr;
  }
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t end = before + (bytes + page - 1) / page * page;
  if (before > 0) ::munmap(first, before);
  if (end < bytes + kAlign) ::munmap(first + end, bytes + kAlign - end);
  return static_cast<std::byte*>(address);
}

}  // namespace

void Descriptor::reset(int number) {
  if (number_ >= 0) ::close(number_);
  number_ = number;
}

SharedMemory::~SharedMemory() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  if (this == &other) return *this;
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  descriptor_ = std::move(other.descriptor_);
  bytes_ = std::exchange(other.bytes_, {});
  return *this;
}

Result<SharedMemory> SharedMemory::create(const char* name, std::size_t bytes) {
  Descriptor descriptor(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!descriptor) return failed("make", bytes);
  return adopt(std::move(descriptor), bytes);
}

Result<SharedMemory> SharedMemory::adopt(Descriptor descriptor, std::size_t bytes) {
  SharedMemory memory;
  memory.descriptor_ = std::move(descriptor);
  struct stat status {};
  if (::fstat(memory.descriptor_.number(), &status) != 0) return failed("look at", bytes);
  if (status.st_size != 0)
    return Error{Cause::kInternal, fmt::format("expected an empty memfd, found {} bytes in it", status.st_size)};
  if (::ftruncate(memory.descriptor_.number(), static_cast<off_t>(bytes)) != 0) return failed("size", bytes);
  if (::fcntl(memory.descriptor_.number(), F_ADD_SEALS, kSizeSeals) != 0) return failed("seal", bytes);
  std::byte* start = map_bytes(memory.descriptor_, bytes, PROT_READ | PROT_WRITE);
  if (start == nullptr) return failed("map", bytes);
  memory.bytes_ = {start, bytes};
  return memory;
}

bool SharedMemory::make_huge(std::size_t first, std::size_t end) const {
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1; older headers have no name for it
#endif
  // Where nothing was touched there is nothing to make larger.
  for (std::size_t at = first; at < end; at += kHugePage)
    [[maybe_unused]] const std::byte touched = *static_cast<const volatile std::byte*>(bytes_.data() + at);
  return ::madvise(bytes_.data() + first, end - first, MADV_COLLAPSE) == 0;
}

Status can_share_memory() {
  const Result<SharedMemory> some = SharedMemory::create("rubato-probe", 1);
  if (!some.ok()) return some.error();
  return {};
}

Result<SharedMemory> SharedMemory::map(Descriptor descriptor, Access access) {
  struct stat status {};
  const int seals = ::fcntl(descriptor.number(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(descriptor.number(), &status) != 0 || status.st_size <= 0)
    return Error{Cause::kMalformed, "expected a memfd of sealed size, found another kind of descriptor"};
  const auto bytes = static_cast<std::size_t>(status.st_size);
  std::byte* start = map_bytes(descriptor, bytes, access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE);
  if (start == nullptr) return failed("map", bytes);
  SharedMemory memory;
  memory.bytes_ = {start, bytes};
  return memory;
}

}  // namespace rubato::transport
