// What endpoints over sockets promise beyond the contract of all (endpoint_contract_test.cc), whoever carries the
// bytes: libzmq, or the loop itself.
#include "base/time.h"
#include "tests/transport/served.h"
#include "tests/transport/tcp_world.h"
#include "tests/transport/zmq_world.h"

namespace rubato::transport {
namespace {

struct SocketKind {
  const char* name;
  std::unique_ptr<LoopWorld> (*make)();
};

class SocketEndpoint : public Served<testing::TestWithParam<SocketKind>> {
 protected:
  SocketEndpoint() : Served(GetParam().make()) {}
};

TEST_P(SocketEndpoint, APeerThatLeavesIsNoRefusal) {
  for (int i = 0; i < 20; ++i) {
    Recorder visitor(world_.endpoint("visitor"));
    const PeerId peer = visitor->connect(address_).value();
    const std::size_t before = server_.received.size();
    visitor->send(peer, {text("hello"), {}});
    ASSERT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
  }
  world_.settle();
  EXPECT_EQ(server_->counters().refused, 0u);
}

TEST_P(SocketEndpoint, FramesToAPeerThatIsGoneAreCounted) {
  {
    Recorder visitor(world_.endpoint("visitor"));
    const PeerId peer = visitor->connect(address_).value();
    visitor->send(peer, {text("hello"), {}});
    ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == 2; }));
  }
  world_.settle();
  server_->send(server_.received.back().peer, {text("too late"), {}});
  EXPECT_EQ(server_->counters().dropped, 1u);
  expect_service();
}

TEST_P(SocketEndpoint, WhatWaitsAtTheEndIsStillSent) {
  constexpr std::size_t kFrames = 200;
  const std::size_t before = server_.received.size();
  {
    Recorder visitor(world_.endpoint("visitor"));
    const PeerId peer = visitor->connect(address_).value();
    for (std::size_t i = 0; i < kFrames; ++i)
      visitor->send(peer, {text("last words"), Payload::of(std::vector<std::byte>(900))});
  }
  EXPECT_TRUE(world_.run_until([&] { return server_.received.size() == before + kFrames; }));
}

TEST_P(SocketEndpoint, ABusyPeerDoesNotStarveTimers) {
  // Each frame is answered with another, and each takes its time, so that the socket is never empty.
  server_->on_frame([&](PeerId peer, Frame) {
    const TimeNs until = steady_now() + 50 * kMicrosecond;
    while (steady_now() < until) {
    }
    server_->send(peer, {text("again"), {}});
  });
  client_->on_frame([&](PeerId, Frame) { client_->send(peer_, {text("again"), {}}); });
  for (int i = 0; i < 500; ++i) client_->send(peer_, {text("ping"), {}});
  int ticks = 0;
  std::unique_ptr<Timer> tick;
  tick = std::make_unique<Timer>(world_.loop(), [&] {
    if (++ticks == 20) return world_.loop().stop();
    tick->arm(steady_now() + 5 * kMillisecond);
  });
  const TimeNs start = steady_now();
  tick->arm(start);
  world_.loop().run();
  EXPECT_LT(steady_now() - start, 2 * kSecond) << "20 ticks of 5 ms";
}

std::unique_ptr<LoopWorld> tcp() { return std::make_unique<TcpWorld>(); }
std::unique_ptr<LoopWorld> zmq_tcp() { return std::make_unique<ZmqWorld>(ZmqWorld::Kind::kTcp); }
std::unique_ptr<LoopWorld> zmq_ipc() { return std::make_unique<ZmqWorld>(ZmqWorld::Kind::kIpc); }

INSTANTIATE_TEST_SUITE_P(Kinds, SocketEndpoint,
                         testing::Values(SocketKind{"tcp", tcp}, SocketKind{"zmq_tcp", zmq_tcp},
                                         SocketKind{"zmq_ipc", zmq_ipc}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace rubato::transport
