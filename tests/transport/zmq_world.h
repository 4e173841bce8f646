// A World of libzmq endpoints on one Loop, driven by the test's own thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/transport/world.h"
#include "transport/loop.h"
#include "transport/zmq/zmq_endpoint.h"

namespace rubato::transport {

class ZmqWorld final : public World {
 public:
  enum class Kind { kTcp, kIpc };
  explicit ZmqWorld(Kind kind, ZmqOptions options = {});
  ~ZmqWorld() override;

  std::unique_ptr<Endpoint> endpoint(const std::string& name) override;
  std::string address(const std::string& name) override;
  bool run_until(const std::function<bool()>& done) override;
  void settle() override;
  Loop& loop() { return loop_; }

 private:
  const Kind kind_;
  const ZmqOptions options_;
  const std::string directory_;
  std::map<std::string, std::string> addresses_;
  Loop loop_;
};

}  // namespace rubato::transport
