// What a Node counts, and for whom.
#include "protocol/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato::protocol {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kJob = 7;

// Takes frames by hand, and keeps what is sent.
class HandEndpoint final : public transport::Endpoint {
 public:
  void on_frame(FrameHandler handler) override { deliver = std::move(handler); }
  Result<std::string> listen(const std::string& address) override { return address; }
  Result<transport::PeerId> connect(const std::string& /*address*/) override { return transport::PeerId{1}; }
  void send(transport::PeerId /*peer*/, transport::Frame frame) override { sent.push_back(std::move(frame)); }
  void forget(transport::PeerId /*peer*/) override {}
  [[nodiscard]] transport::EndpointCounters counters() const override { return {.refused = thrown_out}; }

  FrameHandler deliver;
  std::vector<transport::Frame> sent;
  std::uint64_t thrown_out = 0;
};

// Says at each wake-up that it has refused so many messages itself.
class BeatingCore final : public Core {
 public:
  BeatingCore(NodeId self, std::uint64_t refused) : self_(self), refused_(refused) {}
  [[nodiscard]] Identity identity() const override { return {self_, 1, 1, 1}; }
  void start(TimeNs /*now*/, Outbox& /*out*/) override {}
  void receive(TimeNs /*now*/, const Envelope& /*envelope*/, Body /*body*/, Outbox& /*out*/) override {}
  void wake(TimeNs /*now*/, Outbox& out) override {
    Heartbeat beat;
    beat.refused_frames = refused_;
    out.send(kSchedulerNode, beat);
  }
  [[nodiscard]] TimeNs deadline() const override { return 0; }

 private:
  const NodeId self_;
  const std::uint64_t refused_;
};

class Listener final : public NodeListener {
 public:
  void on_trace(TimeNs /*now*/, NodeId /*node*/, const TraceEvent& /*event*/) override {}
  void on_note(NodeId /*node*/, Level /*level*/, const std::string& text) override { notes.push_back(text); }
  void on_end(NodeId /*node*/, int /*exit_code*/, const std::string& /*text*/) override {}
  std::vector<std::string> notes;
};

// A process of two shards. What reached neither is said once, by the first; each adds what it refused itself.
TEST(Node, RefusedFramesOfAProcessAreReportedOnce) {
  HandEndpoint endpoint;
  Listener listener;
  Node node(endpoint, kJob, {[] { return TimeNs{0}; }, [](TimeNs) {}}, listener);
  BeatingCore first(server_node(0), 10), second(server_node(1), 100);
  node.host(first);
  node.host(second);
  ASSERT_TRUE(node.connect(kSchedulerNode, "scheduler").ok());

  endpoint.thrown_out = 3;
  endpoint.deliver(2, {});
  const Stamp for_nobody{kJob, {kSchedulerNode, 1, 1, 1}, server_node(9), 1, true};
  endpoint.deliver(2, encode(for_nobody, Beat{}));
  EXPECT_EQ(node.refused(), 5u);
  EXPECT_EQ(listener.notes.size(), 1u) << "once for each connection";

  node.wake();
  std::vector<std::uint64_t> reported;
  for (const transport::Frame& frame : endpoint.sent) {
    const Result<Decoded> decoded = decode(frame, kJob);
    ASSERT_TRUE(decoded.ok());
    reported.push_back(std::get<Heartbeat>(decoded->body).refused_frames);
  }
  EXPECT_THAT(reported, ElementsAre(15, 100));
}

}  // namespace
}  // namespace rubato::protocol
