// A World of endpoints that have two lanes: ipc, and shared memory where it can be reached.
#include <unistd.h>

#include "tests/transport/loop_world.h"
#include "transport/shm/shm_endpoint.h"
#include "transport/two_lanes.h"
#include "transport/zmq/zmq_endpoint.h"

namespace rubato::transport {
namespace {

class TwoLanesWorld final : public LoopWorld {
 public:
  std::unique_ptr<Endpoint> endpoint(const std::string&) override {
    return make_two_lane_endpoint({.near = std::move(make_shm_endpoint(loop())).value(),
                                   .far = std::move(make_zmq_endpoint(loop())).value(),
                                   .reachable = shm_reachable,
                                   .on_fallback = [](const std::string&) {},
                                   .on_break = [](const std::string&) {},
                                   .on_stranded = [](const Error&) {}});
  }
  std::string address(const std::string& name) override {
    const std::string unique =
        "rubato-test-two-" + std::to_string(::getpid()) + "-" + std::to_string(number_) + "-" + name;
    return "ipc://@" + unique + ";shm://" + unique;
  }

 private:
  static inline int worlds_ = 0;
  const int number_ = worlds_++;
};

}  // namespace

std::unique_ptr<World> make_two_lanes_world() { return std::make_unique<TwoLanesWorld>(); }

}  // namespace rubato::transport
