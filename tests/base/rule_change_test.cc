#include "base/rule_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Mode mode(const char* name) { return parse_mode(name).value(); }

TEST(RuleChange, IsAModeARateOrBoth) {
  const auto change = [](const char* text) { return parse_rule_change(text).value(); };
  EXPECT_EQ(change("mode=ssp:8"), (RuleChange{mode("ssp:8"), {}}));
  EXPECT_EQ(change("rate=1e-3"), (RuleChange{{}, 0.001}));
  EXPECT_EQ(change("  rate=0.5   mode=dssp:1..4 "), (RuleChange{mode("dssp:1..4"), 0.5}));
}

TEST(RuleChange, MayHaveATime) {
  EXPECT_EQ(parse_timed_rule_change("set mode=asp at 3s").value(), (TimedRuleChange{{mode("asp"), {}}, 3 * kSecond}));
  EXPECT_EQ(parse_timed_rule_change("set rate=0.1 mode=bsp at 250ms").value(),
            (TimedRuleChange{{mode("bsp"), 0.1}, 250 * kMillisecond}));
  for (const char* text : {"", "set", "mode=asp", "set mode=asp", "set at 3s", "set mode=asp at", "set mode=asp at 3",
                           "set mode=asp in 3s", "give mode=asp at 3s", "set mode=asp at 3s for 1s"})
    EXPECT_THAT(parse_timed_rule_change(text).error().message, HasSubstr("must be like \"set mode=ssp:8")) << text;
  EXPECT_THAT(parse_timed_rule_change("set mode=lsp at 3s").error().message, HasSubstr("must be bsp, backup:B"));
}

TEST(RuleChange, WhatIsNoneIsRefusedWithWhatIs) {
  const auto refusal = [](const char* text) {
    const auto parsed = parse_rule_change(text);
    if (parsed.ok()) return std::string("(no error)");
    EXPECT_EQ(parsed.error().cause, Cause::kUsage);
    return parsed.error().message;
  };
  EXPECT_THAT(refusal(""), HasSubstr("nothing to set: give a mode, a rate, or both"));
  EXPECT_THAT(refusal("mode=lsp:3"), AllOf(HasSubstr("mode \"lsp:3\": "), HasSubstr("ssp:S")));
  EXPECT_THAT(refusal("mode="), HasSubstr("must be bsp"));
  EXPECT_THAT(refusal("mode=ssp"), HasSubstr("ssp needs its bound, as in ssp:3"));
  for (const char* rate : {"rate=0", "rate=-0.1", "rate=", "rate=fast", "rate=inf", "rate=nan", "rate=0.1x"})
    EXPECT_THAT(refusal(rate), HasSubstr("must be a number above 0, as in rate=0.01")) << rate;
  EXPECT_THAT(refusal("mode=asp mode=bsp"), HasSubstr("mode is given twice"));
  EXPECT_THAT(refusal("bound=3"), HasSubstr("the bound is part of the mode, as in mode=ssp:8"));
  EXPECT_THAT(refusal("rat=0.1"), HasSubstr("did you mean \"rate\"?"));
  EXPECT_THAT(refusal("mode"), HasSubstr("is neither a mode nor a rate"));
}

TEST(RuleChange, StaysWithinAFamily) {
  for (const char* from : {"ssp:0", "ssp:3", "dssp:1..4", "asp"})
    for (const char* to : {"ssp:0", "ssp:9", "dssp:0..3", "asp"})
      EXPECT_TRUE(check_mode_change(mode(from), mode(to)).ok()) << from << " to " << to;
  for (const char* same : {"bsp", "backup:1", "softsync:2"})
    EXPECT_TRUE(check_mode_change(mode(same), mode(same)).ok()) << same;
  for (const auto& [from, to] : {std::pair("asp", "bsp"), std::pair("bsp", "ssp:1"), std::pair("backup:1", "backup:2"),
                                 std::pair("softsync:1", "asp"), std::pair("ssp:1", "softsync:1")}) {
    const Status refused = check_mode_change(mode(from), mode(to));
    ASSERT_FALSE(refused.ok()) << from << " to " << to;
    EXPECT_EQ(refused.error().cause, Cause::kRefused);
    EXPECT_THAT(refused.error().message, HasSubstr("start a new job with mode " + std::string(to)));
  }
}

}  // namespace
}  // namespace rubato
