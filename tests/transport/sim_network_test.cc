// What the simulated network adds to the contract: virtual time, faults at the rates asked for, and the
// same events for the same seed.
#include "transport/sim/sim_network.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "base/hash.h"
#include "tests/transport/world.h"

namespace rubato::transport {
namespace {

using namespace std::string_literals;

// A client that sends numbered frames to a server.
class SimNetworkTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_->listen("sim://server").ok());
    peer_ = client_->connect("sim://server").value();
  }
  void send(int count) {
    for (int i = 0; i < count; ++i) client_->send(peer_, {text(std::to_string(sent_++)), {}});
  }
  void finish() {
    while (network_.step()) {
    }
  }
  std::vector<int> received() const {
    std::vector<int> numbers;
    for (const auto& [peer, frame] : server_.received) numbers.push_back(std::stoi(text(frame.header)));
    return numbers;
  }
  // Four standard deviations of the count of n trials.
  static void expect_rate(std::uint64_t count, double n, double p) {
    EXPECT_NEAR(static_cast<double>(count), n * p, 4.0 * std::sqrt(n * p * (1.0 - p)));
  }

  SimNetwork network_{7};
  Recorder server_{network_.endpoint("server")}, client_{network_.endpoint("client")};
  PeerId peer_ = 0;
  int sent_ = 0;
};

TEST_F(SimNetworkTest, TimeMovesFromEventToEvent) {
  std::vector<std::pair<TimeNs, char>> happened;
  const auto note = [&](char name) { return [&, name] { happened.emplace_back(network_.now(), name); }; };
  network_.schedule(20, note('c'));
  network_.schedule(10, note('a'));
  network_.schedule(10, note('b'));
  network_.schedule(30, [&] { network_.schedule(5, note('d')); });
  EXPECT_EQ(network_.next_event(), 10);
  network_.run_until(20);
  EXPECT_EQ(network_.now(), 20);
  network_.run_until(100);
  EXPECT_EQ(network_.now(), 100);
  EXPECT_EQ(network_.next_event(), kNever);
  EXPECT_FALSE(network_.step());
  EXPECT_EQ(happened, (std::vector<std::pair<TimeNs, char>>{{10, 'a'}, {10, 'b'}, {20, 'c'}, {30, 'd'}}));
}

TEST_F(SimNetworkTest, KeepsOrderWhateverTheDelays) {
  network_.set_link("client", "server", {.delay = Delay::exponential(0, kMillisecond)});
  for (int burst = 0; burst < 100; ++burst) {
    send(10);
    network_.run_until(network_.now() + 300 * kMicrosecond);
  }
  finish();
  const auto numbers = received();
  ASSERT_EQ(numbers.size(), 1000);
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
}

