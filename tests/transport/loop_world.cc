#include "tests/transport/loop_world.h"

namespace rubato::transport {

bool LoopWorld::run_until(const std::function<bool()>& done) {
  const TimeNs deadline = steady_now() + 20 * kSecond;
  bool result = false;
  std::unique_ptr<Timer> look;
  look = std::make_unique<Timer>(loop_, [&] {
    result = done();
    if (result || steady_now() > deadline) return loop_.stop();
    look->arm(steady_now() + kMillisecond);
  });
  look->arm(steady_now());
  loop_.run();
  return result;
}

void LoopWorld::settle() {
  const TimeNs end = steady_now() + 100 * kMillisecond;
  run_until([end] { return steady_now() > end; });
}

}  // namespace rubato::transport
