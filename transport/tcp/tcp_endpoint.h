// An Endpoint over TCP, for "tcp://host:port", on the loop's own thread: what is sent goes from where it lies to the
// kernel, what comes goes from there to where it stays, and no other thread has a hand in it. The bytes of a
// connection: transport/tcp/frame_stream.h.
//
// A connection that is not read is a connection that does not send: of each peer one frame is under way here, and what
// the kernels' buffers do not take waits at the sender, where it refers to bodies that lie there anyway. Nothing is
// dropped.
//
// A connection names itself with 16 random bytes, so that the listener knows it again after it broke and was made
// anew: same PeerId, and replies find it. Of those who have gone the latest thousand are known again; nothing else of
// them is kept. Whoever begins otherwise is refused and counted.
//
// On destruction frames that wait are still sent, for `linger_ms` at most, during which the destructor waits.
#pragma once

#include <cstdint>
#include <memory>

#include "transport/endpoint.h"
#include "transport/loop.h"
#include "transport/tcp/frame_stream.h"

namespace rubato::transport {

struct TcpOptions {
  int linger_ms = 1000;
  // Of a frame. A connection that announces a larger one is refused, counted, and closed.
  std::int64_t body_bytes_max = std::int64_t{1} << 30;
  // Asked before there is memory for a body that is not short. Where it may not follow its header, the connection is
  // refused in the same way.
  BodyCheck check = {};
  // Told of each of these.
  std::function<void(const Error& why)> on_objection = {};
};

[[nodiscard]] std::unique_ptr<Endpoint> make_tcp_endpoint(Loop& loop, const TcpOptions& options = {});

}  // namespace rubato::transport
