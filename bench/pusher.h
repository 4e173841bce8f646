// A worker that computes nothing: it pushes a gradient to every slice and asks for the new weights behind it, as a
// real worker does, a round after the other, with so many slices under way.
//
// Every slice's gradient lies in memory of its own, so that a model larger than the caches is read from DRAM.
//
// Thread-safety: a core's.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "base/memory.h"
#include "protocol/core.h"
#include "protocol/enrollment.h"

namespace rubato::bench {

struct PusherOptions {
  int rounds = 5;
  bool is_leaf = false;     // bsp: what is pushed is a leaf of the batch, the rank's
  std::size_t window = 16;  // slices under way at most
  bool write = false;       // each gradient before it is pushed
  bool read = false;        // the weights that come back
  TimeNs pause = 0;         // before each push but the first ones: everybody has fallen asleep
};

class Pusher final : public protocol::Core {
 public:
  // `before_round` is called before each; `round_done` after it with how long it took, and each slice.
  struct Hooks {
    std::function<void(const Pusher& pusher)> before_round;
    std::function<void(TimeNs took, std::vector<TimeNs> trips)> round_done;
    std::function<void()> all_done;
  };
  Pusher(NodeId self, protocol::Register details, PusherOptions options, std::shared_ptr<Memory> memory, Hooks hooks);

  [[nodiscard]] protocol::Identity identity() const override { return enrollment_.identity(); }
  void start(TimeNs now, protocol::Outbox& out) override { enrollment_.start(now, out); }
  void receive(TimeNs now, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override;
  void wake(TimeNs now, protocol::Outbox& out) override;
  [[nodiscard]] TimeNs deadline() const override { return std::min(enrollment_.deadline(), resume_at_); }

  [[nodiscard]] std::vector<std::span<float>> gradients() const;

 private:
  struct Slice {
    std::shared_ptr<float[]> gradient;
    std::size_t floats = 0;
    Version version = 0;
    std::uint32_t shard = 0;
    bool acknowledged = false, arrived = false;
    TimeNs sent = 0;
  };

  void on_welcome(TimeNs now, const protocol::Welcome& welcome, protocol::Outbox& out);
  void begin_round(protocol::Outbox& out);
  void push_next(protocol::Outbox& out);
  void complete(Slice& slice, protocol::Outbox& out);

  const NodeId self_;
  const PusherOptions options_;
  const std::shared_ptr<Memory> memory_;
  const Hooks hooks_;
  protocol::Enrollment enrollment_;
  std::vector<Slice> slices_;
  int round_ = -1;
  std::size_t next_ = 0, done_ = 0;
  TimeNs round_began_ = 0;
  TimeNs resume_at_ = kNever;
  std::vector<TimeNs> trips_;
  std::uint32_t touched_ = 0;  // of what was read: nobody may leave the reading out
};

}  // namespace rubato::bench
