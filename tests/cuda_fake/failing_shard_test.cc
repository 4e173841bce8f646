// A shard whose GPU fails: at any call, it ends with an error that names it, and leaves every slice as it was before,
// with the push that it was about not settled.
#include <gmock/gmock.h>

#include "tests/cuda_fake/fake.h"
#include "tests/server/twin_shards.h"

namespace rubato::server {
namespace {

using testing::HasSubstr;

// What came of a life that may have ended before its time: which of its messages were the last.
struct Ended {
  std::size_t heard = 0;
  std::optional<std::pair<int, std::string>> how;
  std::vector<std::vector<float>> left;  // where it came so far as to have slices
};

using Messages = std::vector<std::pair<protocol::Envelope, protocol::Body>>;

// All that a whole life hears.
Messages messages_of(const TwinSetting& setting, Clock clocks) {
  Messages messages;
  TwinLife life(setting, nullptr);
  TwinScript script(life.job());
  for (Clock clock = 0; clock < clocks; ++clock)
    script.clock(clock, [&](const protocol::Envelope& envelope, const protocol::Body& body) {
      messages.emplace_back(envelope, body);
      life.hear(envelope, body);
      const auto weights = life.said<protocol::Weights>();
      return weights.empty() ? Version{0} : weights.front().version;
    });
  return messages;
}

Ended run(const TwinSetting& setting, const Messages& messages) {
  Ended ended;
  auto device = kernels::open_update_device("cuda");
  if (!device.ok()) {
    ended.how.emplace(device.error().exit_code(), device.error().message);
    return ended;
  }
  TwinLife life(setting, std::move(*device));
  for (; ended.heard <= messages.size(); ++ended.heard) {
    if (life.out.end) {
      ended.how.emplace(life.out.end->exit_code, life.out.end->text);
      EXPECT_THAT(life.said<protocol::PushAck>(), testing::IsEmpty());
      EXPECT_THAT(life.said<protocol::Committed>(), testing::IsEmpty());
      if (ended.heard > 0) ended.left = life.versions();
      return ended;
    }
    if (ended.heard < messages.size()) life.hear(messages[ended.heard].first, messages[ended.heard].second);
  }
  return ended;
}

class FailingShard : public testing::TestWithParam<TwinSetting> {};
INSTANTIATE_TEST_SUITE_P(
    Settings, FailingShard,
    testing::Values(TwinSetting{.title = "bsp", .mode = "bsp", .rule = "adam", .average = 0.9},
                    TwinSetting{.title = "ssp", .mode = "ssp:3", .rule = "momentum", .compensation = "adaptive"},
                    TwinSetting{.title = "softsync", .mode = "softsync:1", .rule = "adamw"}),
    [](const auto& setting) { return setting.param.title; });

TEST_P(FailingShard, EndsAtAnyCallAndLeavesWhatWasThere) {
  const Messages messages = messages_of(GetParam(), 2);
  ASSERT_FALSE(run(GetParam(), messages).how);
  std::size_t n = 1;
  for (;; ++n) {
    cuda_fake::fail_call(n);
    const Ended ended = run(GetParam(), messages);
    const std::string failed = cuda_fake::failed_call();
    if (failed.empty()) break;
    SCOPED_TRACE(testing::Message() << "call " << n << ", " << failed);
    ASSERT_TRUE(ended.how);
    EXPECT_EQ(ended.how->first, static_cast<int>(Cause::kDevice));
    EXPECT_THAT(ended.how->second, HasSubstr(failed));
    EXPECT_EQ(cuda_fake::live().all(), 0u);
    if (ended.left.empty()) continue;
    // A commit is applied slice by slice, and its death ends the job.
    if (std::holds_alternative<protocol::Commit>(messages[ended.heard - 1].second)) continue;
    TwinLife undisturbed(GetParam(), nullptr);
    for (std::size_t i = 0; i + 1 < ended.heard; ++i) undisturbed.hear(messages[i].first, messages[i].second);
    const auto expected = undisturbed.versions();
    for (SliceId slice = 0; slice < expected.size(); ++slice)
      ASSERT_TRUE(ended.left[slice] == expected[slice]) << "slice " << slice << ", message " << ended.heard - 1;
  }
  EXPECT_GT(n, 100u);
}

TEST(FailingShard, WithoutMemoryOnTheGpuItSaysHowMuchItNeeds) {
  const TwinSetting setting{.title = "bsp", .mode = "bsp", .rule = "adam"};
  auto device = kernels::open_update_device("cuda").value();
  cuda_fake::fail_call(1);
  const TwinLife life(setting, std::move(device));
  ASSERT_TRUE(life.out.end);
  EXPECT_EQ(life.out.end->exit_code, static_cast<int>(Cause::kDevice));
  EXPECT_THAT(life.out.end->text, HasSubstr("MiB of cuda:0, fake, CUDA 13.0 for its slices"));
  EXPECT_THAT(life.out.end->text, HasSubstr("cudaMalloc of"));
  EXPECT_THAT(life.out.end->text, HasSubstr("server.device = \"cpu\""));
}

TEST(FailingShard, ADeviceThatIsNotThereIsOneLine) {
  EXPECT_EQ(kernels::open_update_device("cpu").value(), nullptr);
  EXPECT_EQ(kernels::open_update_device("gpu").error().cause, Cause::kUsage);
  EXPECT_THAT(kernels::open_update_device("cuda:1").error().message, HasSubstr("there is no GPU 1: 1 can be used"));
  cuda_fake::set_device_count(0);
  const auto none = kernels::open_update_device("cuda:0");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().cause, Cause::kDevice);
  EXPECT_THAT(none.error().message, HasSubstr("server.device = \"cuda:0\" was asked for: cudaGetDeviceCount"));
}

}  // namespace
}  // namespace rubato::server
