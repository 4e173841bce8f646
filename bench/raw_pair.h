// Two processes that pass messages to and fro over loopback with nothing between them but one TCP connection, or one
// pair of libzmq sockets over it: what a lane is held against.
//
// The near end sends one message from each of its buffers, with so many under way; the far end reads every byte of a
// message and answers with one of its own, as large. Either end sends from as many buffers as there are messages in a
// round, so that what is sent is as cold as a model leaves it; what comes is written where the last one was, or where
// libzmq's allocator puts it. libzmq is used at its best: messages refer to the buffers, and go without copies of ours.
//
// Thread-safety: each end belongs to one thread of its process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"

namespace rubato::bench {

enum class RawKind : std::uint8_t { kTcp, kZmq };

// What both ends know.
struct RawShape {
  std::size_t floats = 0;    // of a message
  std::size_t messages = 0;  // of a round
};

struct RawRound {
  std::size_t window = 16;
  bool write = false, read = true;  // gradients before they are sent; answers when they have come
  float value = 0.0f;               // that is written
};

class RawPair {
 public:
  virtual ~RawPair() = default;
  // All messages of one round and their answers. Returns how long each took from being sent to having been answered.
  virtual std::vector<TimeNs> run(std::span<const std::span<float>> buffers, const RawRound& round) = 0;
};

// The near end. `address` is what the far end has told.
[[nodiscard]] std::unique_ptr<RawPair> connect_raw(RawKind kind, const std::string& address, const RawShape& shape);

// The far end, in a process of its own: writes its address and a newline to `tell`, and answers until it is killed.
[[noreturn]] void answer_raw(RawKind kind, const RawShape& shape, int tell);

}  // namespace rubato::bench
