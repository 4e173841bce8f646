#include "transport/shm/doorbell.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace rubato::transport {

Result<Doorbell> Doorbell::create() {
  Descriptor descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!descriptor) return Error{Cause::kInternal, fmt::format("cannot make an eventfd: {}", std::strerror(errno))};
  return Doorbell(std::move(descriptor));
}

Result<Doorbell> Doorbell::of_another(Descriptor descriptor) {
  const std::string link = fmt::format("/proc/self/fd/{}", descriptor.number());
  std::array<char, 64> kind{};
  const ssize_t size = ::readlink(link.c_str(), kind.data(), kind.size());
  const bool eventfd =
      size > 0 && std::string_view(kind.data(), static_cast<std::size_t>(size)) == "anon_inode:[eventfd]";
  if (!eventfd || ::fcntl(descriptor.number(), F_SETFL, O_NONBLOCK) != 0)
    return Error{Cause::kMalformed, "expected an eventfd, found another kind of descriptor"};
  return Doorbell(std::move(descriptor));
}

void Doorbell::ring() const {
  const std::uint64_t one = 1;
  while (::write(descriptor_.number(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }  // a full counter has rung already
}

void Doorbell::quiet() const {
  std::uint64_t count = 0;
  while (::read(descriptor_.number(), &count, sizeof(count)) < 0 && errno == EINTR) {
  }
}

}  // namespace rubato::transport
