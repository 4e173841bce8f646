// What is particular to endpoints over shared memory: bodies that are read where they lie, who may come, and what
// happens to those who talk nonsense.
#include "transport/shm/shm_endpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>

#include "tests/base/address_space_limit.h"
#include "tests/transport/loop_world.h"
#include "transport/shm/link.h"
#include "transport/shm/local_socket.h"

namespace rubato::transport {
namespace {

class ShmEndpoint : public testing::Test {
 protected:
  std::unique_ptr<Endpoint> endpoint() { return std::move(make_shm_endpoint(world_.loop(), {.heap = heap_})).value(); }
  // A body in the heap, with this in each element.
  Payload lendable(std::size_t floats, float value) {
    auto block = heap_->floats(floats);
    std::fill_n(block.get(), floats, value);
    const auto bytes = std::as_bytes(std::span(block.get(), floats));
    return {std::move(block), bytes};
  }

  // A body whose sharers can be counted.
  struct Counted {
    std::shared_ptr<const std::shared_ptr<float[]>> owner;
    Payload body() const { return {owner, std::as_bytes(std::span(owner->get(), 1000))}; }
    [[nodiscard]] long lent() const { return owner.use_count() - 1; }
  };
  Counted counted() { return {std::make_shared<const std::shared_ptr<float[]>>(heap_->floats(1000))}; }

  struct World final : LoopWorld {
    std::unique_ptr<Endpoint> endpoint(const std::string&) override { return nullptr; }
    std::string address(const std::string&) override { return {}; }
  } world_;
  const std::shared_ptr<SharedHeap> heap_ = std::make_shared<SharedHeap>();
  const std::string name_ = "rubato-test-shm-" + std::to_string(::getpid());
  const std::string address_ = "shm://" + name_;
};

TEST_F(ShmEndpoint, ALargeBodyIsReadWhereItLies) {
  Recorder server(endpoint()), client(endpoint());
  ASSERT_TRUE(server->listen(address_).ok());
  const PeerId peer = client->connect(address_).value();
  auto block = heap_->floats(1000);
  std::fill_n(block.get(), 1000, 1.0f);
  client->send(peer, {text("header"), {block, std::as_bytes(std::span(block.get(), 1000))}});
  ASSERT_TRUE(world_.run_until([&] { return server.received.size() == 1; }));
  const Payload& body = server.received[0].frame.body;
  EXPECT_EQ(body.floats()[7], 1.0f);
  EXPECT_NE(body.floats().data(), block.get()) << "another mapping";
  block[7] = 2.0f;  // which no sender does
  EXPECT_EQ(body.floats()[7], 2.0f) << "of the same memory";
}

// A client has lent a body to a server, which reads it.
class ShmLending : public ShmEndpoint {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_->listen(address_).ok());
    peer_ = client_->connect(address_).value();
    client_->send(peer_, {text("h"), block_.body()});
    ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == 1; }));
  }
  Recorder server_{endpoint()}, client_{endpoint()};
  const Counted block_ = counted();
  PeerId peer_ = 0;
};

TEST_F(ShmLending, TheSenderKeepsABodyUntilItsReaderHasDroppedIt) {
  world_.settle();
  EXPECT_EQ(block_.lent(), 1);
  Payload second = server_.received[0].frame.body;
  server_.received.clear();
  client_->send(peer_, {text("looks after its loans"), {}});
  world_.settle();
  EXPECT_EQ(block_.lent(), 1) << "somebody reads it still";
  std::thread([dropped = std::move(second)] {}).join();
  client_->send(peer_, {text("looks after its loans"), {}});
  EXPECT_TRUE(world_.run_until([&] { return block_.lent() == 0; }));
}

TEST_F(ShmLending, AForgottenReaderIsWaitedFor) {
  client_->forget(peer_);
  world_.settle();
  EXPECT_EQ(block_.lent(), 1) << "it is being read";
  server_.received.clear();
  EXPECT_TRUE(world_.run_until([&] { return block_.lent() == 0; }));
}

