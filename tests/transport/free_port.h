// Ports for tests.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

namespace rubato::transport {

// A port that was free a moment ago: the contract needs addresses that are known before anyone listens.
inline int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(name);
  RUBATO_CHECK(::bind(socket, reinterpret_cast<sockaddr*>(&name), size) == 0);
  RUBATO_CHECK(::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  ::close(socket);
  return ntohs(name.sin_port);
}

}  // namespace rubato::transport
