// Plans: what is measured, how it is written, and that it is what is taken.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kernels/plan_book.h"
#include "kernels/planned_device.h"

namespace rubato::kernels {
namespace {

const ConvolutionDesc kConvolution{{8, 12, 12, 16}, 32, 3, 1, 1, Activation::kRelu};
const char* const kName = "3x3 convolution, stride 1, padding 1, of 16 to 32 channels of 12 x 12, rows to rows";

std::vector<std::string> ways_of(const PlanEntry& entry) {
  std::vector<std::string> names;
  for (const TimedWay& way : entry.ways) names.push_back(way.way);
  return names;
}

TEST(PlanBook, IsReadAsItWasWritten) {
  PlanBook book("a device");
  book.add({"this", "forward", {{"blocks", 1.25}, {"rows", 2.5}}});
  book.add({"this", "backward_data", {{"rows", 0.001}}});
  const PlanBook again = PlanBook::parse(book.text(), "plan.json").value();
  EXPECT_EQ(again.text(), book.text());
  EXPECT_EQ(again.device(), "a device");
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(*again.way_of("this", "forward"), "blocks");
  EXPECT_EQ(*again.way_of("this", "backward_data"), "rows");
  EXPECT_EQ(again.way_of("this", "inference"), nullptr);
  EXPECT_EQ(again.way_of("that", "forward"), nullptr);
  EXPECT_DOUBLE_EQ(again.entries()[0].ways[1].ms, 2.5);
}

TEST(PlanBook, ALaterEntryTakesThePlaceOfAnEarlierOne) {
  PlanBook book;
  book.add({"this", "forward", {{"blocks", 1.0}}});
  book.add({"that", "forward", {{"rows", 1.0}}});
  book.add({"this", "forward", {{"rows", 1.0}}});
  EXPECT_EQ(book.size(), 2u);
  EXPECT_EQ(*book.way_of("this", "forward"), "rows");
}

TEST(PlanBook, SaysWhatIsWrongWithAFile) {
  const auto says = [](const std::string& text, const std::string& part) {
    const Result<PlanBook> book = PlanBook::parse(text, "x.json");
    ASSERT_FALSE(book.ok()) << text;
    const std::string& message = book.error().message;
    EXPECT_TRUE(message.starts_with("x.json is no plan: ")) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const auto of = [](const std::string& choices) {
    return R"({"format": 1, "device": "d", "choices": )" + choices + "}";
  };
  says("", "no JSON table");
  says("[1]", "no JSON table");
  says(R"({"choices": []})", "no \"format\": 1");
  says(R"({"format": 2, "choices": []})", "no \"format\": 1");
  says(R"({"format": 1})", "no list of \"choices\"");
  says(of("[3]"), "choice 1 is no table");
  says(of(R"([{"operation": "a", "ways": [{"way": "rows"}]}])"), "choice 1 has no \"operation\" and \"call\"");
  says(of(R"([{"operation": "a", "call": "b", "ways": []}])"), "choice 1 has no \"ways\"");
  says(of(R"([{"operation": "a", "call": "b", "ways": [{"ms": 1}]}])"), "choice 1 has a way without a \"way\"");
  const std::string one = R"({"operation": "a", "call": "b", "ways": [{"way": "rows"}]})";
  says(of("[" + one + ", " + one + "]"), "choice 2 is of an operation and call that had one");
  EXPECT_TRUE(PlanBook::parse(of("[" + one + "]"), "x.json").ok());  // times are for people
}

TEST(MeasuringDevice, TimesEachWayOfEachCallOnce) {
  PlanBook book;
  const auto device = open_measuring_device({"cpu", 1}, book).value();
  ASSERT_TRUE(device->plan(kConvolution, {}).ok());
  ASSERT_EQ(book.size(), 3u);
  for (const PlanEntry& entry : book.entries()) {
    EXPECT_EQ(entry.operation, kName);
    std::vector<std::string> names = ways_of(entry);
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"blocks", "rows"})) << entry.call;
    // The first is the fastest, or the rule's and hardly slower.
    for (const TimedWay& way : entry.ways) {
      EXPECT_GT(way.ms, 0.0);
      EXPECT_LE(entry.ways.front().ms * 0.95, way.ms);
    }
  }
  const std::string measured = book.text();
  ASSERT_TRUE(device->plan(with_samples(OpDesc(kConvolution), 3), {}).ok());  // of the same name
  EXPECT_EQ(book.text(), measured);
  ASSERT_TRUE(device->plan(kConvolution, {.training = false}).ok());
  ASSERT_EQ(book.size(), 4u);
  EXPECT_EQ(book.entries().back().call, "inference");
  EXPECT_EQ(book.device(), open_device({"cpu", 1}).value()->description());
}

TEST(PlannedDevice, TakesWhatThePlanSays) {
  const auto scratch_by = [](const std::string& way) {
    auto plan = std::make_shared<PlanBook>();
    for (const char* call : {"forward", "backward_weights", "backward_data"}) plan->add({kName, call, {{way, 1.0}}});
    const auto device = open_planned_device({"cpu", 1}, plan).value();
    return device->plan(kConvolution, {}).value()->info().scratch_bytes;
  };
  const auto device = open_device({"cpu", 1}).value();
  const auto by_rule = device->plan(kConvolution, {}).value();
  EXPECT_EQ(scratch_by("rows"), by_rule->info().scratch_bytes);
  // Both tensors are converted there, or their gradients.
  EXPECT_GE(scratch_by("blocks"), by_rule->info().input.bytes() + by_rule->info().output.bytes());
}

TEST(PlannedDevice, RefusesAWayThatItDoesNotHave) {
  auto plan = std::make_shared<PlanBook>();
  plan->add({kName, "forward", {{"magic", 1.0}}});
  const auto device = open_planned_device({"cpu", 1}, plan).value();
  const auto planned = device->plan(kConvolution, {});
  ASSERT_FALSE(planned.ok());
  EXPECT_EQ(planned.error().cause, Cause::kDevice);
  EXPECT_EQ(planned.error().message, std::string("oneDNN cannot plan a ") + kName +
                                         ": the plan names a way for which there is no kernel on this processor");
}

}  // namespace
}  // namespace rubato::kernels