// Who forgets reads on, and says that it is done when it is: while the other reads of its, too.
TEST_F(ShmLending, WhoForgetsIsWaitedFor) {
  const Counted answer = counted();
  server_->send(server_.received[0].peer, {text("a"), answer.body()});
  ASSERT_TRUE(world_.run_until([&] { return client_.received.size() == 1; }));
  client_->forget(peer_);
  world_.settle();
  EXPECT_EQ(answer.lent(), 1) << "the client reads it";
  EXPECT_EQ(block_.lent(), 1) << "the server reads it";
  client_.received.clear();
  EXPECT_TRUE(world_.run_until([&] { return answer.lent() == 0; }));
  server_.received.clear();
  EXPECT_TRUE(world_.run_until([&] { return block_.lent() == 0; }));
}

TEST_F(ShmEndpoint, MoreThanRingAndLoansHoldWaitsInOrder) {
  Recorder server(endpoint()), client(endpoint());
  ASSERT_TRUE(server->listen(address_).ok());
  const PeerId peer = client->connect(address_).value();
  constexpr std::size_t kFrames = 3 * LinkMemory::kLoans;
  for (std::size_t i = 0; i < kFrames; ++i)
    client->send(peer, {text(std::to_string(i)), lendable(300, static_cast<float>(i))});
  ASSERT_TRUE(world_.run_until([&] { return server.received.size() == kFrames; }));  // none dropped: all kept
  for (std::size_t i = 0; i < kFrames; ++i) {
    ASSERT_EQ(text(server.received[i].frame.header), std::to_string(i));
    const auto floats = server.received[i].frame.body.floats();
    ASSERT_EQ(floats.size(), 300u);
    ASSERT_TRUE(std::ranges::all_of(floats, [&](float value) { return value == static_cast<float>(i); }));
  }
}

TEST_F(ShmEndpoint, WhoDiesIsGoneAndWhatItLentStays) {
  Recorder server(endpoint());
  ASSERT_TRUE(server->listen(address_).ok());
  Payload kept;
  {
    Recorder client(endpoint());
    const PeerId peer = client->connect(address_).value();
    client->send(peer, {text("h"), lendable(1000, 3.0f)});
    ASSERT_TRUE(world_.run_until([&] { return server.received.size() == 1; }));
  }
  world_.settle();
  server->send(server.received[0].peer, {text("too late"), {}});
  EXPECT_EQ(server->counters().dropped, 1u);
  EXPECT_EQ(server.received[0].frame.body.floats()[999], 3.0f);
}

TEST_F(ShmEndpoint, SaysWhetherAndWhyNotItCanBeReached) {
  const Status nobody = shm_reachable(address_);
  ASSERT_FALSE(nobody.ok());
  EXPECT_NE(nobody.error().message.find(address_), std::string::npos);
  EXPECT_FALSE(shm_reachable("tcp://127.0.0.1:1").ok());
  Recorder server(endpoint());
  ASSERT_TRUE(server->listen(address_).ok());
  EXPECT_TRUE(shm_reachable(address_).ok());
  world_.settle();
  EXPECT_EQ(server->counters().refused, 0u) << "to ask is no offence";
}

// Somebody who talks to the endpoint by hand.
class Stranger {
 public:
  explicit Stranger(const std::string& name) : memory_(std::make_shared<LinkMemory>()) {
    memory_->socket = connect_local(name, name).value();
  }
  void say_hello(std::size_t bytes = sizeof(LinkMemory::Layout)) {
    memory_->shared = SharedMemory::create("test", bytes).value();
    ASSERT_TRUE(send_local(memory_->socket, {LocalMessage::Kind::kHello},
                           {memory_->shared.descriptor().number(), bell_.descriptor().number()}));
  }
  // Its own end of the link, as it is before anything was written.
  LinkMemory::Lane& lane() { return memory_->layout().from_connector; }
  void write(const void* record, std::size_t bytes) {
    RingWriter writer(lane().control, lane().data);
    const auto room = writer.reserve(bytes);
    std::memcpy(room.data(), record, bytes);
    (void)writer.publish();
  }
  void ring() {
    if (!server_bell_) {
      auto welcome = receive_local(memory_->socket);
      ASSERT_TRUE(welcome.ok() && welcome->has_value());
      server_bell_.emplace(Doorbell::of_another(std::move((*welcome)->descriptors.at(0))).value());
    }
    server_bell_->ring();
  }
  [[nodiscard]] const Descriptor& socket() const { return memory_->socket; }
  // As if it had read everything, and slept.
  void fall_asleep() { memory_->layout().from_acceptor.control.asleep.store(1); }
  // How often it was woken since it was asked.
  [[nodiscard]] std::uint64_t woken() const {
    std::uint64_t rung = 0;
    return ::read(bell_.descriptor().number(), &rung, sizeof(rung)) == sizeof(rung) ? rung : 0;
  }
  // Whether the endpoint has hung up.
  [[nodiscard]] bool refused() const {
    for (;;) {
      const auto received = receive_local(memory_->socket);
      if (!received.ok()) return true;
      if (!received->has_value()) return false;
    }
  }

