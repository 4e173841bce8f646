#include "tests/transport/world.h"
#include "transport/sim/sim_network.h"

namespace rubato::transport {

namespace {

class SimWorld final : public World {
 public:
  std::unique_ptr<Endpoint> endpoint(const std::string& name) override { return network_.endpoint(name); }
  std::string address(const std::string& name) override { return "sim://" + name; }
  bool run_until(const std::function<bool()>& done) override {
    while (!done()) {
      // Tests that look again and again are given time to do so.
      if (!network_.step()) network_.run_until(network_.now() + kMillisecond);
      if (network_.now() > 20 * kSecond) return false;
    }
    return true;
  }
  void settle() override {
    while (network_.step()) {
    }
  }

 private:
  SimNetwork network_{1};
};

}  // namespace

std::unique_ptr<World> make_sim_world() { return std::make_unique<SimWorld>(); }

}  // namespace rubato::transport
