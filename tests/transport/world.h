// What the endpoint contract runs in: makes endpoints of one kind and lets time pass for them.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "transport/endpoint.h"

namespace rubato::transport {

class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<Endpoint> endpoint(const std::string& name) = 0;
  // Where the endpoint `name` listens. The same each time it is asked.
  virtual std::string address(const std::string& name) = 0;
  // Lets things happen until `done` holds; false if it does not come to that.
  virtual bool run_until(const std::function<bool()>& done) = 0;
  // Lets everything happen that is under way.
  virtual void settle() = 0;
};

using WorldFactory = std::function<std::unique_ptr<World>()>;
std::unique_ptr<World> make_zmq_tcp_world();
std::unique_ptr<World> make_zmq_ipc_world();
std::unique_ptr<World> make_shm_world();
std::unique_ptr<World> make_shm_spinning_world();  // whose readers look again for a while before they sleep
std::unique_ptr<World> make_two_lanes_world();     // ipc, and shared memory where it can be reached
std::unique_ptr<World> make_sim_world();

inline Payload text(std::string_view characters) { return Payload::copy_of(std::as_bytes(std::span(characters))); }
inline std::string text(const Payload& payload) {
  return {reinterpret_cast<const char*>(payload.bytes().data()), payload.size()};
}

// An endpoint that remembers what came.
struct Recorder {
  struct Received {
    PeerId peer;
    Frame frame;
  };

  explicit Recorder(std::unique_ptr<Endpoint> inner) : endpoint(std::move(inner)) {
    endpoint->on_frame([this](PeerId peer, Frame frame) { received.push_back({peer, std::move(frame)}); });
  }
  Endpoint* operator->() const { return endpoint.get(); }

  std::unique_ptr<Endpoint> endpoint;
  std::vector<Received> received;
};

}  // namespace rubato::transport
