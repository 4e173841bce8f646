// Payloads as parts of libzmq messages and back, without copying where that pays.
//
// Thread-safety: the socket's thread. A Payload handed to libzmq is released on an I/O thread.
#pragma once

#include <cstddef>
#include <zmq.hpp>

#include "base/block_pool.h"
#include "base/bytes.h"

namespace rubato::transport {

// Parts up to this size are copied both ways: it costs less than a shared owner on the way out, and on
// the way in it does not keep libzmq's receive buffer of 8 KiB alive for the sake of one header.
inline constexpr std::size_t kCopyBytesMax = 4096;

// A large payload is referenced until libzmq has written it to the socket, or given up on it.
[[nodiscard]] zmq::message_t to_message(const Payload& payload);

// The payload starts at an address aligned to 8 bytes; a large message that does so is moved into it, another is
// copied. What fits into one of `blocks` lies there: small ones, and what keeps a large one.
[[nodiscard]] Payload to_payload(zmq::message_t message, BlockPool& blocks);

// Never wait, and go on when a signal interrupts: half a message sent would spoil the one after it.
// False: the peer has gone (send), there is no message (receive).
[[nodiscard]] bool send_part(zmq::socket_t& socket, zmq::message_t part, bool more);
[[nodiscard]] bool receive_part(zmq::socket_t& socket, zmq::message_t& part);

}  // namespace rubato::transport
