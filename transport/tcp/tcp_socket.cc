#include "transport/tcp/tcp_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace rubato::transport {
namespace {

constexpr int kBacklog = 1024;

// Of a connection within a host (docs/decisions/loopback-buffers.md): what is under way lies in caches while it is
// little, and in memory when it is as much as the kernel would let it become. The first is what systems allow unless
// they are told otherwise. The second does not bound what is under way: a small window costs wake-ups and losses.
constexpr int kLoopbackSendBytes = 208 << 10;
constexpr int kLoopbackReceiveBytes = 4 << 20;

// Of a connection between hosts: written to the kernel beyond what is on its way.
constexpr int kUnsentBytes = 256 << 10;

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

// Answers are short, and nobody should wait for them to become more.
void send_at_once(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool is_loopback(const sockaddr_in& address) { return ntohl(address.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET; }

bool set_buffer(int socket, int which, int bytes) {
  int got = 0;
  socklen_t length = sizeof(got);
  return ::setsockopt(socket, SOL_SOCKET, which, &bytes, sizeof(bytes)) == 0 &&
         ::getsockopt(socket, SOL_SOCKET, which, &got, &length) == 0 && got >= bytes;
}

// A socket that was given a size is no longer given more by the kernel, also where the system's limit made it smaller
// than asked for. So whether there is such a limit is tried on another one.
bool may_receive_so_much() {
  const int other = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool may = other >= 0 && set_buffer(other, SO_RCVBUF, kLoopbackReceiveBytes);
  if (other >= 0) ::close(other);
  return may;
}

// What the kernel has taken no frame goes before any more; so between hosts it takes little of what it cannot send yet.
void keep_the_rest_here(int socket) {
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof(kUnsentBytes));
}

void suit(int socket, const sockaddr_in& peer) {
  send_at_once(socket);
  if (!is_loopback(peer)) return keep_the_rest_here(socket);
  (void)set_buffer(socket, SO_SNDBUF, kLoopbackSendBytes);
  if (may_receive_so_much()) (void)set_buffer(socket, SO_RCVBUF, kLoopbackReceiveBytes);
}

Error listen_error(const sockaddr_in& address, int error) {
  const char* advice = "";
  if (error == EADDRINUSE)
    advice = "; another process has it: stop that, or choose another (port 0 is picked by the system)";
  if (error == EADDRNOTAVAIL) advice = "; this host has no such address";
  return {Cause::kNetwork,
          fmt::format("cannot listen on {}: {}{}", tcp_address_text(address), std::strerror(error), advice)};
}

}  // namespace

Result<sockaddr_in> parse_tcp_address(const std::string& address) {
  constexpr std::string_view kScheme = "tcp://";
  const Error wrong{Cause::kNetwork, fmt::format("\"{}\" is no address: expected tcp://host:port", address)};
  const std::size_t colon = address.rfind(':');
  if (!address.starts_with(kScheme) || colon < kScheme.size()) return wrong;
  const std::string host = address.substr(kScheme.size(), colon - kScheme.size()), port = address.substr(colon + 1);
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return Error{wrong.cause, fmt::format("{} ({})", wrong.message, ::gai_strerror(error))};
  sockaddr_in parsed{};
  std::memcpy(&parsed, found->ai_addr, sizeof(parsed));
  ::freeaddrinfo(found);
  return parsed;
}

std::string tcp_address_text(const sockaddr_in& address) {
  char host[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
  return fmt::format("tcp://{}:{}", host, ntohs(address.sin_port));
}

Result<int> listen_tcp(const sockaddr_in& address) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;  // over connections of a process that has just ended, not over another that listens
  if (socket >= 0 && ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
      ::bind(socket, generic(address), sizeof(address)) == 0 && ::listen(socket, kBacklog) == 0)
    return socket;
  const int error = errno;
  if (socket >= 0) ::close(socket);
  return listen_error(address, error);
}

Result<sockaddr_in> tcp_address_of(int socket) {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0) return address;
  return listen_error(address, errno);
}

int accept_tcp(int listener) {
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  const int socket = ::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0) return errno == EMFILE || errno == ENFILE ? kNoneLeft : -1;
  suit(socket, peer);
  return socket;
}

int begin_to_connect(const sockaddr_in& address) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  suit(socket, address);
  if (::connect(socket, generic(address), sizeof(address)) == 0 || errno == EINPROGRESS) return socket;
  ::close(socket);
  return -1;
}

bool is_connected(int socket) {
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

void finish_sending(int socket, TimeNs deadline) {
  ::shutdown(socket, SHUT_WR);
  int unsent = 0;
  while (::ioctl(socket, SIOCOUTQ, &unsent) == 0 && unsent > 0 && steady_now() < deadline) ::usleep(200);
}

}  // namespace rubato::transport