 private:
  std::shared_ptr<LinkMemory> memory_;
  Doorbell bell_ = Doorbell::create().value();
  std::optional<Doorbell> server_bell_;
};

class Strangers : public ShmEndpoint {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_->listen(address_).ok());
    friend_ = client_->connect(address_).value();
  }
  // The stranger is thrown out and counted, and nobody else notices.
  void expect_refused(Stranger& stranger) {
    ++refused_;
    EXPECT_TRUE(world_.run_until([&] { return server_->counters().refused == refused_; }));
    EXPECT_TRUE(world_.run_until([&] { return stranger.refused(); }));
    const std::size_t before = server_.received.size();
    client_->send(friend_, {text("still there?"), lendable(1000, 1.0f)});
    EXPECT_TRUE(world_.run_until([&] { return server_.received.size() == before + 1; }));
  }
  Recorder server_{endpoint()}, client_{endpoint()};
  PeerId friend_ = 0;
  std::uint64_t refused_ = 0;
};

TEST_F(Strangers, NoiseInsteadOfAHello) {
  Stranger noise(name_);
  ASSERT_GT(::write(noise.socket().number(), "GET / HTTP/1.1", 14), 0);
  expect_refused(noise);
  Stranger wrong_kind(name_);
  ASSERT_TRUE(send_local(wrong_kind.socket(), {LocalMessage::Kind::kWelcome}, {0}));
  expect_refused(wrong_kind);
  Stranger without(name_);
  ASSERT_TRUE(send_local(without.socket(), {LocalMessage::Kind::kHello}, {0}));
  expect_refused(without);
  Stranger no_memory(name_);
  ASSERT_TRUE(send_local(no_memory.socket(), {LocalMessage::Kind::kHello}, {0, 0}));
  expect_refused(no_memory);
}

// To write into a pipe that nobody reads any more would end the server, and into a full one hold it up.
TEST_F(Strangers, ADoorbellThatIsNone) {
  Stranger stranger(name_);
  const SharedMemory memory = SharedMemory::create("test", sizeof(LinkMemory::Layout)).value();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Descriptor read_end(ends[0]), write_end(ends[1]);
  ASSERT_TRUE(
      send_local(stranger.socket(), {LocalMessage::Kind::kHello}, {memory.descriptor().number(), write_end.number()}));
  expect_refused(stranger);
}

TEST_F(Strangers, TheSilentMakeRoomForWhoeverSpeaks) {
  std::vector<std::unique_ptr<Stranger>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Stranger>(name_));
    world_.settle();
  }
  Recorder late(endpoint());
  const PeerId peer = late->connect(address_).value();
  late->send(peer, {text("h"), {}});
  EXPECT_TRUE(world_.run_until([&] { return server_.received.size() == 1; }));
  EXPECT_TRUE(silent.front()->refused());
  EXPECT_FALSE(silent.back()->refused());
}

