#include "transport/zmq/connection_monitor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "transport/zmq/message.h"

namespace rubato::transport {

namespace {
constexpr const char* kAddress = "inproc://connection-monitor";  // one for each context
}

ConnectionMonitor::ConnectionMonitor(Loop& loop, zmq::context_t& context, zmq::socket_t& socket) : monitored_(socket) {
  constexpr int kEvents = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
  if (::zmq_socket_monitor(socket.handle(), kAddress, kEvents) != 0) throw zmq::error_t();
  zmq::socket_t events(context, zmq::socket_type::pair);
  events.set(zmq::sockopt::rcvhwm, 0);  // an I/O thread would wait, with all its connections, for a slow loop
  events.set(zmq::sockopt::linger, 0);
  events.connect(kAddress);
  events_ = PolledSocket::open(loop, std::move(events), [this](zmq::socket_t& from) { return receive_event(from); });
}

ConnectionMonitor::~ConnectionMonitor() {
  ::zmq_socket_monitor(monitored_.handle(), nullptr, 0);
  events_->close();
}

bool ConnectionMonitor::receive_event(zmq::socket_t& events) {
  zmq::message_t event, address;
  if (!receive_part(events, event) || !receive_part(events, address)) return false;
  std::uint16_t kind = 0;
  std::memcpy(&kind, event.data(), std::min(sizeof(kind), event.size()));
  if (kind == ZMQ_EVENT_ACCEPTED) ++accepted_;
  if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) ++succeeded_;
  const std::uint64_t unfinished = accepted_ - succeeded_;
  refused_ = std::min(kind == ZMQ_EVENT_DISCONNECTED ? refused_ + 1 : refused_, unfinished);
  return true;
}

}  // namespace rubato::transport
