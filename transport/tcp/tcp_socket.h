// What tcp_endpoint.cc asks of the kernel: addresses, and sockets that never block.
//
// Thread-safety: pure functions.
#pragma once

#include <netinet/in.h>

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace rubato::transport {

// "tcp://host:port". Errors: kNetwork, naming the address and what is expected.
[[nodiscard]] Result<sockaddr_in> parse_tcp_address(const std::string& address);
[[nodiscard]] std::string tcp_address_text(const sockaddr_in& address);

// The socket is the caller's. Errors: kNetwork, naming the address and the cause (port in use).
[[nodiscard]] Result<int> listen_tcp(const sockaddr_in& address);
[[nodiscard]] Result<sockaddr_in> tcp_address_of(int socket);

// Both of these suit their socket to where it leads: buffers of connections within a host have a size of their own.
//
// The next connection; -1 if there is none, and kNoneLeft if there may be one, and no descriptor for it.
inline constexpr int kNoneLeft = -2;
[[nodiscard]] int accept_tcp(int listener);
// A socket on its way to `address`, or -1: it is writable once it is there, or has failed.
[[nodiscard]] int begin_to_connect(const sockaddr_in& address);
[[nodiscard]] bool is_connected(int socket);
// Before it is closed: waits until the other host has all that was written. (A socket that is closed while something
// that came was not read takes back what it has not delivered.)
void finish_sending(int socket, TimeNs deadline);

}  // namespace rubato::transport
