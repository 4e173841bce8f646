// A core is a state machine: everything that the scheduler, a shard or a worker's client does, without
// sockets, threads, clocks, randomness or environment. Time and messages come in as arguments; what it
// wants done goes out through an Outbox. The same core runs over ZeroMQ (protocol/node.h), and in a
// simulated network with virtual time.
//
// Invariants: calls never block; `now` never goes back; the order of what is in an Outbox is a function
// of the calls made alone.
// Thread-safety: a core and its Outbox belong to one thread at a time.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/time.h"
#include "protocol/messages.h"
#include "protocol/trace.h"

namespace rubato::protocol {

// Who speaks, as the header says it.
struct Envelope {
  NodeId from, to;
  Incarnation incarnation = 0;
  std::uint32_t generation = 0, route = 0;
  std::uint64_t via = 0;  // the connection it came by: where a reply goes, whoever the sender claims to be
};

enum class Level : std::uint8_t { kDebug, kInfo, kWarning, kError };
[[nodiscard]] constexpr const char* level_name(Level level) {
  constexpr const char* kNames[] = {"debug", "info", "warning", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

class Outbox {
 public:
  struct Outgoing {
    NodeId to;
    std::uint64_t via = 0;  // 0: the connection that `to` is bound to
    Body body;
  };
  struct Note {
    Level level;
    std::string text;
  };
  struct End {
    int exit_code = 0;
    std::string text;
  };

  void send(NodeId to, Body body) { messages.push_back({to, 0, std::move(body)}); }
  // Answers on the connection that a message came by.
  void reply(const Envelope& envelope, Body body) {
    messages.push_back({envelope.from, envelope.via, std::move(body)});
  }
  // From now on `node` is reached by the connection that this message came by.
  void bind(const Envelope& envelope) { binds.emplace_back(envelope.from, envelope.via); }
  void connect(NodeId node, std::string address) { connects.emplace_back(node, std::move(address)); }
  void trace(const TraceEvent& event) {
    if (tracing) traces.push_back(event);
  }
  // A short hash of what an event is about, for the record of a run; 0 where none is kept.
  [[nodiscard]] std::uint32_t hash(std::span<const std::byte> bytes) const {
    return hashing ? static_cast<std::uint32_t>(xxh3(bytes)) : 0;
  }
  void note(Level level, std::string text) { notes.push_back({level, std::move(text)}); }
  // The member has nothing left to do: its process ends with this code once all is sent.
  void finish(int exit_code, std::string text) { end = End{exit_code, std::move(text)}; }

  void clear() {
    messages.clear();
    binds.clear();
    connects.clear();
    traces.clear();
    notes.clear();
  }

  std::vector<Outgoing> messages;
  std::vector<std::pair<NodeId, std::uint64_t>> binds;
  std::vector<std::pair<NodeId, std::string>> connects;
  std::vector<TraceEvent> traces;
  std::vector<Note> notes;
  std::optional<End> end;
  bool tracing = false, hashing = false;
};

// How a core signs its messages.
struct Identity {
  NodeId node;
  Incarnation incarnation = 0;
  std::uint32_t generation = 0, route = 0;
};

class Core {
 public:
  virtual ~Core() = default;
  [[nodiscard]] virtual Identity identity() const = 0;
  virtual void start(TimeNs now, Outbox& out) = 0;
  virtual void receive(TimeNs now, const Envelope& envelope, Body body, Outbox& out) = 0;
  // To be called at or after `deadline()`, which every call may move.
  virtual void wake(TimeNs now, Outbox& out) = 0;
  [[nodiscard]] virtual TimeNs deadline() const = 0;
};

// How long members wait before they act, the same for all in a job.
struct Timing {
  TimeNs heartbeat = 250 * kMillisecond;
  TimeNs lost_after = 2 * kSecond;      // no word for so long: lost
  TimeNs resend_after = 2 * kSecond;    // an unanswered request is sent again; doubled up to 8 times this
  TimeNs start_timeout = 30 * kSecond;  // for members that do not come
  TimeNs evict_after = 10 * kSecond;    // a worker that lives and does not move
  TimeNs evaluation = 600 * kSecond;    // an evaluator that lives, in the job's last evaluation
};
[[nodiscard]] Timing timing_of(const Job& job);

}  // namespace rubato::protocol
