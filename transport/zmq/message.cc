#include "transport/zmq/message.h"

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

namespace rubato::transport {

zmq::message_t to_message(const Payload& payload) {
  const auto bytes = payload.bytes();
  if (bytes.size() <= kCopyBytesMax) return zmq::message_t(bytes.data(), bytes.size());
  auto owner = std::make_unique<Payload>(payload);
  // libzmq takes the data as mutable and never writes to what it sends.
  zmq::message_t message(
      const_cast<std::byte*>(bytes.data()), bytes.size(), [](void*, void* hint) { delete static_cast<Payload*>(hint); },
      owner.get());
  (void)owner.release();
  return message;
}

Payload to_payload(zmq::message_t message, BlockPool& blocks) {
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(message.data()), message.size());
  if (bytes.empty()) return {};
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(std::uint64_t) == 0;
  if (bytes.size() <= kCopyBytesMax || !aligned) return blocks.copy_of(bytes);
  auto owner = blocks.make<const zmq::message_t>(std::move(message));
  const std::span<const std::byte> view(owner->data<std::byte>(), owner->size());
  return {std::move(owner), view};
}

bool send_part(zmq::socket_t& socket, zmq::message_t part, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  while (::zmq_msg_send(part.handle(), socket.handle(), flags) < 0)
    if (errno != EINTR) return false;
  return true;
}

bool receive_part(zmq::socket_t& socket, zmq::message_t& part) {
  while (::zmq_msg_recv(part.handle(), socket.handle(), ZMQ_DONTWAIT) < 0)
    if (errno != EINTR) return false;
  return true;
}

}  // namespace rubato::transport
