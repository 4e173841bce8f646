#include "transport/zmq/polled_socket.h"

#include <utility>

namespace rubato::transport {

namespace {
constexpr int kMessagesPerTurn = 32;
}

std::shared_ptr<PolledSocket> PolledSocket::open(Loop& loop, zmq::socket_t socket, ReceiveOne receive_one) {
  std::shared_ptr<PolledSocket> self(new PolledSocket(loop, std::move(socket), std::move(receive_one)));
  // The Watch lives in the object and ends with close(): it needs no share in it.
  self->watch_.emplace(loop, self->socket_.get(zmq::sockopt::fd), [raw = self.get()] { raw->drain(); });
  self->look_again();
  return self;
}

PolledSocket::PolledSocket(Loop& loop, zmq::socket_t socket, ReceiveOne receive_one)
    : socket_(std::move(socket)), receive_one_(std::move(receive_one)), look_(loop, [this] { drain(); }) {}

void PolledSocket::look_again() {
  if (!draining_) look_.ring();  // else it is about to be read until nothing is left
}

void PolledSocket::drain() {
  const auto self = shared_from_this();  // a handler may drop the last other share
  draining_ = true;
  int taken = 0;
  while (watch_ && taken < kMessagesPerTurn && receive_one_(socket_)) ++taken;
  draining_ = false;
  if (watch_ && taken == kMessagesPerTurn) look_again();
}

void PolledSocket::close() {
  watch_.reset();  // first: the descriptor dies with the socket
  socket_.close();
}

}  // namespace rubato::transport
