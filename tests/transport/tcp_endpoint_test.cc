// What is special to TCP: foreign bytes, limits, slow receivers, last words.
#include "transport/tcp/tcp_endpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/rng.h"
#include "tests/transport/heap_bytes.h"
#include "tests/transport/served.h"
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

class TcpEndpointTest : public Served<testing::Test> {
 protected:
  TcpEndpointTest()
      : Served(std::make_unique<TcpWorld>(TcpOptions{.linger_ms = 1000, .body_bytes_max = kBodyBytesMax})) {}
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

TEST_F(TcpEndpointTest, WhoFindsNoDescriptorLeftIsLetInLater) {
  const Stranger stranger(address_);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ASSERT_EQ(::close(next), 0);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  world_.settle();
  expect_service();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const std::size_t heard = server_.received.size();
  stranger.say(greeting() + frame("header", "body"));
  EXPECT_TRUE(world_.run_until([&] { return server_.received.size() == heard + 1; }));
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

// Whoever has spoken is known again, if it soon comes again; nothing else is kept of who has gone.
TEST_F(TcpEndpointTest, OfThoseWhoHaveGoneNothingGathers) {
  const auto come_and_go = [&](int count) {
    for (int i = 0; i < count; ++i) {
      std::string id = std::to_string(i + 1'000'000 * count);
      id.resize(kGreetingIdBytes, '.');
      const auto bytes = greeting_of(id);
      const std::size_t before = server_.received.size();
      Stranger(address_).say(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) +
                             frame("hello", ""));
      ASSERT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
      server_.received.clear();
    }
    world_.settle();
  };
  come_and_go(1100);
  const std::size_t before = heap_bytes();
  come_and_go(2000);
  EXPECT_LE(heap_bytes(), before + (std::size_t{64} << 10)) << "less than what four connections take";
  expect_service();
}

TEST_F(TcpEndpointTest, WhoComesAgainIsKnownAndWhoWasForgottenIsNot) {
  const auto say_hello = [&] {
    const std::size_t before = server_.received.size();
    Stranger(address_).say(greeting() + frame("hello", ""));
    EXPECT_TRUE(world_.run_until([&] { return server_.received.size() > before; }));
    world_.settle();  // until it is known to have gone
    return server_.received.back().peer;
  };
  const PeerId first = say_hello();
  EXPECT_EQ(say_hello(), first);
  server_->send(first, {text("to nobody"), {}});
  EXPECT_EQ(server_->counters().dropped, 1u);
  server_->forget(first);
  const PeerId second = say_hello();
  EXPECT_NE(second, first);
  EXPECT_EQ(say_hello(), second);
}

// With a header of forty bytes, of which nobody knows anything, nobody has a gigabyte set aside.
TEST(TcpEndpoint, ABodyHasNoMemoryBeforeItsHeaderIsFoundGood) {
  std::vector<std::string> asked, objections;
  const BodyCheck check = [&](std::span<const std::byte> header, std::uint64_t bytes) -> Status {
    asked.push_back(text(Payload::copy_of(header)) + " " + std::to_string(bytes));
    if (asked.back().starts_with("good")) return {};
    return Error{Cause::kMalformed, "no header of ours"};
  };
  TcpWorld world(
      TcpOptions{.check = check, .on_objection = [&](const Error& why) { objections.push_back(why.message); }});
  Recorder server(world.endpoint("server"));
  const std::string address = world.address("server");
  ASSERT_TRUE(server->listen(address).ok());
  const std::size_t before = heap_bytes();
  constexpr int kStrangers = 20;
  std::vector<std::unique_ptr<Stranger>> strangers;
  for (int i = 0; i < kStrangers; ++i) {
    strangers.push_back(std::make_unique<Stranger>(address));
    const std::string header = "bad";
    strangers.back()->say(greeting().substr(0, kGreetingBytes - 2) + std::to_string(10 + i) + number(header.size()) +
                          number(std::uint64_t{1} << 30) + header + "abc");
  }
  ASSERT_TRUE(world.run_until([&] { return server->counters().refused == kStrangers; }));
  EXPECT_LE(heap_bytes(), before + (std::size_t{4} << 20));
  EXPECT_EQ(objections, std::vector<std::string>(kStrangers, "no header of ours"));
  EXPECT_EQ(asked.front(), "bad 1073741824");

  asked.clear();
  const Stranger member(address);
  member.say(greeting() + frame("good", std::string(kUnaskedBodyBytesMax + 1, 'x')) + frame("bad, and short", "x"));
  ASSERT_TRUE(world.run_until([&] { return server.received.size() == 2; }));
  EXPECT_EQ(asked, std::vector<std::string>{"good 4097"}) << "of short ones nobody is asked";
  EXPECT_EQ(server.received[0].frame.body.size(), kUnaskedBodyBytesMax + 1);
}

// What waits at the end is sent also where something has come that was not read.
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
