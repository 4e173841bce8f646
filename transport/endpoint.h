// An Endpoint moves frames between members of a job. It knows bytes and addresses, and no meaning: who
// a peer is, and whether it may speak, is the business of the protocol above.
//
// A Frame has two parts, so that a payload of many megabytes need not be copied behind its header.
//
// Invariants: frames of one peer and one turn arrive in the order sent, whole or not at all; nothing is dropped
// silently while a connection lives, however slowly it is read; bytes that are no frame are counted and never
// disturb other peers. A received part starts at an address aligned to 8 bytes. (The simulated network
// loses, repeats and reorders frames when a test asks for it: the protocol above must not rely on more
// than it sends again itself.)
// Thread-safety: an Endpoint belongs to the thread that runs its loop; every call and every callback is
// on that thread. Payloads may be released on any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace rubato::transport {

struct Frame {
  Payload header;
  Payload body;  // may be empty
  // Where frames wait for a peer, one of a smaller turn may go before them, if its endpoint can do that; never between
  // the bytes of another. Not itself sent: what comes has none.
  std::uint32_t turn = 0;
};

// A peer of one Endpoint, for as long as that Endpoint lives. Never reused.
using PeerId = std::uint64_t;

struct EndpointCounters {
  std::uint64_t frames_sent = 0, frames_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t dropped = 0;  // frames to peers that are unknown, forgotten or gone
  std::uint64_t refused = 0;  // connections and messages thrown out below the protocol: foreign bytes,
                              // too many or too few parts, larger than the limit
};

class Endpoint {
 public:
  using FrameHandler = std::function<void(PeerId, Frame)>;

  virtual ~Endpoint() = default;

  // Set before the first listen or connect. A handler may send and forget; it must not destroy the
  // endpoint.
  virtual void on_frame(FrameHandler handler) = 0;

  // Listens, and returns the address that others connect to ("tcp://127.0.0.1:40123"); a port of 0 is
  // picked by the system. Errors: kNetwork, naming the address and the cause (port in use).
  [[nodiscard]] virtual Result<std::string> listen(const std::string& address) = 0;

  // A connection that is made, and made again, in the background; frames wait for it. Errors: kNetwork
  // for an address of the wrong form.
  [[nodiscard]] virtual Result<PeerId> connect(const std::string& address) = 0;

  // Frames to an unknown or forgotten peer are dropped.
  virtual void send(PeerId peer, Frame frame) = 0;

  // Drops the peer, and what still waits to be sent to it on a connection made here. If it speaks
  // again it is a new peer.
  virtual void forget(PeerId peer) = 0;

  // From inside the loop: of a connection that was never made, or broke between two who live, and is tried no more
  // (peer 0: one that had not spoken yet). What waited for it is dropped. An endpoint that tries for ever says nothing.
  using GivenUpHandler = std::function<void(PeerId, const Error& why)>;
  virtual void on_given_up(GivenUpHandler /*handler*/) {}  // NOLINT: those who keep it move it

  // Whether the bytes that this peer reads are those that were written here, carried by nothing that could harm them.
  [[nodiscard]] virtual bool without_wire(PeerId /*peer*/) const { return false; }

  [[nodiscard]] virtual EndpointCounters counters() const = 0;
};

}  // namespace rubato::transport
