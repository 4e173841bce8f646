// What tests of one kind of endpoint begin with: a server and a client that talk to each other.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "tests/transport/loop_world.h"

namespace rubato::transport {

// `Base` is testing::Test, or one with a parameter.
template <typename Base>
class Served : public Base {
 protected:
  explicit Served(std::unique_ptr<LoopWorld> world) : owned_(std::move(world)) {}

  void SetUp() override {
    ASSERT_TRUE(server_->listen(address_).ok());
    peer_ = client_->connect(address_).value();
    expect_service();
  }
  // A member of the job is served as ever.
  void expect_service() {
    const std::size_t before = server_.received.size();
    client_->send(peer_, {text("ping"), text("body")});
    EXPECT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
  }
  void expect_refused(std::uint64_t count) {
    EXPECT_TRUE(world_.run_until([&] { return server_->counters().refused >= count; }));
    EXPECT_EQ(server_->counters().refused, count);
  }

 private:
  const std::unique_ptr<LoopWorld> owned_;

 protected:
  LoopWorld& world_ = *owned_;
  const std::string address_ = world_.address("server");
  Recorder server_{world_.endpoint("server")}, client_{world_.endpoint("client")};
  PeerId peer_ = 0;
};

}  // namespace rubato::transport
