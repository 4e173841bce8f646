// A link of shared memory that breaks between two who live: both sides hear why, and what they say to each other goes
// on over the far lane.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/base/address_space_limit.h"
#include "tests/transport/loop_world.h"
#include "transport/shm/shm_endpoint.h"
#include "transport/two_lanes.h"
#include "transport/zmq/zmq_endpoint.h"

namespace rubato::transport {
namespace {

constexpr std::size_t kLarge = std::size_t{1} << 30;  // of a segment that cannot be mapped once more
constexpr std::size_t kFloats = 1000;

// A body whose sharers can be counted.
struct Counted {
  std::shared_ptr<const std::shared_ptr<float[]>> owner;
  explicit Counted(SharedHeap& heap) : owner(std::make_shared<const std::shared_ptr<float[]>>(heap.floats(kFloats))) {}
  Payload body() const { return {owner, std::as_bytes(std::span(owner->get(), kFloats))}; }
  [[nodiscard]] long lent() const { return owner.use_count() - 1; }
};

class BrokenLink : public testing::Test {
 protected:
  struct World final : LoopWorld {
    std::unique_ptr<Endpoint> endpoint(const std::string&) override { return nullptr; }
    std::string address(const std::string&) override { return {}; }
  } world_;

  std::unique_ptr<Endpoint> endpoint(const std::shared_ptr<SharedHeap>& heap, std::vector<std::string>& said) {
    return make_two_lane_endpoint({.near = std::move(make_shm_endpoint(world_.loop(), {.heap = heap})).value(),
                                   .far = std::move(make_zmq_endpoint(world_.loop())).value(),
                                   .reachable = shm_reachable,
                                   .on_fallback = [&](const std::string& text) { said.push_back(text); },
                                   .on_break = [&](const std::string& text) { said.push_back(text); },
                                   .on_stranded = [&](const Error& why) { said.push_back(why.message); }});
  }
  // What goes from here lies in so much memory that the other side cannot map it too.
  static std::shared_ptr<SharedHeap> large_heap() {
    return std::make_shared<SharedHeap>(SharedMemory::create("test", kLarge).value(), 0, [](const Error&) {});
  }
  void meet() {
    ASSERT_TRUE(server_->listen(address_).ok());
    peer_ = client_->connect(address_).value();
    client_->send(peer_, {text("hello"), {}});
    ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == 1; }));
    server_->send(server_.received[0].peer, {text("welcome"), {}});
    ASSERT_TRUE(world_.run_until([&] { return client_.received.size() == 1; }));
    ASSERT_TRUE(client_->without_wire(peer_));
    said_by_client_.clear();
    said_by_server_.clear();
  }
  // Both have said so once, and can talk to each other.
  void expect_the_far_lane() {
    ASSERT_TRUE(world_.run_until([&] { return !said_by_client_.empty() && !said_by_server_.empty(); }));
    EXPECT_FALSE(client_->without_wire(peer_));
    const std::size_t there = server_.received.size(), here = client_.received.size();
    client_->send(peer_, {text("still there?"), {}});
    ASSERT_TRUE(world_.run_until([&] { return server_.received.size() > there; }));
    server_->send(server_.received.back().peer, {text("yes"), {}});
    ASSERT_TRUE(world_.run_until([&] { return client_.received.size() > here; }));
    EXPECT_EQ(text(client_.received.back().frame.header), "yes");
    EXPECT_EQ(client_.received.back().peer, peer_) << "the same peer for who connected";
    EXPECT_NE(server_.received.back().peer, server_.received.front().peer) << "somebody new for who accepted";
    world_.settle();
    EXPECT_EQ(said_by_client_.size(), 1u);
    EXPECT_EQ(said_by_server_.size(), 1u);
  }

  const std::shared_ptr<SharedHeap> heap_of_client_ = large_heap(), heap_of_server_ = large_heap();
  const std::string name_ = "rubato-test-broken-" + std::to_string(::getpid());
  const std::string far_ = "ipc://@" + name_, address_ = far_ + ";shm://" + name_;
  std::vector<std::string> said_by_client_, said_by_server_;
  Recorder server_{endpoint(heap_of_server_, said_by_server_)}, client_{endpoint(heap_of_client_, said_by_client_)};
  PeerId peer_ = 0;
};

TEST_F(BrokenLink, WhoConnectedCannotMapWhatTheOtherSideShares) {
  meet();
  const test::AddressSpaceLimit full(kLarge / 2);
  server_->send(server_.received[0].peer, {text("weights"), Counted(*heap_of_server_).body()});
  expect_the_far_lane();
  const std::string why = "no shared memory with " + far_ + ": cannot map";
  EXPECT_EQ(said_by_client_[0].substr(0, why.size()), why);
  EXPECT_EQ(said_by_server_[0],
            "no shared memory with one who had connected here: the process at the other end cannot go on with it, and "
            "its log says why");
}

TEST_F(BrokenLink, WhoAcceptedCannotMapWhatTheOtherSideShares) {
  meet();
  const test::AddressSpaceLimit full(kLarge / 2);
  client_->send(peer_, {text("gradient"), Counted(*heap_of_client_).body()});
  expect_the_far_lane();
  EXPECT_EQ(said_by_client_[0], "no shared memory with " + far_ +
                                    ": the process at the other end cannot go on with it, and its log says why");
  const std::string why = "no shared memory with one who had connected here: cannot map";
  EXPECT_EQ(said_by_server_[0].substr(0, why.size()), why);
}

TEST_F(BrokenLink, WhoAcceptedCannotMapTheFirstThingThatComes) {
  ASSERT_TRUE(server_->listen(address_).ok());
  peer_ = client_->connect(address_).value();
  const test::AddressSpaceLimit full(kLarge / 2);
  client_->send(peer_, {text("gradient"), Counted(*heap_of_client_).body()});
  ASSERT_TRUE(world_.run_until([&] { return !said_by_client_.empty() && !said_by_server_.empty(); }));
  client_->send(peer_, {text("gradient"), Counted(*heap_of_client_).body()});
  ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == 1; }));
  EXPECT_EQ(server_.received[0].frame.body.size(), kFloats * sizeof(float)) << "it is copied";
}

// Bytes that somebody reads must not be written again, whoever breaks the link; and nothing is kept for ever.
TEST_F(BrokenLink, WhatIsReadStaysUntilItIsReadNoMore) {
  meet();
  const Counted read_there(*heap_of_client_);
  client_->send(peer_, {text("gradient"), read_there.body()});
  ASSERT_TRUE(world_.run_until([&] { return server_.received.size() == 2; }));
  const Counted never_read(*heap_of_server_);
  {
    const test::AddressSpaceLimit full(kLarge / 2);
    server_->send(server_.received[0].peer, {text("weights"), never_read.body()});
    expect_the_far_lane();
  }
  EXPECT_EQ(read_there.lent(), 1) << "the server reads it";
  EXPECT_EQ(never_read.lent(), 0) << "the client reads nothing";
  server_.received.clear();
  EXPECT_TRUE(world_.run_until([&] { return read_there.lent() == 0; }));
}

// Nobody would answer over the far lane either; but who returns listens at the near address again.
TEST_F(BrokenLink, WhoDiesIsNotLookedForOnTheFarLane) {
  meet();
  { const Recorder dies(std::exchange(server_.endpoint, nullptr)); }
  world_.settle();
  EXPECT_EQ(said_by_client_.size(), 0u);
  EXPECT_TRUE(client_->without_wire(peer_));
}

}  // namespace
}  // namespace rubato::transport
