// An Endpoint of two: a near lane, for peers that it reaches without a wire (shared memory), and a far one for the
// others. Who connects takes the near lane if it can and the far one otherwise; who listens does so on both. A near
// connection that looked possible and cannot be made, or breaks, moves to the far lane, and stays the same peer for who
// connected. Who had accepted it meets somebody new there. What was under way on the near lane is lost.
//
// An address is "FAR;NEAR", or one of the far lane alone.
//
// Thread-safety: as an Endpoint's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "transport/endpoint.h"

namespace rubato::transport {

struct TwoLanes {
  std::unique_ptr<Endpoint> near, far;
  // Whether somebody listens at a near address who lets us in; the error says why not.
  std::function<Status(const std::string& address)> reachable;
  // Told of each connection that takes the far lane from its beginning, and why.
  std::function<void(const std::string& text)> on_fallback;
  // Told of each that had taken the near lane and has to leave it, on either side.
  std::function<void(const std::string& text)> on_break;
  // Told of each of these that finds no far lane either: nothing reaches that peer any more.
  std::function<void(const Error& why)> on_stranded;
};

[[nodiscard]] std::unique_ptr<Endpoint> make_two_lane_endpoint(TwoLanes lanes);

}  // namespace rubato::transport
