// The weights of one slice that each worker was given to compute on, until its push is settled: what a compensated
// gradient is compared with (kernels/gradient_part.h; docs/protocol.md, rule 18).
//
// They are references to slots, so that keeping them copies nothing. A worker uses one answer to the pulls of a step,
// and which one, if several came, is for the network to say. Therefore a pull that comes again is answered with what
// answered it before, if that has the floor asked for; otherwise both are kept. A worker asks for two floors at most in
// a step: the one that it expected ahead of the grant, and the one that the grant then says.
//
// Invariant: of a worker no more than kOfWorkerMax versions are kept. Whoever keeps to the protocol has a step whose
// push is not settled, and the one after it, whose pull may overtake that push.
//
// Thread-safety: belongs to one slice.
#pragma once

#include <cstdint>
#include <map>

#include "base/ids.h"
#include "server/slot.h"

namespace rubato::server {

// What a pull was answered with.
struct Read {
  SlotRef slot;
  Version version = 0;  // of the slot, when it was read: a commit of nothing makes another one of the same weights
  std::int64_t floor = 0;
};

class Reads {
 public:
  static constexpr std::size_t kOfWorkerMax = 4;

  // What answers this life's pull of a clock: `now`, which is kept from now on, or what is kept already. Null, if the
  // worker has too many.
  [[nodiscard]] const Read* give(std::uint32_t worker, Incarnation incarnation, Clock clock, Clock floor, Read now);

  // What a push of that step was computed on. Null, if it was never given, or is not kept any more.
  [[nodiscard]] const Read* find(std::uint32_t worker, Clock clock, Version version) const;

  // Lets go of what was for that step or earlier ones.
  void settle(std::uint32_t worker, Clock clock);

  // Lets go of everything of those lives of which `gone(worker, incarnation)`.
  template <typename Gone>
  void forget_if(Gone gone) {
    std::erase_if(lives_, [&](const auto& entry) { return gone(entry.first, entry.second.incarnation); });
  }

 private:
  struct Life {
    Incarnation incarnation = 0;
    std::multimap<Clock, Read> reads;  // of one clock: in the order in which they were given
  };
  std::map<std::uint32_t, Life> lives_;
};

}  // namespace rubato::server
