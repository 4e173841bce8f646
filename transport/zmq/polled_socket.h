// A libzmq socket driven by a Loop.
//
// libzmq's descriptor (ZMQ_FD) is edge-triggered and stands for the socket's command queue, not for
// its messages. Any call on the socket may swallow the edge: so the socket is read until nothing is
// left each time it wakes, and must be looked at again after a send. Forgetting either makes a
// connection fall asleep for good, now and then.
//
// Reading stops after a number of messages and goes on behind whatever else the loop has to do, so that
// a busy peer starves neither timers nor other peers.
//
// Thread-safety: the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <zmq.hpp>

#include "transport/loop.h"

namespace rubato::transport {

class PolledSocket : public std::enable_shared_from_this<PolledSocket> {
 public:
  // Takes one message off the socket; false if there was none.
  using ReceiveOne = std::function<bool(zmq::socket_t&)>;

  [[nodiscard]] static std::shared_ptr<PolledSocket> open(Loop& loop, zmq::socket_t socket, ReceiveOne receive_one);

  // For sending and for options. Whoever sends calls look_again() afterwards.
  [[nodiscard]] zmq::socket_t& socket() { return socket_; }
  void look_again();

  // No message is received any more, also when called from within ReceiveOne. libzmq goes on sending
  // what waits for as long as ZMQ_LINGER says.
  void close();

 private:
  PolledSocket(Loop& loop, zmq::socket_t socket, ReceiveOne receive_one);
  void drain();

  zmq::socket_t socket_;
  ReceiveOne receive_one_;
  std::optional<Watch> watch_;
  bool draining_ = false;
  Wakeup look_;
};

}  // namespace rubato::transport
