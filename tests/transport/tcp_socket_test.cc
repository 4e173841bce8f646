// How much a connection may have under way: little within a host, and what the kernel thinks right between hosts.
#include "transport/tcp/tcp_socket.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <optional>

namespace rubato::transport {
namespace {

int option(int socket, int which) {
  int value = 0;
  socklen_t length = sizeof(value);
  EXPECT_EQ(::getsockopt(socket, SOL_SOCKET, which, &value, &length), 0);
  return value;
}

struct Buffers {
  int send, receive;
};
Buffers buffers_of(int socket) { return {option(socket, SO_SNDBUF), option(socket, SO_RCVBUF)}; }

// A connection to an address of this host, from both ends.
class Pair {
 public:
  explicit Pair(in_addr host) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr = host;
    listener_ = listen_tcp(address).value();
    near_ = begin_to_connect(tcp_address_of(listener_).value());
    pollfd waits{listener_, POLLIN, 0};
    EXPECT_EQ(::poll(&waits, 1, 10'000), 1);
    far_ = accept_tcp(listener_);
  }
  ~Pair() {
    for (const int socket : {listener_, near_, far_}) ::close(socket);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  [[nodiscard]] Buffers near_end() const { return buffers_of(near_); }
  [[nodiscard]] Buffers far_end() const { return buffers_of(far_); }

 private:
  int listener_ = -1, near_ = -1, far_ = -1;
};

std::optional<in_addr> address_of_a_network() {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return std::nullopt;
  std::optional<in_addr> found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in address{};
    std::memcpy(&address, one->ifa_addr, sizeof(address));
    if (ntohl(address.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) found = address.sin_addr;
  }
  ::freeifaddrs(all);
  return found;
}

int system_limit() {
  int bytes = 0;
  std::ifstream("/proc/sys/net/core/rmem_max") >> bytes;
  return bytes;
}

// What the kernel counts for a buffer is twice what was asked for.
constexpr int kSend = 2 * (208 << 10), kReceive = 2 * (4 << 20);

TEST(TcpSocket, WithinAHostLittleIsUnderWay) {
  const Pair pair(in_addr{htonl(INADDR_LOOPBACK)});
  for (const Buffers& end : {pair.near_end(), pair.far_end()}) {
    EXPECT_EQ(end.send, kSend);
    // Where the system allows less, the kernel is left to choose: a small one that it may not enlarge is the worst.
    if (2 * system_limit() >= kReceive) {
      EXPECT_EQ(end.receive, kReceive);
    } else {
      EXPECT_NE(end.receive, 2 * system_limit());
    }
  }
}

TEST(TcpSocket, BetweenHostsTheKernelChooses) {
  const auto network = address_of_a_network();
  if (!network) GTEST_SKIP() << "this host has no network";
  const Pair pair(*network);
  EXPECT_NE(pair.near_end().send, kSend);
  EXPECT_NE(pair.far_end().send, kSend);
  EXPECT_NE(pair.near_end().receive, kReceive);
  EXPECT_NE(pair.far_end().receive, kReceive);
}

}  // namespace
}  // namespace rubato::transport
