#include "base/mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/job.h"

namespace rubato {
namespace {

using Kind = Mode::Kind;
using testing::HasSubstr;

TEST(Mode, SaysWhatItStandsFor) {
  EXPECT_EQ(*parse_mode("bsp"), Mode{});
  EXPECT_EQ(*parse_mode("ssp:0"), (Mode{.kind = Kind::kSsp, .bound = 0}));
  EXPECT_EQ(*parse_mode("dssp:1..8"), (Mode{.kind = Kind::kDssp, .bound = 8, .least = 1}));
  EXPECT_EQ(*parse_mode("asp"), (Mode{.kind = Kind::kAsp, .bound = Mode::kUnbounded}));
  EXPECT_EQ(*parse_mode("backup:2"), (Mode{.kind = Kind::kBackup, .backups = 2}));
  EXPECT_EQ(*parse_mode("softsync:4"), (Mode{.kind = Kind::kSoftsync, .bound = Mode::kUnbounded, .splits = 4}));
  EXPECT_EQ(*parse_mode("local:16"), (Mode{.kind = Kind::kBackup, .local_steps = 16}));
  EXPECT_EQ(*parse_mode("local:4+ssp:2"), (Mode{.kind = Kind::kSsp, .bound = 2, .local_steps = 4}));
  EXPECT_EQ(parse_mode("local:4+asp")->steps_per_clock(), 4);
  EXPECT_EQ(parse_mode("asp")->steps_per_clock(), 1);
  EXPECT_FALSE(parse_mode("asp")->local());
  EXPECT_EQ(parse_mode("bsp")->apply(), Mode::Apply::kAggregate);
  for (const char* text : {"ssp:3", "dssp:0..3", "asp"}) EXPECT_EQ(parse_mode(text)->apply(), Mode::Apply::kOnArrival);
  for (const char* text : {"backup:0", "softsync:1"}) EXPECT_EQ(parse_mode(text)->apply(), Mode::Apply::kCommitted);
  for (const char* text : {"bsp", "backup:1"}) EXPECT_FALSE(parse_mode(text)->has_ages());
  for (const char* text : {"softsync:1", "ssp:0", "dssp:0..0", "asp"}) EXPECT_TRUE(parse_mode(text)->has_ages());
}

TEST(Mode, RoundTripsAndIsStrict) {
  for (const char* text :
       {"bsp", "asp", "ssp:0", "ssp:3", "ssp:1000000", "dssp:0..0", "dssp:1..8", "dssp:3..10000", "backup:0",
        "backup:3", "softsync:1", "softsync:16", "local:1", "local:1000000", "local:16+asp", "local:2+ssp:0",
        "local:2+dssp:0..3", "local:2+backup:1", "local:2+softsync:1"})
    EXPECT_EQ(mode_name(*parse_mode(text)), text);
  EXPECT_EQ(mode_name(*parse_mode("local:2+backup:0")), "local:2");
  for (const char* text : {"",
                           "BSP",
                           "bsp:1",
                           "bsp:",
                           "ssp",
                           "ssp:",
                           "ssp:-1",
                           "ssp:+1",
                           "ssp: 1",
                           "ssp:1 ",
                           "ssp:1.5",
                           "ssp:1000001",
                           "ssp:99999999999999999999",
                           "asp:3",
                           " asp",
                           "dssp",
                           "dssp:3",
                           "dssp:3..",
                           "dssp:..3",
                           "dssp:3..2",
                           "dssp:1..2..3",
                           "dssp:1.2",
                           "dssp:1..10001",
                           "backup",
                           "backup:",
                           "backup:-1",
                           "backup:1.0",
                           "softsync",
                           "softsync:0",
                           "softsync:x",
                           "softsync:1 ",
                           "local",
                           "local:",
                           "local:0",
                           "local:1000001",
                           "local:2+",
                           "local:2+bsp",
                           "local:2+local:2",
                           "local:2+ssp",
                           "local:2+ssp:1+asp",
                           "local:2 + asp",
                           "asp+local:2"})
    EXPECT_FALSE(parse_mode(text).ok()) << text;
}

Result<Job> job_with(const std::string& mode, int workers) {
  return parse_job("[model]\nname = \"quadratic\"\n[data]\nkind = \"synthetic\"\n", "job.toml",
                   {{"consistency.mode", mode}, {"cluster.workers", std::to_string(workers)}});
}

TEST(Mode, ItsNumbersFitTheWorkers) {
  EXPECT_TRUE(job_with("backup:2", 3).ok());
  EXPECT_THAT(job_with("backup:3", 3).error().message,
              HasSubstr("leaves nobody to wait for: the number of backup workers must be below cluster.workers = 3"));
  EXPECT_TRUE(job_with("softsync:3", 3).ok());
  EXPECT_THAT(job_with("softsync:4", 3).error().message, HasSubstr("must be at most cluster.workers = 3"));
  EXPECT_THAT(job_with("local:2+backup:3", 3).error().message, HasSubstr("must be below cluster.workers = 3"));
  EXPECT_TRUE(job_with("ssp:9", 30).ok()) << "only bsp cuts batches into leaves";
}

}  // namespace
}  // namespace rubato
