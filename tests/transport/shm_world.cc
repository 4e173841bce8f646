// A World of shared-memory endpoints. What the contract sends lies in no heap that is shared: it is copied.
#include <unistd.h>

#include "tests/transport/loop_world.h"
#include "transport/shm/shm_endpoint.h"

namespace rubato::transport {
namespace {

class ShmWorld final : public LoopWorld {
 public:
  explicit ShmWorld(TimeNs spin) : spin_(spin) {}

  std::unique_ptr<Endpoint> endpoint(const std::string&) override {
    return std::move(make_shm_endpoint(loop(), {.heap = nullptr, .spin = spin_})).value();
  }
  std::string address(const std::string& name) override {
    return "shm://rubato-test-" + std::to_string(::getpid()) + "-" + std::to_string(number_) + "-" + name;
  }

 private:
  static inline int worlds_ = 0;
  const TimeNs spin_;
  const int number_ = worlds_++;
};

}  // namespace

std::unique_ptr<World> make_shm_world() { return std::make_unique<ShmWorld>(0); }
std::unique_ptr<World> make_shm_spinning_world() { return std::make_unique<ShmWorld>(50 * kMicrosecond); }

}  // namespace rubato::transport
