// What is special to TCP: foreign bytes, limits, slow receivers, last words, and a busy peer beside a timer.
#include "transport/tcp/tcp_endpoint.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tests/transport/heap_bytes.h"
#include "tests/transport/stranger.h"
#include "tests/transport/tcp_world.h"
#include "transport/tcp/frame_stream.h"

namespace rubato::transport {
namespace {

constexpr std::size_t kBodyBytesMax = 1000;

std::string greeting() {
  const auto bytes = greeting_of("a stranger of 16");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string number(std::uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }
std::string frame(const std::string& header, const std::string& body) {
  return number(header.size()) + number(body.size()) + header + body;
}

class TcpEndpointTest : public testing::Test {
 protected:
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

  TcpWorld world_{{.linger_ms = 1000, .body_bytes_max = kBodyBytesMax}};
  const std::string address_ = world_.address("server");
  Recorder server_{world_.endpoint("server")}, client_{world_.endpoint("client")};
  PeerId peer_ = 0;
};

TEST_F(TcpEndpointTest, ForeignBytesAreRefused) {
  RandomStream random(stream_key(1, "foreign bytes"));
  constexpr int kStrangers = 100;
  for (int i = 0; i < kStrangers; ++i) {
    std::string bytes(1 + random.below(5000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next_u32());
    if (i % 4 == 0) bytes = "GET /status HTTP/1.1\r\n\r\n";
    if (i % 4 == 1) bytes.replace(0, 7, greeting(), 0, 7);
    Stranger(address_).say(bytes);
  }
  expect_refused(kStrangers);
  expect_service();
  EXPECT_EQ(server_->counters().frames_received, server_.received.size());
}

TEST_F(TcpEndpointTest, AGreetingThatBreaksOffIsRefused) {
  std::uint64_t strangers = 0;
  for (; strangers < kGreetingBytes; ++strangers)
    Stranger(address_).say(std::string_view(greeting()).substr(0, strangers));
  expect_refused(strangers);
  expect_service();
}

TEST_F(TcpEndpointTest, WhoGreetsIsHeard) {
  const Stranger stranger(address_);
  const std::size_t before = server_.received.size();
  const std::string bytes = greeting() + frame("header", "body") + frame("", "") + frame("again", "");
  for (const char byte : bytes) {  // however it is cut
    stranger.say({&byte, 1});
    if (&byte == &bytes[30]) world_.settle();
  }
  ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == before + 3; }));
  EXPECT_EQ(text(server_.received[before].frame.body), "body");
  EXPECT_EQ(text(server_.received[before + 2].frame.header), "again");
}

TEST_F(TcpEndpointTest, LengthsBeyondTheLimitEndTheConnectionAndNothingElse) {
  std::uint64_t strangers = 0;
  for (const auto& [header, body] : {std::pair<std::uint64_t, std::uint64_t>{kFrameHeaderBytesMax + 1, 0},
                                     {0, kBodyBytesMax + 1},
                                     {192, std::uint64_t{1} << 62},
                                     {~std::uint64_t{0}, ~std::uint64_t{0}}}) {
    Stranger(address_).say(greeting() + number(header) + number(body) + "abc");
    expect_refused(++strangers);
    expect_service();
  }
  client_->send(peer_, {text("header"), Payload::of(std::vector<std::byte>(kBodyBytesMax + 1))});
  EXPECT_EQ(client_->counters().dropped, 1u) << "it is not even sent";
  expect_service();
}

TEST_F(TcpEndpointTest, APeerThatLeavesIsNoRefusal) {
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

TEST_F(TcpEndpointTest, FramesToAPeerThatIsGoneAreCounted) {
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

TEST_F(TcpEndpointTest, WhatWaitsAtTheEndIsStillSent) {
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

// Also where something has come that it did not read.
TEST_F(TcpEndpointTest, LastWordsAreNotTakenBack) {
  constexpr std::size_t kFrames = 50;
  std::size_t heard = 0;
  server_->on_frame([&](PeerId peer, Frame) {
    ++heard;
    server_->send(peer, {text("an answer that nobody waits for"), Payload::of(std::vector<std::byte>(900))});
  });
  {
    Recorder visitor(world_.endpoint("visitor"));
    const PeerId peer = visitor->connect(address_).value();
    visitor->send(peer, {text("hello"), {}});
    ASSERT_TRUE(world_.run_until([&] { return heard == 1; }));
    for (std::size_t i = 0; i < kFrames; ++i)
      visitor->send(peer, {text("last words"), Payload::of(std::vector<std::byte>(900))});
  }
  EXPECT_TRUE(world_.run_until([&] { return heard == 1 + kFrames; }));
}

TEST_F(TcpEndpointTest, ABusyPeerDoesNotStarveTimers) {
  // Each frame is answered with another, and each takes its time, so that the socket is never empty.
  server_->on_frame([&](PeerId peer, Frame) {
    const TimeNs until = steady_now() + 50 * kMicrosecond;
    while (steady_now() < until) {
    }
    server_->send(peer, {text("pong"), {}});
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

// The sender says far more than the receiver takes, whose loop stands still meanwhile.
TEST(TcpEndpoint, ASlowReceiverTakesNoMemoryAndLosesNothing) {
  constexpr std::size_t kBytes = 1 << 20, kFrames = 256;
  TcpWorld there, here;
  Recorder server(there.endpoint("server")), client(here.endpoint("client"));
  const std::string address = there.address("server");
  ASSERT_TRUE(server->listen(address).ok());
  const PeerId peer = client->connect(address).value();
  const std::size_t before = heap_bytes();
  // One body for all: what else the heap grows by would lie at the receiver.
  const Payload body = Payload::of(std::vector<std::byte>(kBytes));
  for (std::size_t i = 0; i < kFrames; ++i) client->send(peer, {text(std::to_string(i)), body});
  for (int turn = 0; turn < 5; ++turn) {
    here.settle();
    EXPECT_LE(heap_bytes() - before, 2 * kBytes + kFrames * 1024)
        << "the body, one that has come in part, and the bookkeeping of 256 frames";
    there.run_until([] { return true; });  // it takes what it takes in a turn or two
    server.received.clear();
  }

  std::size_t next = 0;
  std::vector<std::string> headers;
  server->on_frame([&](PeerId, Frame frame) {
    EXPECT_EQ(frame.body.size(), kBytes);
    headers.push_back(text(frame.header));
    ++next;
  });
  for (int turn = 0; turn < 10'000 && (headers.empty() || headers.back() != std::to_string(kFrames - 1)); ++turn) {
    here.run_until([] { return true; });
    there.run_until([] { return true; });
  }
  ASSERT_FALSE(headers.empty());
  for (std::size_t i = 0; i < headers.size(); ++i) EXPECT_EQ(headers[i], std::to_string(kFrames - headers.size() + i));
  EXPECT_EQ(client->counters().dropped, 0u);
  EXPECT_EQ(server->counters().refused, 0u);
}

}  // namespace
}  // namespace rubato::transport
