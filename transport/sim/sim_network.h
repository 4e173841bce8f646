// A network in virtual time: a deterministic simulation of hosts, of the links between them, and of
// what goes wrong with both.
//
// A host is a process in the simulation and has a name. Its Endpoint listens on "sim://NAME" and
// connects to those of others. A link is one direction between two hosts.
//
// Determinism: the same seed and the same calls give the same events in the same order. Events of one
// time happen in the order in which they were scheduled. Each link draws from its own random stream,
// named by its two hosts, so that more traffic on one link changes no other.
//
// A frame to a host that never listened waits for it, as in a real endpoint. One to a host that died
// vanishes, and so does one whose sending or arrival falls into a cut.
//
// Thread-safety: one thread for a network and its endpoints; networks share nothing. Endpoints are
// destroyed before their network.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/time.h"
#include "transport/endpoint.h"
#include "transport/sim/link_model.h"

namespace rubato::transport {

struct SimCounters {
  std::uint64_t events = 0;      // everything that happened, calls of schedule() included
  std::uint64_t sent = 0;        // frames given to a link
  std::uint64_t delivered = 0;   // to a handler
  std::uint64_t lost = 0;        // by a link's model
  std::uint64_t duplicated = 0;  // second copies made
  std::uint64_t reordered = 0;   // held up
  std::uint64_t cut = 0;         // fell into a cut
  std::uint64_t vanished = 0;    // their host had died, or the connection was forgotten
};

class SimNetwork {
 public:
  explicit SimNetwork(std::uint64_t seed);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  // Virtual time begins at 0.
  [[nodiscard]] TimeNs now() const;
  // Calls `what` at that time; now, behind what is due already, if it has passed.
  void schedule(TimeNs at, std::function<void()> what);
  // Lets the next event happen. False if there is none.
  bool step();
  // Lets happen what is due up to `end`, that included; afterwards it is `end`.
  void run_until(TimeNs end);
  // kNever: nothing will ever happen again by itself.
  [[nodiscard]] TimeNs next_event() const;

  // The endpoint of a host; a dead one lives again. At most one at a time for each name.
  [[nodiscard]] std::unique_ptr<Endpoint> endpoint(const std::string& host);

  // For all links without a model of their own, from now on.
  void set_default_link(const LinkModel& model);
  // One direction.
  void set_link(const std::string& from, const std::string& to, const LinkModel& model);

  // Nothing passes in this direction in [begin, end).
  void cut(const std::string& from, const std::string& to, TimeNs begin, TimeNs end);
  // Nothing passes between the two sides, in either direction.
  void partition(std::span<const std::string> side, std::span<const std::string> other_side, TimeNs begin, TimeNs end);

  // As SIGSTOP and SIGCONT: what arrives in between is held, and comes in order afterwards. The owner of
  // the host's timers asks paused() and keeps them back.
  void pause(const std::string& host);
  void resume(const std::string& host);
  [[nodiscard]] bool paused(const std::string& host) const;
  // As SIGKILL: its endpoint neither sends nor receives any more. Frames already on their way from it
  // arrive.
  void kill(const std::string& host);

  [[nodiscard]] const SimCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rubato::transport
