// A core on a thread of its own, hosted by a Node as if it were on the node's: messages go to it through a
// bounded queue, and what it puts into its Outbox comes back through the loop. A server process with
// several shards gives each one such a thread; the core inside never knows.
//
// Invariants: calls reach the core in the order made; its outputs reach the node in the order made. A
// full queue holds up the loop, so that a slow shard slows its senders instead of growing.
// Thread-safety: everything on the loop's thread. The core is touched by its own thread alone.
#pragma once

#include <memory>
#include <thread>
#include <variant>

#include "base/bounded_queue.h"
#include "protocol/core.h"
#include "protocol/node.h"
#include "transport/mailbox.h"

namespace rubato::protocol {

class CoreThread final : public Core {
 public:
  // `loop` and `node` outlive this, and the loop has stopped when this is destroyed. `lane`: on which timeline the core
  // is drawn; null: none.
  CoreThread(std::unique_ptr<Core> core, transport::Loop& loop, Node& node, timeline::Lane* lane = nullptr);
  ~CoreThread() override;

  // As of the last call that came back; the node's name never changes.
  [[nodiscard]] Identity identity() const override { return identity_; }
  [[nodiscard]] TimeNs deadline() const override { return deadline_; }
  void start(TimeNs now, Outbox& out) override;
  void receive(TimeNs now, const Envelope& envelope, Body body, Outbox& out) override;
  void wake(TimeNs now, Outbox& out) override;

 private:
  struct Start {};
  struct Wake {};
  struct Receive {
    Envelope envelope;
    Body body;
  };
  struct Task {
    TimeNs now = 0;
    std::variant<Start, Wake, Receive> what;
  };
  // What a task has come to.
  struct Done {
    Outbox out;
    Identity identity;
    TimeNs deadline = kNever;
    bool woken = false;  // it was a wake-up
  };
  // So many wait at most, with the gradients in them, and a wake-up behind them: a shard is to be heard of within
  // cluster.lost_after_s though it is never idle. Updates of 1 MiB take about 1 ms each.
  static constexpr std::size_t kTasksMax = 64;

  void run();
  void draw(TimeNs began, const Subject& subject, NodeId peer, const Outbox& out);
  void come_back(Done done);

  const std::unique_ptr<Core> core_;
  Node& node_;
  timeline::Lane* const lane_;
  Identity identity_;
  TimeNs deadline_ = kNever;
  bool waking_ = false;  // a wake-up is in the queue, and will say the deadline that counts
  BoundedQueue<Task> tasks_{kTasksMax};
  transport::Mailbox<Done> done_;
  BoundedQueue<Outbox> spare_{kTasksMax};  // empty ones, kept for their storage
  std::thread thread_;
};

}  // namespace rubato::protocol
