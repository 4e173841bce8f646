// The parts of a simulated network (sim_network.h): hosts, links, and the endpoint of a host. Only
// transport/sim includes this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "transport/endpoint.h"
#include "transport/sim/link_model.h"

namespace rubato::transport {

class SimEndpoint;
struct SimLink;

// A connection is known by the PeerId that its maker has for it, unique in the whole network.
using SimConnection = PeerId;

// A frame on its way.
struct SimDelivery {
  SimLink* link = nullptr;
  SimConnection connection = 0;
  bool to_maker = false;  // of the connection; otherwise to who listens
  Frame frame;
};

struct SimHost {
  std::string name;
  SimEndpoint* endpoint = nullptr;  // null: none yet, or dead
  bool listening = false;
  bool dead = false;
  bool paused = false;
  std::vector<SimDelivery> held;     // arrived while paused
  std::vector<SimDelivery> unheard;  // arrived before anyone listened
};

struct SimLink {
  struct Cut {
    TimeNs begin, end;
  };

  SimHost* from;
  SimHost* to;
  RandomStream random;
  std::optional<LinkModel> model;  // none: the network's default
  std::vector<Cut> cuts;
  TimeNs last_arrival = 0;  // of the frames that keep their order
  TimeNs busy_until = 0;    // where there is a bandwidth

  [[nodiscard]] bool is_cut(TimeNs time) const {
    for (const Cut& cut : cuts)
      if (cut.begin <= time && time < cut.end) return true;
    return false;
  }
};

// What an endpoint asks of its network.
class SimWire {
 public:
  virtual ~SimWire() = default;
  virtual SimLink& link(SimHost& from, const std::string& to) = 0;
  virtual PeerId new_peer() = 0;
  virtual void transmit(SimDelivery delivery) = 0;
  virtual void listening(SimHost& host) = 0;
  virtual void close(SimConnection connection, SimHost& to) = 0;
  virtual void leave(SimHost& host) = 0;
};

class SimEndpoint final : public Endpoint {
 public:
  SimEndpoint(SimWire& wire, SimHost& host) : wire_(wire), host_(host) {}
  ~SimEndpoint() override;

  void on_frame(FrameHandler handler) override { handler_ = std::move(handler); }
  Result<std::string> listen(const std::string& address) override;
  Result<PeerId> connect(const std::string& address) override;
  void send(PeerId peer, Frame frame) override;
  void forget(PeerId peer) override;
  EndpointCounters counters() const override { return counters_; }

  // False if the frame belongs to a connection that this endpoint has forgotten, or never made.
  bool receive(SimDelivery delivery);

 private:
  struct Peer {
    SimLink* link;  // to it
    SimConnection connection;
    bool made_here;
  };
  [[nodiscard]] bool alive() const { return host_.endpoint == this; }

  SimWire& wire_;
  SimHost& host_;
  FrameHandler handler_;
  std::unordered_map<PeerId, Peer> peers_;
  std::unordered_map<SimConnection, PeerId> accepted_;
  EndpointCounters counters_;
};

}  // namespace rubato::transport
