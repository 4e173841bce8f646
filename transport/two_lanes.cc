#include "transport/two_lanes.h"

#include <fmt/format.h>

#include <unordered_map>
#include <utility>

namespace rubato::transport {
namespace {

constexpr char kSeparator = ';';

struct TwoAddresses {
  std::string far, near;  // near: empty if there is none
};

TwoAddresses split(const std::string& address) {
  const std::size_t at = address.find(kSeparator);
  if (at == std::string::npos) return {address, {}};
  return {address.substr(0, at), address.substr(at + 1)};
}

class TwoLaneEndpoint final : public Endpoint {
 public:
  explicit TwoLaneEndpoint(TwoLanes lanes) : lanes_(std::move(lanes)) {
    lanes_.near->on_given_up([this](PeerId peer, const Error& why) { move_to_far(near_id(peer), why); });
  }

  void on_frame(FrameHandler handler) override {
    auto shared = std::make_shared<FrameHandler>(std::move(handler));
    lanes_.near->on_frame([shared](PeerId peer, Frame frame) { (*shared)(near_id(peer), std::move(frame)); });
    lanes_.far->on_frame([this, shared](PeerId peer, Frame frame) {
      const auto moved = moved_.find(far_id(peer));
      (*shared)(moved == moved_.end() ? far_id(peer) : moved->second, std::move(frame));
    });
  }

  Result<std::string> listen(const std::string& address) override {
    const TwoAddresses both = split(address);
    if (both.near.empty()) return lanes_.far->listen(both.far);
    const Result<std::string> far = lanes_.far->listen(both.far);
    if (!far.ok()) return far.error().in(address);
    const Result<std::string> near = lanes_.near->listen(both.near);
    if (!near.ok()) return near.error().in(address);
    return *far + kSeparator + *near;
  }

  Result<PeerId> connect(const std::string& address) override {
    const TwoAddresses both = split(address);
    if (!both.near.empty()) {
      const Status reachable = lanes_.reachable(both.near);
      if (reachable.ok()) {
        RUBATO_ASSIGN(const PeerId peer, lanes_.near->connect(both.near));
        dialled_.emplace(near_id(peer), Dialled{both.far, near_id(peer)});
        return near_id(peer);
      }
      lanes_.on_fallback(fmt::format("no shared memory with {}: {}", both.far, reachable.error().message));
    }
    RUBATO_ASSIGN(const PeerId peer, lanes_.far->connect(both.far));
    return far_id(peer);
  }

  void send(PeerId peer, Frame frame) override {
    const PeerId now = as_it_is_now(peer);
    lane(now).send(now / 2, std::move(frame));
  }
  void forget(PeerId peer) override {
    const PeerId now = as_it_is_now(peer);
    lane(now).forget(now / 2);
    dialled_.erase(peer);
    moved_.erase(now);
  }
  bool without_wire(PeerId peer) const override {
    const PeerId now = as_it_is_now(peer);
    return lane(now).without_wire(now / 2);
  }

  EndpointCounters counters() const override {
    EndpointCounters sum = lanes_.far->counters();
    const EndpointCounters near = lanes_.near->counters();
    sum.frames_sent += near.frames_sent;
    sum.frames_received += near.frames_received;
    sum.bytes_sent += near.bytes_sent;
    sum.bytes_received += near.bytes_received;
    sum.dropped += near.dropped;
    sum.refused += near.refused;
    return sum;
  }

 private:
  static PeerId near_id(PeerId peer) { return peer * 2 + 1; }
  static PeerId far_id(PeerId peer) { return peer * 2; }
  [[nodiscard]] Endpoint& lane(PeerId peer) const { return peer % 2 == 1 ? *lanes_.near : *lanes_.far; }
  [[nodiscard]] PeerId as_it_is_now(PeerId peer) const {
    const auto found = dialled_.find(peer);
    return found == dialled_.end() ? peer : found->second.now;
  }
  void move_to_far(PeerId peer, const Error& why) {
    const auto found = dialled_.find(peer);
    if (found == dialled_.end())
      return lanes_.on_break(fmt::format("no shared memory with one who had connected here: {}", why.message));
    Dialled& dialled = found->second;
    lanes_.on_break(fmt::format("no shared memory with {}: {}", dialled.far_address, why.message));
    lanes_.near->forget(peer / 2);
    const Result<PeerId> far = lanes_.far->connect(dialled.far_address);
    if (!far.ok()) return lanes_.on_stranded(far.error().in("no way is left to " + dialled.far_address));
    dialled.now = far_id(*far);
    moved_.emplace(dialled.now, peer);
  }

  TwoLanes lanes_;
  // A near connection made here, by what it is called.
  struct Dialled {
    std::string far_address;
    PeerId now;  // another one since it moved
  };
  std::unordered_map<PeerId, Dialled> dialled_;
  std::unordered_map<PeerId, PeerId>
      moved_;  // far connections that have taken the place of near ones -> what those are called
};

}  // namespace

std::unique_ptr<Endpoint> make_two_lane_endpoint(TwoLanes lanes) {
  return std::make_unique<TwoLaneEndpoint>(std::move(lanes));
}

}  // namespace rubato::transport