TEST_F(SimNetworkTest, LosesAtTheRateGiven) {
  network_.set_link("client", "server", {.loss = 0.1});
  send(20'000);
  finish();
  expect_rate(network_.counters().lost, 20'000, 0.1);
  EXPECT_EQ(server_.received.size() + network_.counters().lost, 20'000);
}

TEST_F(SimNetworkTest, DuplicatesAtTheRateGiven) {
  network_.set_link("client", "server", {.duplication = 0.05});
  send(20'000);
  finish();
  expect_rate(network_.counters().duplicated, 20'000, 0.05);
  EXPECT_EQ(server_.received.size(), 20'000 + network_.counters().duplicated);
}

TEST_F(SimNetworkTest, ReordersOnlyWhereAskedTo) {
  network_.set_link("client", "server", {.reordering = 0.2, .held_up = Delay::constant(kMillisecond)});
  for (int i = 0; i < 20'000; ++i) {
    send(1);
    network_.run_until(network_.now() + 10 * kMicrosecond);
  }
  finish();
  expect_rate(network_.counters().reordered, 20'000, 0.2);
  const auto numbers = received();
  ASSERT_EQ(numbers.size(), 20'000);
  std::uint64_t late = 0;
  int highest = -1;
  for (int number : numbers) {
    late += number < highest;
    highest = std::max(highest, number);
  }
  expect_rate(late, 20'000, 0.2);
  EXPECT_EQ(server_->counters().frames_received, 20'000);
}

TEST_F(SimNetworkTest, ABandwidthSpacesFrames) {
  network_.set_link("client", "server", {.delay = Delay::constant(kMillisecond), .bytes_per_s = 1e6});
  for (int i = 0; i < 3; ++i) client_->send(peer_, {{}, Payload::of(std::vector<std::byte>(1000))});
  std::vector<TimeNs> times;
  while (network_.step()) times.push_back(network_.now());
  EXPECT_EQ(times, (std::vector<TimeNs>{2 * kMillisecond, 3 * kMillisecond, 4 * kMillisecond}));
}

TEST_F(SimNetworkTest, ACutTakesWhatIsSentOrArrivesInIt) {
  network_.set_default_link({.delay = Delay::constant(10)});
  network_.partition(std::array{"client"s}, std::array{"server"s, "other"s}, 100, 200);
  const auto send_at = [&](TimeNs time) { network_.schedule(time, [this] { send(1); }); };
  for (TimeNs time : {0, 89, 90, 150, 195, 199, 200}) send_at(time);
  finish();
  EXPECT_EQ(received(), (std::vector<int>{0, 1, 6}));
  EXPECT_EQ(network_.counters().cut, 4);
}

TEST_F(SimNetworkTest, ACutMayHaveOneDirection) {
  send(1);
  finish();
  network_.cut("server", "client", network_.now(), kNever);
  server_->send(server_.received[0].peer, {text("deaf"), {}});
  send(1);
  finish();
  EXPECT_EQ(server_.received.size(), 2);
  EXPECT_TRUE(client_.received.empty());
}

TEST_F(SimNetworkTest, APausedHostGetsItsFramesAfterwardsInOrder) {
  network_.pause("server");
  EXPECT_TRUE(network_.paused("server"));
  send(3);
  finish();
  EXPECT_TRUE(server_.received.empty());
  // The next ones arrive at the very moment of the resumption.
  send(2);
  network_.schedule(network_.now() + 50 * kMicrosecond, [&] { network_.resume("server"); });
  finish();
  send(1);
  finish();
  EXPECT_EQ(received(), (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST_F(SimNetworkTest, ADeadHostNeitherHearsNorSpeaksUntilItLivesAgain) {
  send(1);
  finish();
  network_.kill("server");
  server_->send(server_.received[0].peer, {text("from the grave"), {}});
  send(2);
  finish();
  EXPECT_EQ(server_.received.size(), 1);
  EXPECT_TRUE(client_.received.empty());
  EXPECT_EQ(network_.counters().vanished, 2);

  Recorder reborn(network_.endpoint("server"));
  send(1);
  finish();
  EXPECT_TRUE(reborn.received.empty());
  ASSERT_TRUE(reborn->listen("sim://server").ok());
  finish();
  ASSERT_EQ(reborn.received.size(), 1);
  EXPECT_EQ(text(reborn.received[0].frame.header), "3");
  EXPECT_NE(reborn.received[0].peer, server_.received[0].peer);
  reborn->send(reborn.received[0].peer, {text("back"), {}});
  finish();
  ASSERT_EQ(client_.received.size(), 1);
  EXPECT_EQ(client_.received[0].peer, peer_);
}

TEST_F(SimNetworkTest, ADeadHostsConnectionsAreNotItsSuccessors) {
  send(1);
  finish();
  network_.kill("client");
  Recorder reborn(network_.endpoint("client"));
  server_->send(server_.received[0].peer, {text("for the dead one"), {}});
  finish();
  EXPECT_TRUE(reborn.received.empty());
}

// A storm of frames between five hosts over links with every fault; the hash of all that arrived where,
// from whom and when.
std::string storm(std::uint64_t seed, bool extra_link = false) {
  SimNetwork network(seed);
  network.set_default_link({.delay = Delay::lognormal(100 * kMicrosecond, 1.0),
                            .loss = 0.05,
                            .duplication = 0.05,
                            .reordering = 0.1,
                            .held_up = Delay::exponential(10, 200 * kMicrosecond)});
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  network.partition(std::array{"a"s}, std::array{"b"s}, kMillisecond, 2 * kMillisecond);
  Sha256 log;
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  std::vector<std::vector<PeerId>> peers(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    endpoints.push_back(network.endpoint(names[i]));
    Endpoint& self = *endpoints.back();
    self.on_frame([&, i](PeerId peer, Frame frame) {
      const auto entry = std::to_string(network.now()) + text(frame.body) + names[i] + text(frame.header);
      log.update(std::as_bytes(std::span(entry)));
      const int hops = std::stoi(text(frame.header));
      if (hops > 0) endpoints[i]->send(peer, {text(std::to_string(hops - 1)), text(names[i])});
    });
    EXPECT_TRUE(self.listen("sim://" + names[i]).ok());
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    for (const auto& to : names) peers[i].push_back(endpoints[i]->connect("sim://" + to).value());
  std::unique_ptr<Endpoint> other = network.endpoint("x"), another = network.endpoint("y");
  for (auto* endpoint : {&other, &another}) (*endpoint)->on_frame([](PeerId, Frame) {});
  EXPECT_TRUE(another->listen("sim://y").ok());
  const PeerId unrelated = other->connect("sim://y").value();
  for (int burst = 0; burst < 20; ++burst)
    network.schedule(burst * 100 * kMicrosecond, [&] {
      for (std::size_t i = 0; i < names.size(); ++i)
        for (const PeerId peer : peers[i]) endpoints[i]->send(peer, {text("20"), text(names[i])});
      if (extra_link) other->send(unrelated, {text("0"), {}});
    });
  while (network.step()) {
  }
  EXPECT_GT(network.counters().delivered, 2000);
  return log.hex();
}

TEST(SimNetworkDeterminism, TheSameSeedGivesTheSameEvents) {
  EXPECT_EQ(storm(1), storm(1));
  EXPECT_NE(storm(1), storm(2));
}

TEST(SimNetworkDeterminism, TrafficOnOneLinkChangesNoOther) { EXPECT_EQ(storm(3), storm(3, true)); }

TEST(Delay, HasTheMeanAndTheBoundsGiven) {
  constexpr int kDraws = 100'000;
  const auto mean = [](const Delay& delay, TimeNs least, TimeNs most) {
    RandomStream random(stream_key(1, "delay"));
    double sum = 0.0;
    for (int i = 0; i < kDraws; ++i) {
      const TimeNs drawn = delay.draw(random);
      EXPECT_GE(drawn, least);
      EXPECT_LE(drawn, most);
      sum += static_cast<double>(drawn);
    }
    return sum / kDraws;
  };
  EXPECT_EQ(mean(Delay::constant(5000), 5000, 5000), 5000.0);
  EXPECT_NEAR(mean(Delay::uniform(1000, 3000), 1000, 3000), 2000.0, 10.0);
  EXPECT_NEAR(mean(Delay::exponential(1000, 500), 1000, kSecond), 1500.0, 10.0);
  EXPECT_NEAR(mean(Delay::lognormal(10'000, 0.5), 0, kSecond), 10'000 * std::exp(0.125), 100.0);
}

}  // namespace
}  // namespace rubato::transport
