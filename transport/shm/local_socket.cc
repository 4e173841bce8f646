#include "transport/shm/local_socket.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace rubato::transport {
namespace {

constexpr std::uint64_t kMagic = 0x31304d4853544252;  // "RBTSHM01": another version is another number
constexpr int kBacklog = 1024;
constexpr rlim_t kSpareDescriptors = 16;  // for handshakes, files, and the sockets of who cannot share memory

struct WireMessage {
  std::uint64_t magic = kMagic;
  std::uint32_t kind = 0, number = 0;
};

// A WireMessage and room for descriptors, as sendmsg and recvmsg want them. Points into itself.
struct Parcel {
  WireMessage wire;
  iovec part{&wire, sizeof(wire)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * LocalMessage::kDescriptorsMax)> control{};
  msghdr header{};

  Parcel() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  Parcel(const Parcel&) = delete;
  Parcel& operator=(const Parcel&) = delete;
};

struct Name {
  sockaddr_un address{};
  socklen_t size = 0;
};

std::optional<Name> abstract_name(const std::string& name) {
  Name result;
  if (name.empty() || name.size() + 1 > sizeof(result.address.sun_path)) return std::nullopt;
  result.address.sun_family = AF_UNIX;
  name.copy(result.address.sun_path + 1, name.size());
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return result;
}

Error failed(const char* what, const std::string& address) {
  const char* advice = errno == EADDRINUSE ? "; another process has it: stop that, or choose another name" : "";
  return {Cause::kNetwork, fmt::format("cannot {} {}: {}{}", what, address, std::strerror(errno), advice)};
}

Error wrong_name(const std::string& address) {
  return {Cause::kNetwork,
          fmt::format("'{}' is no address here; expected shm://NAME, of at most 107 characters", address)};
}

Descriptor open_socket() { return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// Memory is shared with nobody else: not with another user's programs, and not with root's by accident.
Status check_same_user(const Descriptor& socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket.number(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return Error{Cause::kRefused, "cannot tell whose process is at the other end"};
  if (peer.uid != ::geteuid())
    return Error{Cause::kRefused,
                 fmt::format("it is a process of user {}, this one is of user {}", peer.uid, ::geteuid())};
  return {};
}

// A process that has no descriptor left can neither open a file nor let anybody in elsewhere. The kernel gives the
// lowest number that is free.
Status check_spare_descriptors(const Descriptor& socket) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  if (static_cast<rlim_t>(socket.number()) + kSpareDescriptors < limit.rlim_cur) return {};
  return Error{Cause::kRefused, fmt::format("few file descriptors are left here: {} are open, and the limit is {} "
                                            "(ulimit -n)",
                                            socket.number(), limit.rlim_cur)};
}

}  // namespace

Result<Descriptor> listen_local(const std::string& name, const std::string& address) {
  const auto path = abstract_name(name);
  if (!path) return wrong_name(address);
  Descriptor socket = open_socket();
  if (!socket || ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&path->address), path->size) != 0 ||
      ::listen(socket.number(), kBacklog) != 0)
    return failed("listen on", address);
  return socket;
}

Result<std::optional<Descriptor>> accept_local(const Descriptor& listener) {
  Descriptor socket(::accept4(listener.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::optional<Descriptor>();
    return failed("accept on", "shared memory");
  }
  RUBATO_TRY(check_same_user(socket));
  RUBATO_TRY(check_spare_descriptors(socket));
  return std::optional<Descriptor>(std::move(socket));
}

Result<Descriptor> connect_local(const std::string& name, const std::string& address) {
  const auto path = abstract_name(name);
  if (!path) return wrong_name(address);
  Descriptor socket = open_socket();
  if (!socket || ::connect(socket.number(), reinterpret_cast<const sockaddr*>(&path->address), path->size) != 0)
    return failed("connect to", address);
  RUBATO_TRY(check_same_user(socket));
  RUBATO_TRY(check_spare_descriptors(socket));
  return socket;
}

bool send_local(const Descriptor& socket, const LocalMessage& message, const std::vector<int>& descriptors) {
  Parcel parcel;
  parcel.wire = {kMagic, static_cast<std::uint32_t>(message.kind), message.number};
  parcel.header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors.size());
  cmsghdr* rights = CMSG_FIRSTHDR(&parcel.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors.size());
  std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof(int) * descriptors.size());
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket.number(), &parcel.header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof(WireMessage));
}

bool say_no_more(const Descriptor& socket) { return ::shutdown(socket.number(), SHUT_WR) == 0; }

Result<std::optional<ReceivedLocal>> receive_local(const Descriptor& socket) {
  Parcel parcel;
  const WireMessage& wire = parcel.wire;
  const msghdr& header = parcel.header;
  ssize_t size = 0;
  do {  // who went away with something of ours unread is a reset first; what it had sent before comes behind that
    size = ::recvmsg(socket.number(), &parcel.header, MSG_CMSG_CLOEXEC);
  } while (size < 0 && (errno == EINTR || errno == ECONNRESET));
  if (size < 0 && errno == EAGAIN) return std::optional<ReceivedLocal>();
  if (size <= 0) return Error{Cause::kPeerLost, "the process at the other end has gone"};
  ReceivedLocal received;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&parcel.header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
      received.descriptors.emplace_back(number);
    }
  }
  if (size != static_cast<ssize_t>(sizeof(wire)) || (header.msg_flags & MSG_TRUNC) != 0 || wire.magic != kMagic)
    return Error{Cause::kMalformed, "what came over the local socket is not Rubato's"};
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    return Error{Cause::kInternal, "no file descriptor is left here for memory that is shared (ulimit -n)"};
  received.message = {static_cast<LocalMessage::Kind>(wire.kind), wire.number};
  return std::optional<ReceivedLocal>(std::move(received));
}

}  // namespace rubato::transport
