#include "base/group_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/glob.h"
#include "base/job.h"

namespace rubato {
namespace {

using testing::HasSubstr;

TEST(ParseGroup, Good) {
  EXPECT_EQ(parse_group("fc.* rate=10 decay=0").value(), (GroupText{.pattern = "fc.*", .rate = 10.0, .decay = 0.0}));
  EXPECT_EQ(parse_group(" layer1.*\t frozen ").value(), (GroupText{.pattern = "layer1.*", .frozen = true}));
  EXPECT_EQ(parse_group("* decay=1e-4").value(), (GroupText{.pattern = "*", .decay = 1e-4}));
}

TEST(ParseGroup, Bad) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "\"\": a group begins with a pattern of parameters' names, as in \"fc.* rate=10\""},
           {"rate=10", "begins with a pattern of parameters' names, as in \"fc.* rate=10\", found \"rate=10\""},
           {"frozen", "begins with a pattern of parameters' names, as in \"fc.* rate=10\", found \"frozen\""},
           {"fc.*", "nothing behind the pattern: say frozen, rate=FACTOR or decay=VALUE"},
           {"fc.* froze", "unknown word \"froze\"; did you mean \"frozen\"?; a group may have frozen, rate, decay"},
           {"fc.* weight_decay=1", "unknown word \"weight_decay\"; a group may have frozen, rate, decay"},
           {"fc.* rate", "rate has no value: write rate=..."},
           {"fc.* rate=", "rate must be 1e-30 to 1e+30, found \"\""},
           {"fc.* rate=fast", "rate must be 1e-30 to 1e+30, found \"fast\""},
           {"fc.* rate=-1", "rate must be 1e-30 to 1e+30, found \"-1\""},
           {"fc.* rate=nan", "rate must be 1e-30 to 1e+30, found \"nan\""},
           {"fc.* rate=0", "found \"0\"; for no rate at all say frozen"},
           {"fc.* decay=-0.1", "decay must be 0 to 1e+30, found \"-0.1\""},
           {"fc.* decay=1x", "decay must be 0 to 1e+30, found \"1x\""},
           {"fc.* rate=1 rate=2", "\"rate\" is there twice"},
           {"fc.* frozen=true", "frozen has no value"},
           {"fc.* frozen rate=1", "frozen and rate contradict each other"},
           {"fc.* decay=0 frozen", "frozen and decay contradict each other"}}) {
    const auto parsed = parse_group(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().cause, Cause::kUsage);
    EXPECT_THAT(parsed.error().message, HasSubstr(message)) << text;
  }
}

TEST(ParseGroup, AJobTellsTheLine) {
  const auto job = parse_job(
      "[model]\nname = \"logistic\"\n[data]\ntrain_inputs = \"x\"\ntrain_labels = \"y\"\ntest_inputs = \"x\"\n"
      "test_labels = \"y\"\n[optimizer]\ngroups = [\n  \"fc.weight rate=2\",\n  \"fc.bias rat=2\",\n]\n",
      "job.toml");
  ASSERT_FALSE(job.ok());
  EXPECT_EQ(job.error().message,
            "job.toml:11: optimizer.groups: \"fc.bias rat=2\": unknown word \"rat\"; did you mean \"rate\"?; a group "
            "may have frozen, rate, decay");
}

TEST(Glob, IsThatOfTheShell) {
  EXPECT_TRUE(fits("fc.*", "fc.weight") && fits("layer[12].*", "layer2.0.conv1.weight") && fits("*", "a.b"));
  EXPECT_FALSE(fits("fc.*", "fc1.weight") || fits("fc", "fc.weight"));
}

}  // namespace
}  // namespace rubato
