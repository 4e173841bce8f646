// An Endpoint over libzmq, for "tcp://host:port" and "ipc://path": one ROUTER socket to listen, one
// DEALER socket for each connection.
//
// A connection names itself with 16 random bytes (its routing id), so that the listener knows it again
// after it broke and was made anew: same PeerId, and replies find it. Only peers of ZMTP 3 are let in;
// that also keeps out arbitrary bytes, which libzmq would else take for its oldest protocol. libzmq does not say who
// has gone: where too many are known, whoever has said nothing for longest is forgotten, and is somebody new when it
// speaks again.
//
// On destruction frames that wait are still sent, for `linger_ms` at most, during which the destructor
// waits.
#pragma once

#include <cstdint>
#include <memory>

#include "transport/endpoint.h"
#include "transport/loop.h"

namespace rubato::transport {

struct ZmqOptions {
  int io_threads = 1;
  int linger_ms = 1000;
  // Of one part. Larger ones are refused and counted. libzmq closes a connection that announces more
  // than twice this before it allocates anything; it does not tell why, so that is not counted.
  std::int64_t part_bytes_max = std::int64_t{1} << 30;
  // Of each peer: frames that have come and that the loop has not taken yet. With so many its connection is not read
  // until half of them are taken; once the kernels' buffers are full too, frames wait at the sender, where they
  // refer to bodies that lie there anyway. Nothing is dropped. 0: no bound.
  int waiting_frames_max = 1024;
  // Of those who have connected here: more than a job has connections to one of its sockets.
  int known_peers_max = 1 << 14;
};

// Errors: kNetwork, if the process can open no more sockets.
[[nodiscard]] Result<std::unique_ptr<Endpoint>> make_zmq_endpoint(Loop& loop, const ZmqOptions& options = {});

}  // namespace rubato::transport
