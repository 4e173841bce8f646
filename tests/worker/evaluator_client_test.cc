#include "worker/evaluator_client.h"

#include "tests/worker/client_harness.h"

namespace rubato::worker {
namespace {

using protocol::Evaluate;
using protocol::EvaluationDone;
using protocol::Pull;
using testing::ElementsAre;
using testing::IsEmpty;

class Evaluator : public Client<EvaluatorClient> {
 public:
  Evaluator() : Client(evaluator_node(0)) {}

  void evaluate(std::uint64_t snapshot, bool final = false) {
    scheduler(Evaluate{snapshot, snapshot / 2, static_cast<Clock>(10 * snapshot), final});
  }
  void weights(SliceId slice, std::uint64_t snapshot, std::size_t count = kFloats) {
    receive(server_node(slice % 2), protocol::Weights{slice, static_cast<Clock>(10 * snapshot), 1, 0, snapshot,
                                                      floats_payload(static_cast<float>(slice), count)});
  }
  void all_weights(std::uint64_t snapshot) {
    for (SliceId slice = 0; slice < kSlices; ++slice) weights(slice, snapshot);
  }
  void evaluated(std::uint64_t snapshot) {
    EvaluationDone done;
    done.snapshot = snapshot;
    done.figures.accuracy = 0.1 * static_cast<double>(snapshot);
    report(Evaluated{done});
  }
  [[nodiscard]] std::vector<EvaluationDone> done() const { return sent<EvaluationDone>(kSchedulerNode); }
};

TEST(EvaluatorClient, AsksAServerThatComesBackForWhatIsMissing) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.evaluate(3);
  evaluator.weights(1, 3);
  protocol::Welcome welcome = welcome_message();
  welcome.routing.route = 2;
  welcome.routing.addresses = {"elsewhere", "at shard 1"};
  evaluator.scheduler(welcome);
  ASSERT_EQ(evaluator.out.connects.size(), 1u);
  EXPECT_EQ(evaluator.out.connects[0].second, "elsewhere");
  EXPECT_THAT(evaluator.slices_sent<Pull>(), ElementsAre(0, 2));
  evaluator.scheduler(welcome);
  EXPECT_TRUE(evaluator.out.messages.empty());
}

TEST(EvaluatorClient, PullsEverySliceOfTheSnapshotAndReportsWhatComesOut) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.evaluate(3, true);
  EXPECT_THAT(evaluator.slices_sent<Pull>(), ElementsAre(0, 1, 2));
  for (const Pull& pull : evaluator.sent_to_servers<Pull>()) {
    EXPECT_EQ(pull.snapshot, 3u);
    EXPECT_EQ(pull.floor, 0);
  }
  evaluator.weights(2, 3);
  evaluator.weights(0, 3);
  EXPECT_THAT(evaluator.orders, IsEmpty());
  evaluator.weights(1, 3);
  const auto orders = evaluator.ordered<EvaluateWeights>();
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].order.snapshot, 3u);
  EXPECT_TRUE(orders[0].order.final);
  ASSERT_EQ(orders[0].slices.size(), kSlices);
  for (SliceId slice = 0; slice < kSlices; ++slice)
    EXPECT_EQ(orders[0].slices[slice].floats()[0], static_cast<float>(slice));
  evaluator.evaluated(3);
  ASSERT_EQ(evaluator.done().size(), 1u);
  EXPECT_EQ(evaluator.done()[0].snapshot, 3u);
}

TEST(EvaluatorClient, AnOrderThatOvertookTheWelcomeIsLeft) {
  Evaluator evaluator;
  evaluator.evaluate(1);
  EXPECT_THAT(evaluator.out.messages, IsEmpty());
  evaluator.join();
  evaluator.evaluate(1);
  EXPECT_EQ(evaluator.slices_sent<Pull>().size(), kSlices);
}

