// Parameters of a group: frozen ones, whose pushes are empty, and those with a rate and a decay of their own.
#include "tests/server/shard_harness.h"

namespace rubato::server {
namespace {

using protocol::Fate;
using protocol::Push;
using protocol::PushAck;
using testing::ElementsAre;

// A slice that is frozen, and one that is not.
Shard half_frozen(Job job) {
  job.optimizer.weight_decay = 0.5;  // which nothing frozen has
  ParameterSpec body = zeros("body", 2), head = zeros("head", 2);
  body.initializer = head.initializer = {InitializerKind::kOnes};
  body.frozen = true;
  return Shard(job, {body, head}, {{0, {{1, 0, 2}}}, {0, {{0, 0, 2}}}}, workers(2));
}

Push nothing_of(SliceId slice, Clock clock, std::uint32_t samples, protocol::LeafNode node = {}) {
  Push push = push_of(clock, {}, 0, samples, node);
  push.slice = slice;
  return push;
}

TEST(Groups, AFrozenSliceIsSettledAndStaysAsItIs) {
  for (const char* mode : {"bsp", "asp", "ssp:1", "softsync:1", "backup:0", "local:2", "local:2+asp"}) {
    SCOPED_TRACE(mode);
    const bool bsp = std::string(mode) == "bsp";
    Shard shard = half_frozen(job_of(mode, bsp ? 2 : 1));
    std::vector<Fate> fates;
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      shard.receive(envelope_of(worker_node(rank)),
                    nothing_of(1, 0, 4, bsp ? protocol::LeafNode{0, rank} : protocol::LeafNode{}));
      for (const PushAck& ack : shard.sent<PushAck>()) fates.push_back(ack.fate);
    }
    EXPECT_THAT(fates, ElementsAre(Fate::kEmpty, Fate::kEmpty));
    EXPECT_THAT(shard.weights(1), ElementsAre(1.0f, 1.0f));
    EXPECT_EQ(shard.look(1).version, 0u);
  }
}

TEST(Groups, AGradientForWhatIsFrozenIsRefused) {
  Shard shard = half_frozen(job_of("asp"));
  Push push = push_of(0, {1, 1});
  push.slice = 1;
  shard.receive(envelope_of(worker_node(0)), push);
  EXPECT_TRUE(shard.sent<PushAck>().empty());
  ASSERT_EQ(shard.out.notes.size(), 1u);
  EXPECT_THAT(shard.out.notes[0].text, testing::HasSubstr("a gradient for body[0..2), which is frozen"));
  EXPECT_THAT(shard.weights(1), ElementsAre(1.0f, 1.0f));
}

// Each parameter with the scalars of its own, also where its slice is one of several.
TEST(Groups, EachParameterHasItsOwnRateAndDecay) {
  Job job = job_of("asp");
  job.optimizer.weight_decay = 0.5;
  ParameterSpec usual = zeros("usual", 1), fast = zeros("fast", 1), plain = zeros("plain", 1);
  for (ParameterSpec* spec : {&usual, &fast, &plain}) spec->initializer = {InitializerKind::kOnes};
  fast.rate_scale = 10.0;
  plain.decay = 0.0;
  Shard shard(job, {usual, fast, plain}, {{0, {{0, 0, 1}}}, {0, {{1, 0, 1}}}, {0, {{2, 0, 1}}}}, workers(1));
  for (SliceId slice = 0; slice < 3; ++slice) {
    Push push = push_of(0, {2.0f}, 0, 2, {}, 0.0625);
    push.slice = slice;
    shard.receive(envelope_of(worker_node(0)), push);
  }
  EXPECT_THAT(shard.weights(0), ElementsAre(1.0f - 0.0625f * 1.5f));
  EXPECT_THAT(shard.weights(1), ElementsAre(1.0f - 0.625f * 1.5f));
  EXPECT_THAT(shard.weights(2), ElementsAre(1.0f - 0.0625f));
}

}  // namespace
}  // namespace rubato::server
