#include "base/timeline.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/base/temp_directory.h"

namespace rubato::timeline {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::SizeIs;
using testing::StartsWith;

TEST(Window, LiesBehindTheFirstSteps) {
  Job job;
  job.train.timeline = 20;
  job.train.steps = 100;
  EXPECT_FALSE(window_of(job).has(9));
  EXPECT_TRUE(window_of(job).has(10));
  EXPECT_TRUE(window_of(job).has(29));
  EXPECT_FALSE(window_of(job).has(30));
}

TEST(Window, IsTheLastStepsOfAJobWithFew) {
  Job job;
  job.train.timeline = 20;
  job.train.steps = 25;
  EXPECT_EQ(window_of(job).first, 5);
  job.train.steps = 7;
  EXPECT_EQ(window_of(job).first, 0);
  EXPECT_FALSE(window_of(job).has(kNoClock));
}

// Data alone says how many steps that are: whoever draws it knows, and leaves out the first ones where there are more.
TEST(Window, HasTheFirstStepsTooOfAJobByEpochs) {
  Job job;
  job.train.timeline = 20;
  job.train.steps = 0;
  EXPECT_TRUE(window_of(job).has(0));
  EXPECT_TRUE(window_of(job).has(29));
  EXPECT_FALSE(window_of(job).has(30));
}

TEST(Lane, KeepsSpansOfTheWindowAlone) {
  Lane lane("loop", {.first = 3, .count = 2});
  for (Clock clock = kNoClock; clock < 8; ++clock) lane.add({.begin = clock, .end = clock + 1, .clock = clock});
  ASSERT_THAT(lane.spans(), SizeIs(2));
  EXPECT_EQ(lane.spans()[0].clock, 3);
  EXPECT_EQ(lane.spans()[1].clock, 4);
  EXPECT_EQ(lane.left_out(), 0u);
}

TEST(Lane, CountsWhatFindsNoRoom) {
  Lane lane("loop", {.first = 0, .count = 1}, 2);
  const Span* const begin = lane.spans().data();
  for (int i = 0; i < 5; ++i) lane.add({.clock = 0});
  EXPECT_THAT(lane.spans(), SizeIs(2));
  EXPECT_EQ(lane.spans().data(), begin);
  EXPECT_EQ(lane.left_out(), 3u);
}

TEST(Lane, TheFirstStepsGiveRoomToTheOthers) {
  Lane lane("loop", {.first = 0, .count = 30}, 4);
  for (Clock clock : {0, 1, 9, 10, 11, 12, 13, 14}) lane.add({.clock = clock});
  std::vector<Clock> kept;
  for (const Span& span : lane.spans()) kept.push_back(span.clock);
  EXPECT_EQ(kept, (std::vector<Clock>{10, 11, 12, 13}));
  EXPECT_EQ(lane.left_out(), 1u) << "of those that are wanted";
}

TEST(Scope, IsASpanOfTheStepAtHand) {
  Lane lane("compute", {.first = 1, .count = 1});
  for (Clock clock = 0; clock < 3; ++clock) {
    lane.begin_step(clock);
    const Scope outer(&lane, "step");
    const Scope inner(&lane, "forward", "a layer with a name that is longer than a label");
  }
  ASSERT_THAT(lane.spans(), SizeIs(2));
  const Span &inner = lane.spans()[0], &outer = lane.spans()[1];
  EXPECT_EQ(inner.of.text(), "a layer with a name tha");
  EXPECT_STREQ(outer.what, "step");
  EXPECT_LE(outer.begin, inner.begin);
  EXPECT_LE(inner.begin, inner.end);
  EXPECT_LE(inner.end, outer.end);
  const Scope nowhere(nullptr, "step");  // and this is all that there is to it
}

TEST(Timeline, WritesALineForEachSpan) {
  Timeline timeline({.first = 0, .count = 3});
  Lane& loop = timeline.add_lane("loop");
  Lane& compute = timeline.add_lane("compute");
  timeline.name_slices({"fc1.weight[0..8)", "fc1.bias[0..2) fc2.bias[0..2)"});
  compute.add({.begin = 5, .end = 7, .clock = 1, .what = "forward", .of = "fc1"});
  loop.add({.begin = 8,
            .end = 9,
            .clock = 2,
            .what = "received",
            .of = "push",
            .slice = 0,
            .peer = worker_node(1),
            .applied = true});
  const std::vector<std::string> lines = timeline.lines(server_node(0));
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], StartsWith(R"({"node":"server-0","clock":")"));
  EXPECT_THAT(lines[0], EndsWith(R"("first":0,"steps":3,"lanes":["loop","compute"],"left_out":0,)"
                                 R"x("slices":["fc1.weight[0..8)","fc1.bias[0..2) fc2.bias[0..2)"]})x"));
  EXPECT_EQ(lines[1], R"({"lane":"loop","what":"received","clock":2,"begin":8,"end":9,"of":"push","slice":0,)"
                      R"("peer":"worker-1","applied":true})");
  EXPECT_EQ(lines[2], R"({"lane":"compute","what":"forward","clock":1,"begin":5,"end":7,"of":"fc1"})");

  const test::TempDirectory folder;
  ASSERT_TRUE(timeline.write(folder.path().string(), server_node(0)).ok());
  std::ifstream file(folder.file("timeline/server-0.jsonl"));
  std::vector<std::string> read;
  for (std::string line; std::getline(file, line);) read.push_back(line);
  EXPECT_EQ(read, lines);
  EXPECT_EQ(Timeline({}).write(folder.file("missing/folder"), server_node(0)).error().cause, Cause::kStorage);
}

}  // namespace
}  // namespace rubato::timeline
