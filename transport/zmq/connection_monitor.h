// Counts what libzmq itself throws out: connections to a listening socket that never become peers,
// because they speak another protocol, break off, or say nothing until the handshake times out.
//
// libzmq reports ACCEPTED, HANDSHAKE_SUCCEEDED and DISCONNECTED, but not which connection succeeded,
// and some failures show as nothing but a DISCONNECTED. So a refusal is counted when a connection ends
// while more have been accepted than have succeeded, and taken back if that other one succeeds after
// all: never too low, and exact whenever no handshake is under way. (With several I/O threads the events
// of one connection may come in the wrong order, and the count be off by one then.)
//
// Thread-safety: the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <zmq.hpp>

#include "transport/zmq/polled_socket.h"

namespace rubato::transport {

class ConnectionMonitor {
 public:
  // May throw zmq::error_t. Closed before `socket`.
  ConnectionMonitor(Loop& loop, zmq::context_t& context, zmq::socket_t& socket);
  ~ConnectionMonitor();

  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  bool receive_event(zmq::socket_t& events);

  zmq::socket_t& monitored_;
  std::shared_ptr<PolledSocket> events_;
  std::uint64_t accepted_ = 0, succeeded_ = 0, refused_ = 0;
};

}  // namespace rubato::transport
