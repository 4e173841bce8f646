// What every Endpoint promises (transport/endpoint.h), whatever carries its frames.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>

#include "tests/transport/tcp_world.h"
#include "tests/transport/world.h"

namespace rubato::transport {
namespace {

std::unique_ptr<World> make_tcp_world() { return std::make_unique<TcpWorld>(); }

struct Kind {
  const char* name;
  std::unique_ptr<World> (*make)();
};

class EndpointContract : public testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<World> world_ = GetParam().make();
};

std::vector<std::byte> pattern(std::size_t size, std::uint32_t seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 2654435761u + seed) >> 13);
  return bytes;
}

TEST_P(EndpointContract, FramesOfOnePeerArriveInOrder) {
  Recorder server(world_->endpoint("server")), client(world_->endpoint("client"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  const PeerId peer = client->connect(world_->address("server")).value();
  constexpr int kFrames = 5000;
  for (int i = 0; i < kFrames; ++i) client->send(peer, {text(std::to_string(i)), text("body")});
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == kFrames; }));
  for (int i = 0; i < kFrames; ++i) {
    ASSERT_EQ(text(server.received[i].frame.header), std::to_string(i));
    ASSERT_EQ(server.received[i].peer, server.received[0].peer);
  }
  EXPECT_EQ(client->counters().frames_sent, kFrames);
  EXPECT_EQ(server->counters().frames_received, kFrames);
  EXPECT_EQ(server->counters().bytes_received, client->counters().bytes_sent);
  EXPECT_EQ(server->counters().refused, 0);
}

TEST_P(EndpointContract, ListenReportsTheAddressThatOthersConnectTo) {
  Recorder server(world_->endpoint("server"));
  const auto address = server->listen(world_->address("server"));
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(*address, world_->address("server"));
}

TEST_P(EndpointContract, BodiesOfAnySizeArriveWholeAndAligned) {
  Recorder server(world_->endpoint("server")), client(world_->endpoint("client"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  const PeerId peer = client->connect(world_->address("server")).value();
  const std::vector<std::size_t> sizes = {
      0,    1,    7,    8,     9,     32,   33,   34,      255, 256,           4095,     4096, 4097,
      8191, 8192, 8193, 12345, 65537, 1000, 1001, 1 << 20, 3,   (1 << 20) + 5, 64 << 20, 0,    17};
  for (std::size_t i = 0; i < sizes.size(); ++i)
    client->send(peer, {Payload::of(pattern(1 + i % 200, 7)), Payload::of(pattern(sizes[i], 11))});
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == sizes.size(); }));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Frame& frame = server.received[i].frame;
    for (const Payload& part : {frame.header, frame.body})
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(part.bytes().data()) % 8, 0) << "frame " << i;
    const auto header = pattern(1 + i % 200, 7), body = pattern(sizes[i], 11);
    EXPECT_TRUE(std::ranges::equal(frame.header.bytes(), header)) << "frame " << i;
    EXPECT_TRUE(std::ranges::equal(frame.body.bytes(), body)) << "frame " << i;
  }
}

TEST_P(EndpointContract, AReplyGoesToThePeerThatSent) {
  constexpr int kClients = 20;
  Recorder server(world_->endpoint("server"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  Endpoint& replier = *server.endpoint;
  replier.on_frame([&](PeerId peer, Frame frame) {
    server.received.push_back({peer, frame});
    replier.send(peer, {text("reply to " + text(frame.header)), frame.body});
  });
  std::vector<std::unique_ptr<Recorder>> clients;
  std::vector<PeerId> peers;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Recorder>(world_->endpoint("client-" + std::to_string(i))));
    peers.push_back((*clients.back())->connect(world_->address("server")).value());
  }
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round)
    for (int i = 0; i < kClients; ++i) (*clients[i])->send(peers[i], {text(std::to_string(i)), {}});
  ASSERT_TRUE(world_->run_until([&] {
    return std::ranges::all_of(clients, [](const auto& client) { return client->received.size() == kRounds; });
  }));
  std::map<PeerId, std::string> names;
  for (const auto& [peer, frame] : server.received)
    EXPECT_EQ(names.emplace(peer, text(frame.header)).first->second, text(frame.header)) << "a PeerId is one peer";
  EXPECT_EQ(names.size(), kClients);
  for (int i = 0; i < kClients; ++i)
    for (const auto& [peer, frame] : clients[i]->received) {
      EXPECT_EQ(peer, peers[i]);
      EXPECT_EQ(text(frame.header), "reply to " + std::to_string(i));
    }
}

