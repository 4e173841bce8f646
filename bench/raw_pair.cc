#include "bench/raw_pair.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <zmq.hpp>

#include "base/check.h"
#include "base/memory.h"
#include "bench/touch.h"
#include "transport/allocator.h"

namespace rubato::bench {
namespace {

// The far end's own buffers: cold, as the near end's are.
class Answers {
 public:
  explicit Answers(const RawShape& shape) : shape_(shape) {
    for (std::size_t i = 0; i < shape.messages; ++i) {
      blocks_.push_back(PrivateMemory().floats(shape.floats));
      std::fill_n(blocks_.back().get(), shape.floats, 1e-3f);
    }
  }
  [[nodiscard]] std::span<float> next() { return {blocks_[next_++ % shape_.messages].get(), shape_.floats}; }

 private:
  const RawShape shape_;
  std::vector<std::shared_ptr<float[]>> blocks_;
  std::size_t next_ = 0;
};

void tell_address(int tell, const std::string& address) {
  const std::string line = address + "\n";
  RUBATO_CHECK(::write(tell, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

// When each message of a round was sent: answers come in the same order.
class Trips {
 public:
  void sent() { sent_.push_back(steady_now()); }
  void answered() { took_.push_back(steady_now() - sent_[took_.size()]); }
  [[nodiscard]] std::size_t answers() const { return took_.size(); }
  [[nodiscard]] std::vector<TimeNs> take() { return std::move(took_); }

 private:
  std::vector<TimeNs> sent_, took_;
};

// ---- TCP --------------------------------------------------------------------------------------------------

void set_undelayed(int socket) {
  const int on = 1;
  RUBATO_CHECK(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// Both directions on one thread: whoever only wrote would wait for one who only writes.
class TcpPair final : public RawPair {
 public:
  TcpPair(std::uint16_t port, const RawShape& shape)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), shape_(shape), received_(shape.floats) {
    const sockaddr_in address = loopback(port);
    RUBATO_CHECK(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    set_undelayed(socket_);
  }
  ~TcpPair() override { ::close(socket_); }

  std::vector<TimeNs> run(std::span<const std::span<float>> buffers, const RawRound& round) override {
    Trips trips;
    std::size_t sending = 0, bytes_sent = 0, bytes_come = 0;
    while (trips.answers() < buffers.size()) {
      const bool may_send = sending < buffers.size() && sending < trips.answers() + round.window;
      pollfd wait{socket_, static_cast<short>(POLLIN | (may_send ? POLLOUT : 0)), 0};
      RUBATO_CHECK(::poll(&wait, 1, -1) == 1);
      if (may_send && (wait.revents & POLLOUT) != 0) {
        if (bytes_sent == 0) {
          if (round.write) std::ranges::fill(buffers[sending], round.value);
          trips.sent();
        }
        bytes_sent += send_some(std::as_bytes(buffers[sending]).subspan(bytes_sent));
        if (bytes_sent == bytes()) bytes_sent = 0, ++sending;
      }
      if ((wait.revents & POLLIN) != 0) {
        bytes_come += receive_some(std::as_writable_bytes(std::span(received_)).subspan(bytes_come));
        if (bytes_come < bytes()) continue;
        bytes_come = 0;
        if (round.read) touched_ ^= touch(received_);
        trips.answered();
      }
    }
    return trips.take();
  }

 private:
  [[nodiscard]] std::size_t bytes() const { return shape_.floats * sizeof(float); }
  std::size_t send_some(std::span<const std::byte> rest) const {
    const ssize_t size = ::send(socket_, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    RUBATO_CHECK(size >= 0 || errno == EAGAIN, "the far end has gone");
    return static_cast<std::size_t>(std::max<ssize_t>(size, 0));
  }
  std::size_t receive_some(std::span<std::byte> room) const {
    const ssize_t size = ::recv(socket_, room.data(), room.size(), MSG_DONTWAIT);
    RUBATO_CHECK(size > 0 || (size < 0 && errno == EAGAIN), "the far end has gone");
    return static_cast<std::size_t>(std::max<ssize_t>(size, 0));
  }

  const int socket_;
  const RawShape shape_;
  std::vector<float> received_;
  std::uint32_t touched_ = 0;
};

[[noreturn]] void answer_tcp(const RawShape& shape, int tell) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  RUBATO_CHECK(::bind(listener, generic, length) == 0 && ::listen(listener, 1) == 0);
  RUBATO_CHECK(::getsockname(listener, generic, &length) == 0);
  Answers answers(shape);
  tell_address(tell, std::to_string(ntohs(address.sin_port)));
  const int socket = ::accept(listener, nullptr, nullptr);
  RUBATO_CHECK(socket >= 0);
  set_undelayed(socket);
  std::vector<float> received(shape.floats);
  std::uint32_t touched = 0;
  const std::size_t bytes = shape.floats * sizeof(float);
  while (::recv(socket, received.data(), bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes)) {
    touched ^= touch(received);
    const auto answer = std::as_bytes(answers.next());
    for (std::size_t sent = 0; sent < bytes;) {
      const ssize_t size = ::send(socket, answer.data() + sent, bytes - sent, MSG_NOSIGNAL);
      if (size <= 0) std::_Exit(0);
      sent += static_cast<std::size_t>(size);
    }
  }
  std::_Exit(touched == 1 ? 1 : 0);  // whatever it is: the sum is asked for
}

// ---- libzmq -----------------------------------------------------------------------------------------------

zmq::socket_t open_pair(zmq::context_t& context) {
  zmq::socket_t socket(context, zmq::socket_type::pair);
  socket.set(zmq::sockopt::sndhwm, 0);
  socket.set(zmq::sockopt::rcvhwm, 0);
  socket.set(zmq::sockopt::linger, 0);
  return socket;
}

// Refers to the values: nobody writes to them before they have been answered.
zmq::message_t message_of(std::span<float> values) {
  return {values.data(), values.size_bytes(), [](void*, void*) {}, nullptr};
}

std::span<const float> floats_of(zmq::message_t& message) {
  return {static_cast<const float*>(message.data()), message.size() / sizeof(float)};
}

class ZmqPair final : public RawPair {
 public:
  explicit ZmqPair(const std::string& address) : socket_(open_pair(context_)) { socket_.connect(address); }

  std::vector<TimeNs> run(std::span<const std::span<float>> buffers, const RawRound& round) override {
    Trips trips;
    std::size_t sent = 0;
    while (trips.answers() < buffers.size()) {
      for (; sent < buffers.size() && sent < trips.answers() + round.window; ++sent) {
        if (round.write) std::ranges::fill(buffers[sent], round.value);
        trips.sent();
        RUBATO_CHECK(socket_.send(message_of(buffers[sent]), zmq::send_flags::none).has_value());
      }
      zmq::message_t answer;
      RUBATO_CHECK(socket_.recv(answer).has_value());
      if (round.read) touched_ ^= touch(floats_of(answer));
      trips.answered();
    }
    return trips.take();
  }

 private:
  zmq::context_t context_{1};
  zmq::socket_t socket_;
  std::uint32_t touched_ = 0;
};

[[noreturn]] void answer_zmq(const RawShape& shape, int tell) {
  zmq::context_t context(1);
  zmq::socket_t socket = open_pair(context);
  socket.bind("tcp://127.0.0.1:*");
  Answers answers(shape);
  tell_address(tell, socket.get(zmq::sockopt::last_endpoint));
  std::uint32_t touched = 0;
  for (zmq::message_t message; socket.recv(message).has_value();) {
    touched ^= touch(floats_of(message));
    RUBATO_CHECK(socket.send(message_of(answers.next()), zmq::send_flags::none).has_value());
  }
  std::_Exit(touched == 1 ? 1 : 0);
}

}  // namespace

std::unique_ptr<RawPair> connect_raw(RawKind kind, const std::string& address, const RawShape& shape) {
  if (kind == RawKind::kZmq) return std::make_unique<ZmqPair>(address);
  return std::make_unique<TcpPair>(static_cast<std::uint16_t>(std::stoul(address)), shape);
}

void answer_raw(RawKind kind, const RawShape& shape, int tell) {
  transport::tune_allocator();  // as members of a job do
  if (kind == RawKind::kZmq) answer_zmq(shape, tell);
  answer_tcp(shape, tell);
}

}  // namespace rubato::bench
