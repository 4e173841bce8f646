// Worlds of endpoints on one Loop, driven by the test's own thread.
#pragma once

#include <memory>

#include "tests/transport/world.h"
#include "transport/loop.h"

namespace rubato::transport {

class LoopWorld : public World {
 public:
  bool run_until(const std::function<bool()>& done) override;
  void settle() override;
  Loop& loop() { return loop_; }

 private:
  Loop loop_;
};

}  // namespace rubato::transport
