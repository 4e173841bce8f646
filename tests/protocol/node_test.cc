// What a Node counts, and for whom.
#include "protocol/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/hand_endpoint.h"

namespace rubato::protocol {
namespace {

using testing::ElementsAre;

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

// A process of two shards. What reached neither is said once, by the first; each adds what it refused itself.
TEST(Node, RefusedFramesOfAProcessAreReportedOnce) {
  HandEndpoint endpoint;
  NoteListener listener;
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

TEST(Node, OfStrangersWithoutEndOnlyTheFirstAreNamed) {
  HandEndpoint endpoint;
  NoteListener listener;
  Node node(endpoint, kJob, {[] { return TimeNs{0}; }, [](TimeNs) {}}, listener);
  BeatingCore core(server_node(0), 0);
  node.host(core);
  for (transport::PeerId stranger = 1; stranger <= 1000; ++stranger) endpoint.deliver(stranger, {});
  EXPECT_EQ(node.refused(), 1000u);
  EXPECT_EQ(listener.notes.size(), 64u);
}

// Says what it was told to say whenever a message comes, and keeps those.
class RepeatingCore final : public Core {
 public:
  RepeatingCore(NodeId self, std::vector<Outbox::Outgoing> answers) : self_(self), answers_(std::move(answers)) {}
  [[nodiscard]] Identity identity() const override { return {self_, 1, 1, 1}; }
  void start(TimeNs /*now*/, Outbox& out) override { out.messages = answers_; }
  void receive(TimeNs /*now*/, const Envelope& /*envelope*/, Body body, Outbox& out) override {
    received.push_back(std::move(body));
    if (received.size() == 1) out.messages = answers_;
  }
  void wake(TimeNs /*now*/, Outbox& /*out*/) override {}
  [[nodiscard]] TimeNs deadline() const override { return kNever; }

  std::vector<Body> received;

 private:
  const NodeId self_;
  const std::vector<Outbox::Outgoing> answers_;
};

// What a node makes of the messages that its core sends, as "push+pull, ready".
std::string frames_of(std::vector<Outbox::Outgoing> messages) {
  HandEndpoint endpoint;
  NoteListener listener;
  Node node(endpoint, kJob, {[] { return TimeNs{0}; }, [](TimeNs) {}}, listener);
  RepeatingCore core(server_node(0), std::move(messages));
  node.host(core);
  EXPECT_TRUE(node.connect(worker_node(0), "a").ok() && node.connect(worker_node(1), "b").ok());
  node.start();
  std::string text;
  for (const transport::Frame& frame : endpoint.sent) {
    const Result<Decoded> decoded = decode(frame, kJob);
    EXPECT_TRUE(decoded.ok());
    text += fmt::format("{}{} for {}{}", text.empty() ? "" : ", ", type_name(decoded->header.type),
                        decoded->header.to.name(), decoded->behind ? " and more" : "");
  }
  return text;
}

TEST(Node, TwoMessagesThatBelongTogetherGoInOneFrame) {
  const NodeId first = worker_node(0), second = worker_node(1);
  const Payload floats = Payload::of_floats(std::vector<float>{1.0f});
  const Push push{.slice = 3, .clock = 5, .node = {}, .samples = 1, .gradient = floats};
  const Pull pull{.slice = 3, .clock = 6, .floor = 4};
  const PushAck ack{.slice = 3, .clock = 5, .node = {}, .fate = Fate::kApplied, .version = 9, .floor = 6};
  const Weights weights{3, 6, 9, 6, 0, floats};
  EXPECT_EQ(frames_of({{first, 0, push}, {first, 0, pull}}), "push for worker-0 and more");
  EXPECT_EQ(frames_of({{first, 0, push}, {second, 0, pull}}), "push for worker-0, pull for worker-1");
  EXPECT_EQ(frames_of({{first, 0, push}, {first, 2, pull}}), "push for worker-0, pull for worker-0")
      << "on another connection";
  EXPECT_EQ(frames_of({{first, 0, push}, {first, 0, Ready{}}, {first, 0, pull}}),
            "push for worker-0, ready for worker-0, pull for worker-0");
  EXPECT_EQ(frames_of({{first, 0, pull}, {first, 0, push}}), "pull for worker-0, push for worker-0");
  EXPECT_EQ(frames_of({{first, 0, ack}, {second, 0, ack}, {first, 0, weights}, {second, 0, weights}}),
            "push acknowledgement for worker-0 and more, push acknowledgement for worker-1 and more");
  EXPECT_EQ(frames_of({{first, 0, ack}, {second, 0, weights}}),
            "push acknowledgement for worker-0, weights for worker-1");
}

// A core hears one message after the other, and its answers to both are one Outbox.
TEST(Node, AFrameOfTwoMessagesIsTwoMessagesToACore) {
  HandEndpoint endpoint;
  NoteListener listener;
  Node node(endpoint, kJob, {[] { return TimeNs{0}; }, [](TimeNs) {}}, listener);
  const Payload floats = Payload::of_floats(std::vector<float>{1.0f});
  RepeatingCore core(server_node(0), {});
  node.host(core);
  const Stamp stamp{kJob, {worker_node(0), 1, 1, 1}, server_node(0), 1, true};
  const Push push{.slice = 3, .clock = 5, .node = {}, .samples = 1, .gradient = floats};
  const Body behind = Pull{.slice = 3, .clock = 6, .floor = 4};
  endpoint.deliver(2, encode(stamp, push, &behind));
  ASSERT_EQ(core.received.size(), 2u);
  EXPECT_EQ(std::get<Push>(core.received[0]).clock, 5);
  EXPECT_EQ(std::get<Pull>(core.received[1]).clock, 6);
  EXPECT_EQ(std::get<Pull>(core.received[1]).floor, 4);
}

// Answers everything with a note, which is told before messages are sent.
class NotingCore final : public Core {
 public:
  [[nodiscard]] Identity identity() const override { return {server_node(0), 1, 1, 1}; }
  void start(TimeNs /*now*/, Outbox& /*out*/) override {}
  void receive(TimeNs /*now*/, const Envelope& /*envelope*/, Body /*body*/, Outbox& out) override {
    out.note(Level::kInfo, "done");
  }
  void wake(TimeNs /*now*/, Outbox& /*out*/) override {}
  [[nodiscard]] TimeNs deadline() const override { return kNever; }
};

class UseListener final : public NodeListener {
 public:
  explicit UseListener(const std::shared_ptr<std::vector<float>>& bytes) : bytes_(bytes) {}
  void on_trace(TimeNs /*now*/, NodeId /*node*/, const TraceEvent& /*event*/) override {}
  void on_note(NodeId /*node*/, Level /*level*/, const std::string& /*text*/) override { uses = bytes_.use_count(); }
  void on_end(NodeId /*node*/, int /*exit_code*/, const std::string& /*text*/) override {}

  long uses = -1;

 private:
  const std::weak_ptr<std::vector<float>> bytes_;
};

// Whoever reads an answer may write again where the message lay that it answers, and need not take other memory.
TEST(Node, WhatACoreLetsGoOfIsGivenBackBeforeItsAnswerGoes) {
  HandEndpoint endpoint;
  auto bytes = std::make_shared<std::vector<float>>(64, 1.0f);
  UseListener listener(bytes);
  Node node(endpoint, kJob, {[] { return TimeNs{0}; }, [](TimeNs) {}}, listener);
  NotingCore core;
  node.host(core);
  const Stamp stamp{kJob, {worker_node(0), 1, 1, 1}, server_node(0), 1, false};
  transport::Frame frame = encode(stamp, Push{.slice = 3,
                                              .clock = 5,
                                              .node = {},
                                              .samples = 1,
                                              .gradient = Payload(bytes, std::as_bytes(std::span(*bytes)))});
  bytes.reset();
  endpoint.deliver(2, std::move(frame));
  EXPECT_EQ(listener.uses, 0);
}

}  // namespace
}  // namespace rubato::protocol
