// A worker's client, or an evaluator's, under test: fed by hand, with everything it says collected.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "worker/evaluator_client.h"
#include "worker/worker_client.h"

namespace rubato::worker {

inline constexpr SliceId kSlices = 3;       // 2 is the first in forward order; slices 0 and 2 on shard 0, 1 on shard 1
inline constexpr std::size_t kFloats = 16;  // of each slice

inline Payload floats_payload(float value, std::size_t count = kFloats) {
  return Payload::of_floats(std::vector<float>(count, value));
}

inline protocol::Welcome welcome_message() {
  protocol::Welcome message;
  message.incarnation = 1;
  message.generation = 1;
  for (SliceId slice = 0; slice < kSlices; ++slice) {
    ParameterSpec spec;
    spec.name = fmt::format("w{}", slice);
    spec.shape = {static_cast<std::int64_t>(kFloats)};
    message.manifest.push_back(spec);
  }
  message.routing.route = 1;
  for (SliceId slice = 0; slice < kSlices; ++slice)
    message.routing.slices.push_back({slice % 2, {{kSlices - 1 - slice, 0, kFloats}}});
  message.routing.addresses = {"at shard 0", "at shard 1"};
  return message;
}

template <typename Core>
class Client {
 public:
  explicit Client(NodeId node) : self(node), core(node, registration(), timing) {
    out.tracing = true;
    core.start(now, out);
  }

  static protocol::Register registration() {
    protocol::Register message;
    message.nonce = 42;
    return message;
  }

  // The next call's messages, traces and orders are the only ones kept.
  void receive(NodeId from, protocol::Body body) {
    begin();
    core.receive(now, {from, self, 1, 1, 1, 7}, std::move(body), out);
    take_orders();
  }
  void scheduler(protocol::Body body) { receive(kSchedulerNode, std::move(body)); }
  void report(ComputeReport report) {
    begin();
    core.report(now, std::move(report), out);
    take_orders();
  }
  void wake_at(TimeNs time) {
    begin();
    now = time;
    core.wake(now, out);
    take_orders();
  }
  // Every wake-up that the core asks for up to `time`; keeps what all of them said. The scheduler is heard
  // at each, and so not missed.
  void run_to(TimeNs time) {
    std::vector<protocol::Outbox::Outgoing> all;
    while (core.deadline() <= time) {
      scheduler(beat);
      wake_at(std::max(now, core.deadline()));
      all.insert(all.end(), out.messages.begin(), out.messages.end());
    }
    now = time;
    out.messages = std::move(all);
  }

  void join() {
    scheduler(welcome_message());
    beat.ready_known = true;
    scheduler(beat);
  }

  // What the last call sent to `to`, of one type.
  template <typename M>
  [[nodiscard]] std::vector<M> sent(NodeId to) const {
    std::vector<M> found;
    for (const auto& message : out.messages)
      if (const M* body = std::get_if<M>(&message.body); body && message.to == to) found.push_back(*body);
    return found;
  }
  // The same to both servers, in the order sent.
  template <typename M>
  [[nodiscard]] std::vector<M> sent_to_servers() const {
    std::vector<M> found;
    for (const auto& message : out.messages)
      if (const M* body = std::get_if<M>(&message.body)) {
        EXPECT_EQ(message.to, server_node(body->slice % 2));
        found.push_back(*body);
      }
    return found;
  }
  // The slices of these, in their order.
  template <typename M>
  [[nodiscard]] std::vector<SliceId> slices_sent() const {
    std::vector<SliceId> slices;
    for (const M& message : sent_to_servers<M>()) slices.push_back(message.slice);
    return slices;
  }
  // The last call's orders, of one type.
  template <typename O>
  [[nodiscard]] std::vector<O> ordered() const {
    std::vector<O> found;
    for (const ComputeOrder& order : orders)
      if (const O* one = std::get_if<O>(&order)) found.push_back(*one);
    return found;
  }
  [[nodiscard]] bool stopped_computing() const { return ordered<StopComputing>().size() == 1; }

  TimeNs now = kSecond;
  const NodeId self;
  const protocol::Timing timing{.resend_after = 400 * kMillisecond};
  protocol::Outbox out;
  std::vector<ComputeOrder> orders;
  protocol::Beat beat;  // what the scheduler says now and then
  Core core;

 private:
  void begin() {
    out.clear();
    orders.clear();
  }
  void take_orders() {
    core.hand_orders([this](ComputeOrder order) { orders.push_back(std::move(order)); });
  }
};

// How a member leaves: all that it may still do is done.
template <typename Core>
void expect_over(Client<Core>& client, int exit_code) {
  ASSERT_TRUE(client.out.end.has_value());
  EXPECT_EQ(client.out.end->exit_code, exit_code) << client.out.end->text;
  EXPECT_EQ(client.core.deadline(), kNever);
  client.wake_at(client.now + 100 * kSecond);
  EXPECT_TRUE(client.out.messages.empty());
  client.scheduler(protocol::Beat{});
  EXPECT_TRUE(client.out.messages.empty());
}

}  // namespace rubato::worker