// Who listens hangs up on everybody, as one does that has no file descriptors left.
TEST_F(ShmEndpoint, AConnectionThatIsNeverMadeIsGivenUpWhereSomebodyHearsOfIt) {
  const Descriptor listener = listen_local(name_, address_).value();
  Recorder client(endpoint());
  std::vector<std::pair<PeerId, std::string>> given_up;
  client->on_given_up([&](PeerId peer, const Error& why) { given_up.emplace_back(peer, why.message); });
  const PeerId peer = client->connect(address_).value();
  client->send(peer, {text("waits"), {}});
  int calls = 0;
  ASSERT_TRUE(world_.run_until([&] {
    if (const auto accepted = accept_local(listener); accepted.ok() && accepted->has_value()) ++calls;
    return !given_up.empty();
  }));
  EXPECT_EQ(given_up[0].first, peer);
  EXPECT_EQ(given_up[0].second, "it hangs up; perhaps it has no file descriptors left");
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(client->counters().dropped, 1u) << "what waited for it";
}

// One that had been met, and returns, and cannot make a link any more; while it is away nobody gives it up.
TEST_F(ShmEndpoint, WhoReturnsAndHangsUpIsGivenUpAsOfAFirstConnection) {
  std::optional<Recorder> server(endpoint());
  ASSERT_TRUE((*server)->listen(address_).ok());
  Recorder client(endpoint());
  std::vector<std::string> given_up;
  client->on_given_up([&](PeerId, const Error& why) { given_up.push_back(why.message); });
  const PeerId peer = client->connect(address_).value();
  client->send(peer, {text("hello"), {}});
  ASSERT_TRUE(world_.run_until([&] { return server->received.size() == 1; }));
  server.reset();
  const TimeNs away = steady_now();
  ASSERT_TRUE(world_.run_until([&] { return steady_now() - away > 2 * kSecond; }));
  EXPECT_TRUE(given_up.empty()) << given_up[0];

  const Descriptor listener = listen_local(name_, address_).value();
  int calls = 0;
  ASSERT_TRUE(world_.run_until([&] {
    if (const auto accepted = accept_local(listener); accepted.ok() && accepted->has_value()) ++calls;
    return !given_up.empty();
  }));
  EXPECT_EQ(given_up[0], "it hangs up; perhaps it has no file descriptors left");
  EXPECT_EQ(calls, 6);
}

TEST_F(ShmEndpoint, WhoSaysThatItCannotIsAskedOnce) {
  const Descriptor listener = listen_local(name_, address_).value();
  Recorder client(endpoint());
  std::vector<std::string> given_up;
  client->on_given_up([&](PeerId, const Error& why) { given_up.push_back(why.message); });
  ASSERT_TRUE(client->connect(address_).ok());
  int calls = 0;
  ASSERT_TRUE(world_.run_until([&] {
    if (const auto accepted = accept_local(listener); accepted.ok() && accepted->has_value()) {
      ++calls;
      EXPECT_TRUE(send_local(**accepted, {LocalMessage::Kind::kBroken}, {}));
    }
    return !given_up.empty();
  }));
  EXPECT_EQ(given_up[0], "the process at the other end cannot make a link, and its log says why");
  EXPECT_EQ(calls, 1);
}

// Who is let in has made the memory of the link; who lets it in has no room for it.
TEST_F(ShmEndpoint, WhoCannotMapALinkSaysWhyAndTellsTheOther) {
  Recorder server(endpoint());
  std::vector<std::string> given_up;
  server->on_given_up([&](PeerId peer, const Error& why) {
    EXPECT_EQ(peer, 0u) << "it had not spoken yet";
    given_up.push_back(why.message);
  });
  ASSERT_TRUE(server->listen(address_).ok());
  Stranger stranger(name_);
  stranger.say_hello();
  {
    const test::AddressSpaceLimit full(sizeof(LinkMemory::Layout) / 2);
    ASSERT_TRUE(world_.run_until([&] { return server->counters().refused == 1; }));
  }
  ASSERT_EQ(given_up.size(), 1u);
  EXPECT_EQ(given_up[0].substr(0, 10), "cannot map") << given_up[0];
  const auto answer = receive_local(stranger.socket());
  ASSERT_TRUE(answer.ok() && answer->has_value());
  EXPECT_EQ((*answer)->message.kind, LocalMessage::Kind::kBroken);
}

