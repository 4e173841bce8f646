#include "tests/transport/zmq_world.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/transport/free_port.h"

namespace rubato::transport {

namespace {

std::string new_directory() {
  std::string path = ::testing::TempDir() + "rubato-transport-XXXXXX";
  RUBATO_CHECK(::mkdtemp(path.data()) != nullptr);
  return path;
}

}  // namespace

ZmqWorld::ZmqWorld(Kind kind, ZmqOptions options) : kind_(kind), options_(options), directory_(new_directory()) {}
ZmqWorld::~ZmqWorld() { std::filesystem::remove_all(directory_); }

std::unique_ptr<Endpoint> ZmqWorld::endpoint(const std::string&) {
  return std::move(make_zmq_endpoint(loop(), options_)).value();
}

std::string ZmqWorld::address(const std::string& name) {
  auto [entry, is_new] = addresses_.try_emplace(name);
  if (is_new)
    entry->second =
        kind_ == Kind::kIpc ? "ipc://" + directory_ + "/" + name : "tcp://127.0.0.1:" + std::to_string(free_port());
  return entry->second;
}

std::unique_ptr<World> make_zmq_tcp_world() { return std::make_unique<ZmqWorld>(ZmqWorld::Kind::kTcp); }
std::unique_ptr<World> make_zmq_ipc_world() { return std::make_unique<ZmqWorld>(ZmqWorld::Kind::kIpc); }

}  // namespace rubato::transport
