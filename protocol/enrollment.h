// How a member comes into a job, stays in it and leaves it; the same for servers, workers and evaluators,
// each of whose cores owns one.
//
//   joining   Register, again and again, until a Welcome (or a Refuse, which ends the member)
//   settling  the core does what the Welcome asks for, then calls ready(); Ready, until a Beat knows it
//   member    Heartbeat several times a second
//   over      a Finish came, or the scheduler has been silent for too long
//
// A Refuse ends who has not joined; later it is a late answer to a repeat, and changes nothing.
//
// Invariants: nothing is sent after `over`; every wait ends at a deadline with a reason.
// Thread-safety: one owner.
#pragma once

#include "protocol/core.h"

namespace rubato::protocol {

class Enrollment {
 public:
  Enrollment(NodeId self, Register details, Timing timing)
      : self_(self), details_(std::move(details)), timing_(timing) {}

  void start(TimeNs now, Outbox& out);

  // Takes Refuse, Beat and Finish; returns whether it did. Call it with every message.
  bool receive(TimeNs now, const Envelope& envelope, const Body& body, Outbox& out);

  // Takes a Welcome. False where it is a repeat, or none: incarnations begin at 1.
  bool welcomed(const Welcome& welcome);
  // Takes a Welcome that says to a member where the shards are now: `routing` follows, and whoever has moved is
  // connected to. False where that is known already, or is of other shards.
  bool moved(const Welcome& welcome, RoutingTable& routing, Outbox& out);
  void ready(TimeNs now, Outbox& out);

  // Sends what is due. `beat` is what the core would say now.
  void wake(TimeNs now, const Heartbeat& beat, Outbox& out);
  [[nodiscard]] TimeNs deadline() const { return over_ ? kNever : next_; }

  // The member leaves because of a trouble of its own.
  void leave(const Error& error, Outbox& out);

  [[nodiscard]] bool over() const { return over_; }
  [[nodiscard]] bool joined() const { return identity_.incarnation != 0; }
  [[nodiscard]] Identity identity() const { return identity_; }
  void set_generation(std::uint32_t generation) { identity_.generation = generation; }

 private:
  void end(int code, const std::string& text, Outbox& out);

  const NodeId self_;
  const Register details_;
  const Timing timing_;
  Identity identity_{self_, 0, 0, 0};
  TimeNs started_ = 0, heard_ = 0, next_ = kNever;
  bool ready_ = false, ready_known_ = false, over_ = false;
};

}  // namespace rubato::protocol
