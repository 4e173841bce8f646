// A stranger that speaks bytes to a listening socket.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace rubato::transport {

class Stranger {
 public:
  explicit Stranger(const std::string& address) {
    if (address.starts_with("ipc://")) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      address.copy(name.sun_path, sizeof(name.sun_path) - 1, 6);
      open(AF_UNIX, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      open(AF_INET, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
    }
  }
  ~Stranger() { ::close(socket_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  // The other side may have hung up already; that is its right.
  void say(std::string_view bytes) const { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

 private:
  void open(int family, const sockaddr* name, socklen_t size) {
    socket_ = ::socket(family, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(socket_, name, size), 0) << std::strerror(errno);
  }
  int socket_ = -1;
};

}  // namespace rubato::transport