struct RecordHead {
  std::uint32_t kind = 1, header_bytes = 0;
  std::uint64_t body_bytes = 0;
  std::uint32_t segment = 0, loan = 0;
  std::uint64_t offset = 0;
};

// A wake-up costs more than a small answer; but nobody sleeps on while the next answer takes its time.
TEST_F(ShmEndpoint, ASleeperIsWokenOnceForSmallAnswersAndForEachLargeOne) {
  constexpr std::uint32_t kFrames = 6;
  const SharedMemory segment = SharedMemory::create("test", 1 << 20).value();
  for (const auto& [body_bytes, wakes] : {std::pair(2000u, 1u), std::pair(100'000u, kFrames)}) {
    Recorder server(endpoint());
    const std::string address = address_ + std::to_string(body_bytes);
    ASSERT_TRUE(server->listen(address).ok());
    Stranger stranger(name_ + std::to_string(body_bytes));
    std::uint32_t answered = 0;
    server->on_frame([&](PeerId peer, Frame) {
      stranger.fall_asleep();
      server->send(peer, {text("answer"), {}});
      ++answered;
    });
    stranger.say_hello();
    ASSERT_TRUE(send_local(stranger.socket(), {LocalMessage::Kind::kSegment, 0}, {segment.descriptor().number()}));
    RingWriter writer(stranger.lane().control, stranger.lane().data);
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      const RecordHead head{.kind = 2, .body_bytes = body_bytes, .loan = i};
      std::memcpy(writer.reserve(sizeof(head)).data(), &head, sizeof(head));
      (void)writer.publish();
    }
    ASSERT_TRUE(world_.run_until([&] { return answered == kFrames; }));
    EXPECT_EQ(stranger.woken(), wakes) << body_bytes;
  }
}

TEST_F(Strangers, ALinkOfAnotherSize) {
  Stranger stranger(name_);
  stranger.say_hello(4096);
  expect_refused(stranger);
}

TEST_F(Strangers, RecordsThatCannotBe) {
  using Head = RecordHead;
  const std::vector<std::vector<Head>> records = {
      {{.kind = 9}},
      {{.header_bytes = 1000}},
      {{.body_bytes = 5}},
      {{.kind = 3, .body_bytes = std::uint64_t{1} << 40}},
      {{.kind = 3, .body_bytes = 100}, {.kind = 1}},
      {{.kind = 4, .body_bytes = 100}},
      {{.kind = 2, .body_bytes = 100}},
      {{.kind = 2, .body_bytes = 100, .segment = ~0u}},
  };
  for (const auto& heads : records) {
    Stranger stranger(name_);
    stranger.say_hello();
    stranger.write(heads.data(), sizeof(Head));
    if (heads.size() > 1) {
      // A second record, behind the first.
      RingWriter writer(stranger.lane().control, stranger.lane().data);
      (void)writer.reserve(sizeof(Head));
      const auto room = writer.reserve(sizeof(Head));
      std::memcpy(room.data(), &heads[1], sizeof(Head));
      std::memcpy(stranger.lane().data + ring::kSizeBytes, &heads[0], sizeof(Head));
      (void)writer.publish();
    }
    expect_refused(stranger);
  }
}

TEST_F(Strangers, ARingOfNoise) {
  Stranger stranger(name_);
  stranger.say_hello();
  std::ranges::fill(stranger.lane().data, std::byte{0x5a});
  stranger.lane().control.tail.store(4096);
  expect_refused(stranger);
}

TEST_F(Strangers, ABodyOutsideOfWhatWasShared) {
  Stranger stranger(name_);
  stranger.say_hello();
  const SharedMemory segment = SharedMemory::create("test", 4096).value();
  ASSERT_TRUE(send_local(stranger.socket(), {LocalMessage::Kind::kSegment, 0}, {segment.descriptor().number()}));
  const struct {
    std::uint32_t kind = 2, header_bytes = 0;
    std::uint64_t body_bytes = 100;
    std::uint32_t segment = 0, loan = 0;
    std::uint64_t offset = 4000;
  } head;
  stranger.write(&head, sizeof(head));
  expect_refused(stranger);
}

}  // namespace
}  // namespace rubato::transport
