#include "transport/shm/doorbell.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace rubato::transport {

Result<Doorbell> Doorbell::create() {
  Descriptor descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!descriptor) return Error{Cause::kInternal, fmt::format("cannot make an eventfd: {}", std::strerror(errno))};
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
