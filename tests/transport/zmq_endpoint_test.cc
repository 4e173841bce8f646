// What is special to libzmq: foreign bytes, limits, ports, slow receivers.
#include "transport/zmq/zmq_endpoint.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "base/rng.h"
#include "tests/transport/heap_bytes.h"
#include "tests/transport/served.h"
#include "tests/transport/stranger.h"
#include "tests/transport/zmq_world.h"

namespace rubato::transport {
namespace {

// ZMTP 3.0 by hand: https://rfc.zeromq.org/spec/23/
std::string greeting(std::string_view mechanism = "NULL") {
  std::string bytes(64, '\0');
  bytes[0] = '\xff';
  bytes[9] = '\x7f';
  bytes[10] = '\x03';
  mechanism.copy(&bytes[12], 20);
  return bytes;
}
std::string short_frame(char flags, std::string_view body) {
  return std::string{flags, static_cast<char>(body.size())} + std::string(body);
}
std::string ready(std::string_view socket_type) {
  return short_frame('\x04', "\x05READY\x0bSocket-Type" + std::string(3, '\0') + static_cast<char>(socket_type.size()) +
                                 std::string(socket_type));
}
std::string message(const std::vector<std::string>& parts) {
  std::string bytes;
  for (std::size_t i = 0; i < parts.size(); ++i) bytes += short_frame(i + 1 < parts.size() ? '\x01' : '\0', parts[i]);
  return bytes;
}
std::string announcement_of(std::uint64_t bytes) {
  std::string frame(1, '\x02');
  for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>(bytes >> shift);
  return frame;
}

class ZmqEndpointTest : public Served<testing::TestWithParam<ZmqWorld::Kind>> {
 protected:
  static constexpr std::int64_t kPartBytesMax = 1000;
  static constexpr int kKnownPeersMax = 6;

  ZmqEndpointTest()
      : Served(std::make_unique<ZmqWorld>(
            GetParam(),
            ZmqOptions{.linger_ms = 100, .part_bytes_max = kPartBytesMax, .known_peers_max = kKnownPeersMax})) {}

