// A World of TCP endpoints.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "tests/transport/free_port.h"
#include "tests/transport/loop_world.h"
#include "transport/tcp/tcp_endpoint.h"

namespace rubato::transport {

class TcpWorld final : public LoopWorld {
 public:
  explicit TcpWorld(TcpOptions options = {}) : options_(options) {}

  std::unique_ptr<Endpoint> endpoint(const std::string&) override { return make_tcp_endpoint(loop(), options_); }
  std::string address(const std::string& name) override {
    auto [entry, is_new] = addresses_.try_emplace(name);
    if (is_new) entry->second = "tcp://127.0.0.1:" + std::to_string(free_port());
    return entry->second;
  }

 private:
  const TcpOptions options_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace rubato::transport