TEST_P(EndpointContract, OneEndpointTalksToManyAndListensToo) {
  // Each of three members connects to the two others, as the servers of a job do.
  const std::vector<std::string> names = {"a", "b", "c"};
  std::vector<std::unique_ptr<Recorder>> members;
  for (const auto& name : names) {
    members.push_back(std::make_unique<Recorder>(world_->endpoint(name)));
    ASSERT_TRUE((*members.back())->listen(world_->address(name)).ok());
  }
  for (std::size_t from = 0; from < names.size(); ++from)
    for (std::size_t to = 0; to < names.size(); ++to) {
      if (from == to) continue;
      const PeerId peer = (*members[from])->connect(world_->address(names[to])).value();
      (*members[from])->send(peer, {text(names[from]), text(names[to])});
    }
  ASSERT_TRUE(world_->run_until(
      [&] { return std::ranges::all_of(members, [](const auto& member) { return member->received.size() == 2; }); }));
  for (std::size_t i = 0; i < names.size(); ++i)
    for (const auto& [peer, frame] : members[i]->received) EXPECT_EQ(text(frame.body), names[i]);
}

TEST_P(EndpointContract, FramesWaitForAListenerThatComesLate) {
  Recorder client(world_->endpoint("client"));
  const PeerId peer = client->connect(world_->address("server")).value();
  for (int i = 0; i < 10; ++i) client->send(peer, {text(std::to_string(i)), {}});
  world_->settle();
  Recorder server(world_->endpoint("server"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == 10; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(text(server.received[i].frame.header), std::to_string(i));
  server->send(server.received[0].peer, {text("welcome"), {}});
  ASSERT_TRUE(world_->run_until([&] { return client.received.size() == 1; }));
}

TEST_P(EndpointContract, AConnectionIsMadeAgainWhenTheListenerComesBack) {
  Recorder client(world_->endpoint("client"));
  auto server = std::make_unique<Recorder>(world_->endpoint("server"));
  ASSERT_TRUE((*server)->listen(world_->address("server")).ok());
  const PeerId peer = client->connect(world_->address("server")).value();
  client->send(peer, {text("first life"), {}});
  ASSERT_TRUE(world_->run_until([&] { return server->received.size() == 1; }));
  server.reset();
  server = std::make_unique<Recorder>(world_->endpoint("server"));
  ASSERT_TRUE((*server)->listen(world_->address("server")).ok());
  world_->settle();
  // What was sent into the gap may be lost; the protocol sends again. So does this test.
  int tries = 0;
  ASSERT_TRUE(world_->run_until([&] {
    if (server->received.empty() && tries++ % 50 == 0) client->send(peer, {text("second life"), {}});
    return !server->received.empty();
  }));
  (*server)->send(server->received[0].peer, {text("back"), {}});
  ASSERT_TRUE(world_->run_until([&] { return client.received.size() == 1; }));
  EXPECT_EQ(client.received[0].peer, peer);
}

TEST_P(EndpointContract, AForgottenPeerIsNeitherSentToNorTheSamePeerAgain) {
  Recorder server(world_->endpoint("server")), client(world_->endpoint("client"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  const PeerId peer = client->connect(world_->address("server")).value();
  client->send(peer, {text("one"), {}});
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == 1; }));
  const PeerId first = server.received[0].peer;
  server->forget(first);
  server->forget(first);
  server->send(first, {text("lost"), {}});
  EXPECT_EQ(server->counters().dropped, 1);
  client->send(peer, {text("two"), {}});
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == 2; }));
  EXPECT_NE(server.received[1].peer, first);
  server->send(server.received[1].peer, {text("hello, stranger"), {}});
  ASSERT_TRUE(world_->run_until([&] { return client.received.size() == 1; }));
  EXPECT_EQ(text(client.received[0].frame.header), "hello, stranger");

  client->forget(peer);
  client->send(peer, {text("lost"), {}});
  world_->settle();
  EXPECT_EQ(client->counters().dropped, 1);
  EXPECT_EQ(server.received.size(), 2);
}

