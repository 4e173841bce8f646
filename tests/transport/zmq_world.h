// A World of libzmq endpoints.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/transport/loop_world.h"
#include "transport/zmq/zmq_endpoint.h"

namespace rubato::transport {

class ZmqWorld final : public LoopWorld {
 public:
  enum class Kind { kTcp, kIpc };
  explicit ZmqWorld(Kind kind, ZmqOptions options = {});
  ~ZmqWorld() override;

  std::unique_ptr<Endpoint> endpoint(const std::string& name) override;
  std::string address(const std::string& name) override;

 private:
  const Kind kind_;
  const ZmqOptions options_;
  const std::string directory_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace rubato::transport
