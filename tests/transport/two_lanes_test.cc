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
                                   .on_fallback = [this](const std::string& text) { said.push_back(text); },
                                   .on_break = nullptr,
                                   .on_stranded = nullptr});
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

// A simulated network in which connections can be given up.
class GivesUp final : public Endpoint {
 public:
  explicit GivesUp(std::unique_ptr<Endpoint> inner) : inner_(std::move(inner)) {}
  void on_frame(FrameHandler handler) override { inner_->on_frame(std::move(handler)); }
  void on_given_up(GivenUpHandler handler) override { give_up = std::move(handler); }
  Result<std::string> listen(const std::string& address) override { return inner_->listen(address); }
  Result<PeerId> connect(const std::string& address) override { return last = inner_->connect(address).value(); }
  void send(PeerId peer, Frame frame) override { inner_->send(peer, std::move(frame)); }
  void forget(PeerId peer) override { inner_->forget(peer); }
  bool without_wire(PeerId /*peer*/) const override { return true; }
  EndpointCounters counters() const override { return inner_->counters(); }

  GivenUpHandler give_up;
  PeerId last = 0;

 private:
  std::unique_ptr<Endpoint> inner_;
};

TEST_F(TwoLanesTest, ANearConnectionThatCannotBeMadeMovesToTheFarLaneAndStaysTheSamePeer) {
  ASSERT_TRUE(server_->listen("sim://server;sim://server").ok());
  auto near = std::make_unique<GivesUp>(lanes_.near.endpoint("mover"));
  GivesUp* const mover_near = near.get();
  Recorder mover(make_two_lane_endpoint({.near = std::move(near),
                                         .far = lanes_.far.endpoint("mover"),
                                         .reachable = [](const std::string&) -> Status { return {}; },
                                         .on_fallback = nullptr,
                                         .on_break = [this](const std::string& why) { lanes_.said.push_back(why); },
                                         .on_stranded = nullptr}));
  const PeerId peer = mover->connect("sim://server;sim://server").value();
  EXPECT_TRUE(mover->without_wire(peer));
  mover_near->give_up(mover_near->last, Error{Cause::kPeerLost, "it hangs up"});
  ASSERT_EQ(lanes_.said.size(), 1u);
  EXPECT_EQ(lanes_.said[0], "no shared memory with sim://server: it hangs up");
  EXPECT_FALSE(mover->without_wire(peer)) << "over the far lane bytes are on a wire";

  mover->send(peer, {text("hello"), {}});
  lanes_.run();
  ASSERT_EQ(server_.received.size(), 1u);
  EXPECT_EQ(lanes_.far.counters().delivered, 1u);
  server_->send(server_.received[0].peer, {text("and back"), {}});
  lanes_.run();
  ASSERT_EQ(mover.received.size(), 1u);
  EXPECT_EQ(mover.received[0].peer, peer);

  mover->forget(peer);
  mover->send(peer, {text("lost"), {}});
  lanes_.run();
  EXPECT_EQ(server_.received.size(), 1u);
}

TEST_F(TwoLanesTest, WhoFindsNoFarLaneEitherSaysSo) {
  auto near = std::make_unique<GivesUp>(lanes_.near.endpoint("mover"));
  GivesUp* const mover_near = near.get();
  std::vector<std::string> stranded;
  Recorder mover(make_two_lane_endpoint({.near = std::move(near),
                                         .far = lanes_.far.endpoint("mover"),
                                         .reachable = [](const std::string&) -> Status { return {}; },
                                         .on_fallback = nullptr,
                                         .on_break = [this](const std::string& why) { lanes_.said.push_back(why); },
                                         .on_stranded = [&](const Error& why) { stranded.push_back(why.message); }}));
  ASSERT_TRUE(mover->connect("nonsense;sim://server").ok());
  mover_near->give_up(mover_near->last, Error{Cause::kPeerLost, "it broke"});
  EXPECT_EQ(lanes_.said.size(), 1u);
  ASSERT_EQ(stranded.size(), 1u);
  EXPECT_EQ(stranded[0].substr(0, 31), "no way is left to nonsense: 'no") << stranded[0];
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