TEST(EvaluatorClient, WhatIsMissingIsPulledAgain) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.evaluate(1);
  evaluator.weights(1, 1);
  evaluator.run_to(evaluator.now + evaluator.timing.resend_after);
  EXPECT_THAT(evaluator.slices_sent<Pull>(), ElementsAre(0, 2));
  evaluator.weights(0, 1);
  evaluator.weights(2, 1);
  EXPECT_EQ(evaluator.ordered<EvaluateWeights>().size(), 1u);
  evaluator.run_to(evaluator.now + 5 * evaluator.timing.resend_after);
  EXPECT_THAT(evaluator.slices_sent<Pull>(), IsEmpty());
}

TEST(EvaluatorClient, AnswersThatDoNotFitAreLeft) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.weights(0, 1);  // nothing was asked for
  evaluator.evaluate(2);
  evaluator.weights(0, 1);  // of another snapshot
  evaluator.weights(0, 0);  // live ones
  evaluator.weights(7, 2);  // no such slice
  evaluator.weights(0, 2, kFloats + 1);
  evaluator.weights(1, 2);
  evaluator.weights(1, 2);  // twice
  evaluator.weights(2, 2);
  EXPECT_THAT(evaluator.orders, IsEmpty());
  evaluator.weights(0, 2);
  EXPECT_EQ(evaluator.ordered<EvaluateWeights>().size(), 1u);
}

TEST(EvaluatorClient, AnOrderIsCarriedOutOnceAndAnsweredEachTime) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.evaluate(1);
  evaluator.evaluate(1);  // while it pulls
  EXPECT_THAT(evaluator.out.messages, IsEmpty());
  evaluator.all_weights(1);
  evaluator.evaluate(1);  // while it computes
  EXPECT_THAT(evaluator.out.messages, IsEmpty());
  evaluator.evaluated(1);
  evaluator.evaluate(1);  // afterwards: the answer was lost
  ASSERT_EQ(evaluator.done().size(), 1u);
  EXPECT_EQ(evaluator.done()[0].figures.accuracy, 0.1);
  EXPECT_THAT(evaluator.orders, IsEmpty());
}

TEST(EvaluatorClient, ANewerSnapshotTakesThePlaceOfOneThatIsPulled) {
  Evaluator evaluator;
  evaluator.join();
  evaluator.evaluate(1);
  evaluator.weights(0, 1);
  evaluator.weights(1, 1);
  evaluator.evaluate(2);
  EXPECT_THAT(evaluator.slices_sent<Pull>(), ElementsAre(0, 1, 2));
  evaluator.evaluate(1);  // late
  evaluator.weights(2, 1);
  EXPECT_THAT(evaluator.orders, IsEmpty());
  evaluator.all_weights(2);
  EXPECT_EQ(evaluator.ordered<EvaluateWeights>().size(), 1u);
}

TEST(EvaluatorClient, EndsAsMembersDo) {
  Evaluator finished;
  finished.join();
  finished.scheduler(protocol::Finish{0, ""});
  EXPECT_TRUE(finished.stopped_computing());
  expect_over(finished, 0);

  Evaluator failed;
  failed.join();
  failed.evaluate(1);
  failed.report(ComputeFailed{{Cause::kStorage, "the disk is full"}});
  ASSERT_EQ(failed.sent<protocol::Goodbye>(kSchedulerNode).size(), 1u);
  EXPECT_EQ(failed.sent<protocol::Goodbye>(kSchedulerNode)[0].exit_code, static_cast<int>(Cause::kStorage));
  expect_over(failed, static_cast<int>(Cause::kStorage));

  Evaluator alone;
  alone.join();
  while (!alone.out.end && alone.now < 100 * kSecond) alone.wake_at(alone.core.deadline());
  EXPECT_TRUE(alone.stopped_computing());
  expect_over(alone, static_cast<int>(Cause::kPeerLost));
}

}  // namespace
}  // namespace rubato::worker
