// What a Node, and a core on a thread of its own, draw on a timeline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/hand_endpoint.h"

namespace rubato::protocol {
namespace {

using testing::ElementsAre;

// Applies every push, and takes five nanoseconds for it.
class ApplyingCore final : public Core {
 public:
  explicit ApplyingCore(TimeNs& time) : time_(time) {}
  [[nodiscard]] Identity identity() const override { return {server_node(0), 1, 1, 1}; }
  void start(TimeNs /*now*/, Outbox& /*out*/) override {}
  void receive(TimeNs /*now*/, const Envelope& envelope, Body body, Outbox& out) override {
    time_ += 5;
    const auto* push = std::get_if<Push>(&body);
    if (push != nullptr)
      out.reply(envelope, PushAck{.slice = push->slice, .clock = push->clock, .node = {}, .fate = Fate::kApplied});
  }
  void wake(TimeNs /*now*/, Outbox& /*out*/) override {}
  [[nodiscard]] TimeNs deadline() const override { return kNever; }

 private:
  TimeNs& time_;
};

std::string line(const timeline::Span& span) {
  return fmt::format("{}..{} {} {} slice {} clock {} {}{}", span.begin, span.end, span.what, span.of.text(), span.slice,
                     span.clock, span.peer.name(), span.applied ? " applied" : "");
}

Grant grant_of(Clock clock) {
  StepGrant step;
  step.clock = clock;
  Grant grant;
  grant.steps.push_back(std::move(step));
  return grant;
}

class NodeTimeline : public testing::Test {
 protected:
  void deliver(const Body& body) {
    endpoint_.deliver(2, encode({kJob, {worker_node(1), 1, 1, 1}, server_node(0), 1, true}, body));
  }
  std::vector<std::string> drawn() {
    std::vector<std::string> lines;
    for (const timeline::Span& span : lane_.spans()) lines.push_back(line(span));
    return lines;
  }

  TimeNs time_ = 100;
  timeline::Lane lane_{"loop", {.first = 3, .count = 2}};
  HandEndpoint endpoint_;
  NoteListener listener_;
  ApplyingCore core_{time_};
  Node node_{endpoint_, kJob, {[this] { return time_; }, [](TimeNs) {}}, listener_, {.lane = &lane_}};
};

TEST_F(NodeTimeline, ShowsWhatCameAndWhatWentInTheWindow) {
  node_.host(core_);
  for (Clock clock = 2; clock < 6; ++clock) deliver(Push{.slice = 8, .clock = clock, .node = {}, .gradient = {}});
  EXPECT_THAT(drawn(), ElementsAre("110..110 sent ack slice 8 clock 3 worker-1",
                                   "105..110 received push slice 8 clock 3 worker-1 applied",
                                   "115..115 sent ack slice 8 clock 4 worker-1",
                                   "110..115 received push slice 8 clock 4 worker-1 applied"));
}

TEST_F(NodeTimeline, LeavesOutWhatIsOfNoStep) {
  node_.host(core_);
  deliver(Beat{.clock = 3});
  deliver(Pull{.slice = 1, .clock = 3});
  EXPECT_THAT(drawn(), ElementsAre("105..110 received pull slice 1 clock 3 worker-1"));
}

TEST_F(NodeTimeline, ACallIsOfTheStepThatItSendsSomethingOf) {
  node_.host(core_);
  node_.enter(core_, [&](TimeNs /*now*/, Outbox& out) {
    time_ += 2;
    out.send(worker_node(0), grant_of(4));
  });
  node_.enter(core_, [&](TimeNs /*now*/, Outbox& out) { out.send(worker_node(0), Beat{.clock = 4}); });
  // The first has no connection to send it on, and so has sent nothing.
  EXPECT_THAT(drawn(), ElementsAre());
  ASSERT_TRUE(node_.connect(worker_node(0), "there").ok());
  node_.enter(core_, [&](TimeNs /*now*/, Outbox& out) {
    time_ += 2;
    out.send(worker_node(0), grant_of(4));
  });
  EXPECT_THAT(drawn(), ElementsAre("104..104 sent grant slice -1 clock 4 worker-0",
                                   "102..104 call  slice -1 clock 4 scheduler"));
}

}  // namespace
}  // namespace rubato::protocol