TEST_P(EndpointContract, AHandlerMayForgetThePeerThatCallsIt) {
  Recorder server(world_->endpoint("server")), client(world_->endpoint("client"));
  ASSERT_TRUE(server->listen(world_->address("server")).ok());
  int replies = 0;
  PeerId peer = 0;
  client->on_frame([&](PeerId from, Frame) {
    ++replies;
    client->forget(from);
  });
  peer = client->connect(world_->address("server")).value();
  client->send(peer, {text("hello"), {}});
  ASSERT_TRUE(world_->run_until([&] { return server.received.size() == 1; }));
  for (int i = 0; i < 3; ++i) server->send(server.received[0].peer, {text("reply"), {}});
  ASSERT_TRUE(world_->run_until([&] { return replies > 0; }));
  world_->settle();
  EXPECT_EQ(replies, 1);
}

// A payload that counts how many of its kind are alive.
Payload counted(std::atomic<int>& alive, std::size_t size) {
  ++alive;
  std::shared_ptr<std::byte[]> bytes(new std::byte[size](), [&alive](std::byte* data) {
    delete[] data;
    --alive;
  });
  const std::span<const std::byte> view(bytes.get(), size);
  return {std::move(bytes), view};
}

TEST_P(EndpointContract, PayloadsAreReleased) {
  std::atomic<int> alive = 0;
  {
    Recorder server(world_->endpoint("server")), client(world_->endpoint("client"));
    ASSERT_TRUE(server->listen(world_->address("server")).ok());
    const PeerId peer = client->connect(world_->address("server")).value();
    const PeerId nobody = client->connect(world_->address("nobody")).value();
    for (std::size_t size : {100, 100'000, 1'000'000}) client->send(peer, {text("h"), counted(alive, size)});
    ASSERT_TRUE(world_->run_until([&] { return server.received.size() == 3; }));
    server.received.clear();
    EXPECT_TRUE(world_->run_until([&] { return alive == 0; })) << "after they were received";

    for (std::size_t size : {100, 100'000}) client->send(nobody, {text("h"), counted(alive, size)});
    client->forget(nobody);
    EXPECT_TRUE(world_->run_until([&] { return alive == 0; })) << "with a forgotten peer";

    const PeerId nobody_else = client->connect(world_->address("nobody else")).value();
    client->send(nobody_else, {text("h"), counted(alive, 100'000)});
  }
  world_->settle();
  EXPECT_EQ(alive, 0) << "with the endpoint";
}

TEST_P(EndpointContract, AnAddressOfTheWrongFormIsAnError) {
  Recorder endpoint(world_->endpoint("server"));
  for (const std::string address : {"", "nonsense", "carrier-pigeon://roof"}) {
    const auto listened = endpoint->listen(address);
    const auto connected = endpoint->connect(address);
    ASSERT_FALSE(listened.ok()) << address;
    ASSERT_FALSE(connected.ok()) << address;
    EXPECT_EQ(listened.error().cause, Cause::kNetwork);
    EXPECT_EQ(connected.error().cause, Cause::kNetwork);
    EXPECT_NE(connected.error().message.find(address), std::string::npos);
  }
}

TEST_P(EndpointContract, AnAddressInUseIsAnError) {
  Recorder first(world_->endpoint("first")), second(world_->endpoint("second"));
  ASSERT_TRUE(first->listen(world_->address("first")).ok());
  const auto again = second->listen(world_->address("first"));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().cause, Cause::kNetwork);
  EXPECT_NE(again.error().message.find(world_->address("first")), std::string::npos) << again.error().message;
}

INSTANTIATE_TEST_SUITE_P(Transports, EndpointContract,
                         testing::Values(Kind{"tcp", make_tcp_world}, Kind{"zmq_tcp", make_zmq_tcp_world},
                                         Kind{"zmq_ipc", make_zmq_ipc_world}, Kind{"shm", make_shm_world},
                                         Kind{"shm_spinning", make_shm_spinning_world},
                                         Kind{"two_lanes", make_two_lanes_world}, Kind{"sim", make_sim_world}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace rubato::transport
