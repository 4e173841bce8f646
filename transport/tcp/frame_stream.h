// Frames as a stream of bytes over one connection, which begins with a greeting:
//
//   greeting   8 bytes "RBT0tcp1", 16 bytes that the one who connects has chosen at random and says again whenever the
//              connection is made anew. Only whoever connects greets.
//   frame      8 bytes length of the header, 8 bytes length of the body, header, body
//
// Numbers are little-endian. What comes is written where it stays: a body goes from the kernel into memory of its own,
// at a multiple of 64 bytes, but for what has come in one piece with its header; where that is all of it, and short, it
// is copied into a block that is used again. What goes is gathered by the kernel from where it lies.
//
// Nothing from outside stops a process: a length beyond its limit is reported, and nothing is allocated for it. Who
// owns the stream is asked, with the header, whether a body that is not short may follow.
//
// Thread-safety: one owner.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/block_pool.h"
#include "transport/endpoint.h"

namespace rubato::transport {

inline constexpr std::size_t kGreetingBytes = 24, kGreetingIdBytes = 16;
[[nodiscard]] std::array<std::byte, kGreetingBytes> greeting_of(const std::string& id);

inline constexpr std::size_t kFrameHeaderBytesMax = 4096;
inline constexpr std::size_t kUnaskedBodyBytesMax = 4096;

// Whether a body of so many bytes may follow this header; the error says why not.
using BodyCheck = std::function<Status(std::span<const std::byte> header, std::uint64_t body_bytes)>;

class FrameReader {
 public:
  // `check` is asked of bodies above kUnaskedBodyBytesMax; none: they may come.
  explicit FrameReader(std::uint64_t body_bytes_max, BodyCheck check = {})
      : body_bytes_max_(body_bytes_max), check_(std::move(check)), buffer_(kBufferBytes) {}

  enum class Filled : std::uint8_t { kSome, kNothing, kEnd };
  // Reads once from a socket that does not block.
  [[nodiscard]] Filled fill(int socket);

  // The id of the greeting, once it is there whole; before any frame.
  [[nodiscard]] std::optional<std::string> greeting();
  // The next frame; nothing, if it is not there whole yet, or the stream is broken.
  [[nodiscard]] std::optional<Frame> next();

  // What has come is no greeting, or no frame. Nothing more is taken then.
  [[nodiscard]] bool broken() const { return broken_; }
  // Where it broke at a body that may not follow.
  [[nodiscard]] const std::optional<Error>& objection() const { return objection_; }
  // A new connection: what the last one has left half said is forgotten.
  void restart();

 private:
  static constexpr std::size_t kBufferBytes = std::size_t{16} << 10;
  static constexpr std::size_t kBlockBytes = 512, kShortBytesMax = kBlockBytes - BlockPool::kCountBytes;

  // A frame whose body is not there whole.
  struct Open {
    Payload header;
    std::shared_ptr<std::byte> body;
    std::size_t size = 0, filled = 0;
  };
  [[nodiscard]] std::span<const std::byte> come() const { return std::span(buffer_).subspan(begin_, end_ - begin_); }
  [[nodiscard]] std::optional<Frame> finish();
  void take(std::size_t bytes);

  const std::uint64_t body_bytes_max_;
  const BodyCheck check_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of the buffer: what has come and is not taken
  std::optional<Open> open_;
  bool broken_ = false;
  std::optional<Error> objection_;
  BlockPool blocks_{kBlockBytes};  // of headers, of short bodies, and of the counts of references to others
};

class FrameWriter {
 public:
  // Behind those of its turn, and before those of a greater one, but for the one of which some bytes have gone.
  void add(Frame frame);
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] std::size_t frames() const { return waiting_.size(); }

  enum class Wrote : std::uint8_t { kAll, kFull, kBroken };
  // Writes to a socket that does not block, as much as it takes.
  [[nodiscard]] Wrote write(int socket);

  // A new connection: what was said in part is said again from its beginning.
  void restart();
  void clear();

 private:
  struct Outgoing {
    std::array<std::uint64_t, 2> lengths;
    Frame frame;
    [[nodiscard]] std::size_t bytes() const { return sizeof(lengths) + frame.header.size() + frame.body.size(); }
    [[nodiscard]] std::uint32_t turn() const { return frame.turn; }
  };
  void advance(std::size_t bytes);

  std::deque<Outgoing> waiting_;  // by turn, but for the first, of which bytes have gone
  std::size_t sent_ = 0;          // bytes of the first
};

}  // namespace rubato::transport
