// Which lane is taken, and what is said where it is not the near one.
#include "transport/two_lanes.h"

#include <gtest/gtest.h>

#include "tests/transport/world.h"
#include "transport/sim/sim_network.h"

namespace rubato::transport {
namespace {

// Both lanes are simulated networks, which count what they carry.
struct Lanes {
  SimNetwork near{1}, far{2};
  bool lets_in = true;
  std::vector<std::string> said;

  std::unique_ptr<Endpoint> endpoint(const std::string& name) {
    return make_two_lane_endpoint({.near = near.endpoint(name),
                                   .far = far.endpoint(name),
                                   .reachable = [this](const std::string&) -> Status {
                                     if (lets_in) return {};
                                     return Error{Cause::kRefused, "it is a process of user 7"};
                                   },
                                   .on_fallback = [this](const std::string& text) { said.push_back(text); }});
  }
  void run() {
    while (near.step() || far.step()) {
    }
  }
};

class TwoLanesTest : public testing::Test {
 protected:
  Lanes lanes_;
  Recorder server_{lanes_.endpoint("server")}, client_{lanes_.endpoint("client")};
};

TEST_F(TwoLanesTest, TheNearLaneWhereItCanBeReached) {
  const auto address = server_->listen("sim://server;sim://server");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(*address, "sim://server;sim://server");
  const PeerId peer = client_->connect(*address).value();
  client_->send(peer, {text("hello"), {}});
  lanes_.run();
  ASSERT_EQ(server_.received.size(), 1u);
  server_->send(server_.received[0].peer, {text("and back"), {}});
  lanes_.run();
  ASSERT_EQ(client_.received.size(), 1u);
  EXPECT_EQ(client_.received[0].peer, peer);
  EXPECT_EQ(lanes_.near.counters().delivered, 2u);
  EXPECT_EQ(lanes_.far.counters().delivered, 0u);
  EXPECT_EQ(client_->counters().frames_sent, 1u);
  EXPECT_EQ(lanes_.said.size(), 0u);
}

TEST_F(TwoLanesTest, OtherwiseTheFarOneAndTheReasonIsSaid) {
  ASSERT_TRUE(server_->listen("sim://server;sim://server").ok());
  lanes_.lets_in = false;
  const PeerId peer = client_->connect("sim://server;sim://server").value();
  client_->send(peer, {text("hello"), {}});
  lanes_.run();
  EXPECT_EQ(lanes_.far.counters().delivered, 1u);
  EXPECT_EQ(lanes_.near.counters().delivered, 0u);
  ASSERT_EQ(lanes_.said.size(), 1u);
  EXPECT_EQ(lanes_.said[0], "no shared memory with sim://server: it is a process of user 7");
}

TEST_F(TwoLanesTest, AnAddressWithoutANearLane) {
  EXPECT_EQ(server_->listen("sim://server").value(), "sim://server");
  const PeerId peer = client_->connect("sim://server").value();
  client_->send(peer, {text("hello"), {}});
  lanes_.run();
  EXPECT_EQ(lanes_.far.counters().delivered, 1u);
  EXPECT_EQ(lanes_.said.size(), 0u);
}

TEST_F(TwoLanesTest, PeersOfBothLanesAreToldApart) {
  ASSERT_TRUE(server_->listen("sim://server;sim://server").ok());
  const PeerId near = client_->connect("sim://server;sim://server").value();
  const PeerId far = client_->connect("sim://server").value();
  EXPECT_NE(near, far);
  client_->send(near, {text("near"), {}});
  client_->send(far, {text("far"), {}});
  lanes_.run();
  ASSERT_EQ(server_.received.size(), 2u);
  EXPECT_NE(server_.received[0].peer, server_.received[1].peer);
  client_->forget(near);
  client_->send(near, {text("lost"), {}});
  client_->send(far, {text("far"), {}});
  lanes_.run();
  EXPECT_EQ(server_.received.size(), 3u);
  EXPECT_EQ(client_->counters().dropped, 1u);
}

}  // namespace
}  // namespace rubato::transport