  // A peer may not speak before both sides are ready, hence the pause.
  void shake_hands(const Stranger& stranger) {
    stranger.say(greeting() + ready("DEALER"));
    world_.settle();
  }
};

TEST_P(ZmqEndpointTest, AnHttpRequestIsRefused) {
  const Stranger browser(address_);
  browser.say("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect_refused(1);
  expect_service();
}

TEST_P(ZmqEndpointTest, RandomBytesAreRefused) {
  RandomStream random(stream_key(1, "foreign bytes"));
  constexpr int kStrangers = 100;
  for (int i = 0; i < kStrangers; ++i) {
    std::string bytes(1 + random.below(5000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next_u32());
    if (i % 4 == 0) bytes[0] = '\xff';  // as a greeting begins
    Stranger(address_).say(bytes);
  }
  expect_refused(kStrangers);
  expect_service();
  EXPECT_EQ(server_->counters().frames_received, server_.received.size());
}

TEST_P(ZmqEndpointTest, AGreetingThatBreaksOffIsRefused) {
  const std::string whole = greeting() + ready("DEALER");
  std::uint64_t strangers = 0;
  for (std::size_t length = 0; length < whole.size(); length += 7) {
    Stranger(address_).say(std::string_view(whole).substr(0, length));
    ++strangers;
  }
  expect_refused(strangers);
  expect_service();
}

TEST_P(ZmqEndpointTest, PeersOfOldProtocolsOtherMechanismsOrSocketTypesAreRefused) {
  Stranger first(address_), second(address_), third(address_), fourth(address_);
  first.say(std::string("\x01\x00", 2) + message({"header", "body"}));  // ZMTP 1
  second.say(std::string("\xff\0\0\0\0\0\0\0\0\x7f\x01\x05\0\0", 14));  // ZMTP 2
  third.say(greeting("CURVE"));
  fourth.say(greeting() + ready("SUB"));
  expect_refused(4);
  expect_service();
}

TEST_P(ZmqEndpointTest, MessagesOfAWrongNumberOfPartsAreRefused) {
  const Stranger stranger(address_);
  shake_hands(stranger);
  for (std::size_t parts : {1, 3, 4, 5, 100}) stranger.say(message(std::vector<std::string>(parts, "part")));
  expect_refused(5);
  const std::size_t before = server_.received.size();
  stranger.say(message({"header", "body"}));
  ASSERT_TRUE(world_.run_until([&] { return server_.received.size() > before; }))
      << "well-formed: the codec's business";
  EXPECT_EQ(text(server_.received.back().frame.body), "body");
  expect_service();
}

TEST_P(ZmqEndpointTest, OversizeMessagesAreRefused) {
  const PeerId talkative = client_->connect(address_).value();
  client_->send(talkative, {text("header"), Payload::of(std::vector<std::byte>(kPartBytesMax + 1))});
  client_->send(talkative, {Payload::of(std::vector<std::byte>(kPartBytesMax + 1)), {}});
  expect_refused(2);
  const std::size_t before = server_.received.size();
  client_->send(talkative, {text("header"), Payload::of(std::vector<std::byte>(kPartBytesMax))});
  EXPECT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
  expect_service();
}

TEST_P(ZmqEndpointTest, AnAbsurdLengthEndsTheConnectionAndNothingElse) {
  for (std::uint64_t bytes : {std::uint64_t{3000}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    const Stranger stranger(address_);
    shake_hands(stranger);
    stranger.say(announcement_of(bytes) + "abc");
    world_.settle();
    expect_service();
  }
}

// libzmq does not say who has gone. So whoever has said nothing for longest is forgotten, and new when it speaks again.
TEST_P(ZmqEndpointTest, OfThoseWhoHaveGoneABoundedNumberIsKnown) {
  const Stranger silent(address_);
  shake_hands(silent);
  const auto hello_of = [&](const Stranger& stranger) {
    const std::size_t before = server_.received.size();
    stranger.say(message({"header", "body"}));
    EXPECT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
    return server_.received.back().peer;
  };
  const PeerId first = hello_of(silent);
  const auto others_come = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const Stranger other(address_);
      shake_hands(other);
      hello_of(other);
    }
  };
  expect_service();
  const PeerId member = server_.received.back().peer;
  others_come(kKnownPeersMax - 2);
  expect_service();
  EXPECT_EQ(server_.received.back().peer, member);
  EXPECT_EQ(hello_of(silent), first);
  others_come(kKnownPeersMax - 1);
  EXPECT_EQ(hello_of(silent), first);
  expect_service();
  EXPECT_NE(server_.received.back().peer, member);
}

// The sender says far more than the receiver takes, whose loop stands still meanwhile.
TEST_P(ZmqEndpointTest, ASlowReceiverHoldsABoundedNumberOfFramesAndLosesNone) {
  constexpr std::size_t kBodyBytes = 1 << 20, kFrames = 256, kWaiting = 8;
  ZmqWorld world(GetParam(), {.waiting_frames_max = static_cast<int>(kWaiting)});
  Recorder server(world.endpoint("server")), client(world.endpoint("client"));
  ASSERT_TRUE(server->listen(world.address("server")).ok());
  const PeerId peer = client->connect(world.address("server")).value();
  client->send(peer, {text("first"), {}});
  ASSERT_TRUE(world.run_until([&] { return server.received.size() == 1; }));

  const std::size_t before = heap_bytes();
  // One body for all: what the heap grows by lies at the receiver.
  const Payload body = Payload::of(std::vector<std::byte>(kBodyBytes));
  for (std::size_t i = 0; i < kFrames; ++i) client->send(peer, {text(std::to_string(i)), body});
  // Nobody runs the loop; the I/O threads go on until they may not.
  std::size_t largest = 0;
  for (int unchanged = 0; unchanged < 20; ++unchanged) {
    const std::size_t now = heap_bytes() - before;
    if (now > largest) largest = now, unchanged = 0;
    ::usleep(10'000);
  }
  // The body itself, what waits, the frame that finds no room, the one that is being read; and the bookkeeping of 256.
  EXPECT_LE(largest, (1 + kWaiting + 2) * kBodyBytes + kFrames * 1024);

  ASSERT_TRUE(world.run_until([&] { return server.received.size() == kFrames + 1; }));
  for (std::size_t i = 0; i < kFrames; ++i) {
    EXPECT_EQ(text(server.received[i + 1].frame.header), std::to_string(i));
    EXPECT_EQ(server.received[i + 1].frame.body.size(), kBodyBytes);
  }
  EXPECT_EQ(client->counters().dropped, 0u);
  EXPECT_EQ(server->counters().refused, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ZmqEndpointTest, testing::Values(ZmqWorld::Kind::kTcp, ZmqWorld::Kind::kIpc),
                         [](const auto& kind) { return kind.param == ZmqWorld::Kind::kTcp ? "tcp" : "ipc"; });

TEST(ZmqAddress, APortIsPickedAndReported) {
  ZmqWorld world(ZmqWorld::Kind::kTcp);
  Recorder server(world.endpoint("server")), client(world.endpoint("client"));
  const auto address = server->listen("tcp://127.0.0.1:0");
  ASSERT_TRUE(address.ok());
  ASSERT_TRUE(address->starts_with("tcp://127.0.0.1:")) << *address;
  EXPECT_FALSE(address->ends_with(":0"));
  client->send(client->connect(*address).value(), {text("hello"), {}});
  EXPECT_TRUE(world.run_until([&] { return server.received.size() == 1; }));
}

TEST(ZmqAddress, ErrorsSayWhatToDo) {
  ZmqWorld world(ZmqWorld::Kind::kTcp);
  Recorder first(world.endpoint("first")), second(world.endpoint("second"));
  const std::string taken = first->listen("tcp://127.0.0.1:0").value();
  const auto message = [&](const std::string& address) {
    const auto result = second->listen(address);
    EXPECT_FALSE(result.ok()) << address;
    return result.ok() ? "" : result.error().message;
  };
  EXPECT_NE(message(taken).find("in use; another process has it"), std::string::npos) << message(taken);
  EXPECT_NE(message(taken).find(taken), std::string::npos);
  EXPECT_NE(message("ipc://" + testing::TempDir() + std::string(120, 'x')).find("shorter run directory"),
            std::string::npos);
  EXPECT_NE(message("tcp://203.0.113.7:0").find("no such address"), std::string::npos);
  EXPECT_NE(message("ipc:///no/such/directory/socket").find("No such file"), std::string::npos);
}

TEST(ZmqAddress, APathLeftBehindByADeadProcessIsTakenOver) {
  ZmqWorld world(ZmqWorld::Kind::kIpc);
  const std::string address = world.address("server");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  address.copy(name.sun_path, sizeof(name.sun_path) - 1, 6);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  ::close(dead);
  Recorder server(world.endpoint("server"));
  EXPECT_TRUE(server->listen(address).ok());
}

}  // namespace
}  // namespace rubato::transport
