#include "base/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato {
namespace {

using testing::HasSubstr;

Fault fault(const std::string& text) {
  const auto parsed = parse_fault(text);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return *parsed;
}

TEST(Fault, IsASentence) {
  EXPECT_EQ(fault("kill worker-1 at 3s"), (Fault{3 * kSecond, Fault::Kind::kKill, "worker-1", "", kNever}));
  EXPECT_EQ(fault("return worker-1 at 5s"), (Fault{5 * kSecond, Fault::Kind::kReturn, "worker-1", "", kNever}));
  EXPECT_EQ(fault("crash server-0 at 2s for 0.5s"),
            (Fault{2 * kSecond, Fault::Kind::kCrash, "server-0", "", 2500 * kMillisecond}));
  EXPECT_EQ(fault("  pause  worker-2 at 1s for 0.5s "),
            (Fault{kSecond, Fault::Kind::kPause, "worker-2", "", kSecond + 500 * kMillisecond}));
  EXPECT_EQ(fault("pause worker-2 at 250ms"), (Fault{250 * kMillisecond, Fault::Kind::kPause, "worker-2", "", kNever}));
  EXPECT_EQ(fault("cut worker-1 server-0 at 80us for 1s"),
            (Fault{80 * kMicrosecond, Fault::Kind::kCut, "worker-1", "server-0", kSecond + 80 * kMicrosecond}));
  EXPECT_EQ(fault("drain at 5s"), (Fault{5 * kSecond, Fault::Kind::kDrain, "scheduler", "", kNever}));
}

TEST(Fault, WhatIsNoneIsRefusedWithWhatIs) {
  const auto refusal = [](const std::string& text) {
    const auto parsed = parse_fault(text);
    if (parsed.ok()) return std::string("(no error)");
    EXPECT_EQ(parsed.error().cause, Cause::kUsage);
    return parsed.error().message;
  };
  EXPECT_EQ(
      refusal("kil worker-1 at 3s"),
      "must be like \"kill worker-1 at 3s\", \"crash server-0 at 2s for 0.5s\", \"return worker-1 at 5s\", \"pause "
      "worker-2 at 1s for 0.5s\", \"cut worker-1 server-0 at 2s for 1s\", \"drain at 5s\"; did you mean \"kill\"?");
  EXPECT_THAT(refusal(""), HasSubstr("must be like"));
  for (const char* text : {"kill", "kill worker-1", "kill worker-1 at", "kill worker-1 at 3", "kill worker-1 at -3s",
                           "kill worker-1 at 3s for 1s", "kill worker-1 worker-2 at 3s", "kill worker-1 at 3s now"})
    EXPECT_EQ(refusal(text),
              "\"" + std::string(text) + "\" must be like \"kill worker-1 at 3s\": times are like 3s, 250ms, 80us");
  for (const char* text : {"pause worker-1 at 3s for", "pause worker-1 at 3s for ever", "cut worker-1 at 3s"})
    EXPECT_THAT(refusal(text), HasSubstr("must be like")) << text;
}

}  // namespace
}  // namespace rubato
