// A shard whose updates a device computes, beside one of the CPU: every rule, in every mode, with what goes before and
// behind it. Skips where there is no GPU; without one it runs on a fake (tests/cuda_fake).
#include <gmock/gmock.h>

#include "kernels/update_device.h"
#include "tests/server/twin_shards.h"

namespace rubato::server {
namespace {

constexpr Clock kClocks = 5;

class DeviceUpdates : public testing::TestWithParam<TwinSetting> {
 protected:
  void SetUp() override {
    if (const auto device = kernels::open_update_device("cuda"); !device.ok())
      GTEST_SKIP() << "no GPU here, servers that update on one are not compared: " << device.error().message;
  }
  static std::unique_ptr<kernels::UpdateDevice> gpu() { return kernels::open_update_device("cuda").value(); }

  // Both hear the same, and say the same.
  static void tell_both(TwinLife& a, TwinLife& b, TwinScript& script, Clock clock) {
    script.clock(clock, [&](const protocol::Envelope& envelope, const protocol::Body& body) {
      return tell(a, b, envelope, body);
    });
  }
  static Version tell(TwinLife& a, TwinLife& b, const protocol::Envelope& envelope, const protocol::Body& body) {
    a.hear(envelope, body);
    b.hear(envelope, body);
    EXPECT_EQ(said_by(a.out), said_by(b.out));
    EXPECT_FALSE(a.out.end || b.out.end);
    const auto weights = a.said<protocol::Weights>();
    return weights.empty() ? 0 : weights.front().version;
  }
};

TEST_P(DeviceUpdates, AreTheCpusToTheBit) {
  TwinLife cpu(GetParam(), nullptr), device(GetParam(), gpu());
  TwinScript script(cpu.job());
  const auto first = cpu.versions();
  for (Clock clock = 0; clock < kClocks; ++clock) {
    tell_both(cpu, device, script, clock);
    ASSERT_EQ(device.versions(), cpu.versions()) << "clock " << clock;
  }
  EXPECT_EQ(cpu.refused(), 0u);
  for (SliceId slice = 0; slice < first.size(); ++slice) EXPECT_NE(cpu.versions()[slice], first[slice]) << slice;
  tell(cpu, device, envelope_of(kSchedulerNode), protocol::Snapshot{1, kClocks});
  for (SliceId slice = 0; slice < first.size(); ++slice) {
    tell(cpu, device, envelope_of(evaluator_node(0)),
         protocol::Pull{.slice = slice, .clock = 0, .floor = 0, .snapshot = 1});
    EXPECT_THAT(device.said<protocol::Weights>(), testing::SizeIs(1));
  }
}

std::vector<TwinSetting> settings() {
  std::vector<TwinSetting> all;
  for (const std::string mode : {"bsp", "ssp:3", "softsync:1", "backup:1"})
    for (const std::string rule : {"sgd", "momentum", "nesterov", "adam", "adamw"})
      all.push_back({.title = rule, .mode = mode, .rule = rule});
  for (const std::string mode : {"bsp", "asp", "softsync:1"})
    all.push_back({.title = "averaged and clipped", .mode = mode, .rule = "adam", .average = 0.9, .clip_value = 0.2});
  for (const std::string mode : {"ssp:3", "softsync:1"}) {
    for (const std::string compensation : {"constant", "adaptive"})
      for (const std::string rule : {"momentum", "adamw"})
        all.push_back({.title = compensation + " " + rule, .mode = mode, .rule = rule, .compensation = compensation});
    all.push_back({.title = "scaled by age", .mode = mode, .age_scaling = true});
    all.push_back({.title = "everything",
                   .mode = mode,
                   .rule = "nesterov",
                   .compensation = "adaptive",
                   .age_scaling = true,
                   .average = 0.9,
                   .clip_value = 0.2});
  }
  for (const std::string mode : {"local:4", "local:4+ssp:3", "local:4+softsync:1"})
    for (const std::string outer : {"average", "nesterov", "delayed_nesterov"})
      all.push_back({.title = "outer " + outer,
                     .mode = mode,
                     .average = 0.9,
                     .outer = {.name = outer, .delay = 3, .spread = 0.125}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cuda, DeviceUpdates, testing::ValuesIn(settings()), [](const auto& setting) {
  std::string name = setting.param.title + "_" + setting.param.mode;
  std::ranges::replace_if(
      name, [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace rubato::server
