// One side of a connection: its socket, if it has one now, and what is said and heard on it. A line that was dialled
// here outlives its connections; one that was accepted ends with its own.
//
// Thread-safety: the loop's thread. Handlers of waits that a line's end overtakes are not called.
#pragma once

#include <netinet/in.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "transport/loop.h"
#include "transport/tcp/frame_stream.h"

namespace rubato::transport {

struct Line : std::enable_shared_from_this<Line> {
  using Handler = std::function<void(const std::shared_ptr<Line>&)>;

  Line(Loop& loop_of, std::uint64_t body_bytes_max, const BodyCheck& check)
      : loop(loop_of), socket(loop_of.io_context()), reader(body_bytes_max, check) {}

  void open(int descriptor) {
    ++life;
    socket.assign(descriptor);
  }
  void close() {
    ++life;
    connected = waits_to_write = false;
    boost::system::error_code ignored;
    socket.close(ignored);
  }
  [[nodiscard]] int descriptor() { return socket.native_handle(); }

  enum class For : std::uint8_t { kReading, kWriting };
  void wait(For what, Handler handler) {
    const auto kind = what == For::kReading ? boost::asio::posix::stream_descriptor::wait_read
                                            : boost::asio::posix::stream_descriptor::wait_write;
    socket.async_wait(kind, [weak = weak_from_this(), now = life, then = std::move(handler)](auto error) {
      if (const auto self = weak.lock(); self && !error && self->life == now) then(self);
    });
  }
  // After whatever the loop has to do before.
  void post(Handler handler) {
    loop.post([weak = weak_from_this(), now = life, then = std::move(handler)] {
      if (const auto self = weak.lock(); self && self->life == now) then(self);
    });
  }

  Loop& loop;
  boost::asio::posix::stream_descriptor socket;
  FrameReader reader;
  FrameWriter writer;
  std::optional<sockaddr_in> dialled;  // where to; nothing if it was accepted
  std::string id;                      // of the greeting; empty until it has come
  PeerId peer = 0;
  bool connected = false, waits_to_write = false;
  std::unique_ptr<Wakeup> writes_soon;  // behind what else is sent in this turn of the loop
  int retry_ms = 0;
  std::unique_ptr<Timer> retry;
  TimeNs began = 0;
  std::uint64_t life = 0;  // counts what ends waits
};

}  // namespace rubato::transport
