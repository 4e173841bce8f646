#include "scheduler/run_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "tests/base/temp_directory.h"

namespace rubato::scheduler {
namespace {

using testing::HasSubstr;

class RunFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("XDG_RUNTIME_DIR", runtime_.path().c_str(), 1);
    contact_ = {{"endpoint", "ipc:///somewhere#0123"}, {"pid", 4711}, {"job_id", "00000000000000ab"}};
  }

  [[nodiscard]] Result<RunFiles> open() const { return RunFiles::open(run_.path().string()); }
  [[nodiscard]] std::string entry() const { return runtime_.file("rubato/00000000000000ab.json"); }
  [[nodiscard]] static std::string text(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  const test::TempDirectory runtime_, run_;
  nlohmann::ordered_json contact_;
};

TEST_F(RunFilesTest, AJobIsListedWhileItRuns) {
  {
    RunFiles files = open().value();
    EXPECT_FALSE(std::filesystem::exists(entry()));
    ASSERT_TRUE(files.announce(contact_).ok());
    EXPECT_EQ(nlohmann::ordered_json::parse(text(entry())), contact_);
    EXPECT_EQ(nlohmann::ordered_json::parse(text(run_.file("scheduler.json"))), contact_);
  }
  EXPECT_FALSE(std::filesystem::exists(entry()));
  EXPECT_TRUE(std::filesystem::exists(run_.file("scheduler.json")));
}

// As a folder may be called whose name was written by an old program.
TEST_F(RunFilesTest, WhatIsNoTextIsWrittenAllTheSame) {
  contact_["run_dir"] = "/tmp/caf\xE9";
  RunFiles files = open().value();
  ASSERT_TRUE(files.announce(contact_).ok());
  EXPECT_EQ(nlohmann::ordered_json::parse(text(entry()))["run_dir"], "/tmp/caf\uFFFD");
}

TEST_F(RunFilesTest, TheListIsTheUsersAlone) {
  ASSERT_TRUE(open().value().announce(contact_).ok());
  struct stat info {};
  ASSERT_EQ(::stat(runtime_.file("rubato").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(RunFilesTest, TheTokenIsTheUsersAlone) {
  ASSERT_TRUE(open().value().announce(contact_).ok());
  struct stat info {};
  ASSERT_EQ(::stat(run_.file("scheduler.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RunFilesTest, MovingKeepsTheEntry) {
  std::optional<RunFiles> moved;
  {
    RunFiles files = open().value();
    ASSERT_TRUE(files.announce(contact_).ok());
    moved.emplace(std::move(files));
  }
  EXPECT_TRUE(std::filesystem::exists(entry()));
  moved.reset();
  EXPECT_FALSE(std::filesystem::exists(entry()));
}

TEST_F(RunFilesTest, OtherJobsStayListed) {
  RunFiles other = open().value();
  nlohmann::ordered_json contact = contact_;
  contact["job_id"] = "00000000000000cd";
  ASSERT_TRUE(other.announce(contact).ok());
  ASSERT_TRUE(open().value().announce(contact_).ok());
  EXPECT_FALSE(std::filesystem::exists(entry()));
  EXPECT_TRUE(std::filesystem::exists(runtime_.file("rubato/00000000000000cd.json")));
}

TEST_F(RunFilesTest, WithoutARuntimeFolderTheListIsInTmp) {
  ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(running_jobs_dir().value(), fmt::format("/tmp/rubato-{}", ::getuid()));
  ::setenv("XDG_RUNTIME_DIR", "", 1);
  EXPECT_EQ(running_jobs_dir().value(), fmt::format("/tmp/rubato-{}", ::getuid()));
}

// Followed by people and scripts while the job runs.
TEST_F(RunFilesTest, ALineIsThereAtOnce) {
  std::ofstream(run_.file("metrics.jsonl")) << "of an older run\n";
  RunFiles files = open().value();
  ASSERT_TRUE(files.write({{"event", "start"}, {"time_s", 0.5}}).ok());
  EXPECT_EQ(text(run_.file("metrics.jsonl")), "{\"event\":\"start\",\"time_s\":0.5}\n");
  ASSERT_TRUE(files.write({{"event", "epoch"}, {"train_loss", nullptr}}).ok());
  EXPECT_THAT(text(run_.file("metrics.jsonl")), HasSubstr("}\n{\"event\":\"epoch\",\"train_loss\":null}\n"));
}

// ---- what may go wrong ------------------------------------------------------------------------------

void expect_storage_error(const Status& status, const std::string& path) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kStorage);
  EXPECT_THAT(status.error().message, HasSubstr(path));
}

TEST_F(RunFilesTest, AFullDiskIsHeardOfWithTheLine) {
  std::filesystem::create_symlink("/dev/full", run_.file("metrics.jsonl"));
  RunFiles files = open().value();
  const Status status = files.write({{"event", "start"}});
  expect_storage_error(status, run_.file("metrics.jsonl"));
  EXPECT_THAT(status.error().message, HasSubstr("No space left"));
}

TEST_F(RunFilesTest, ARunDirectoryThatIsNotThere) {
  const auto files = RunFiles::open("/no/such/directory");
  ASSERT_FALSE(files.ok());
  expect_storage_error(files.error(), "/no/such/directory/metrics.jsonl");
}

TEST_F(RunFilesTest, AContactThatCannotBeWritten) {
  std::filesystem::create_directory(run_.file("scheduler.json"));
  RunFiles files = open().value();
  expect_storage_error(files.announce(contact_), run_.file("scheduler.json"));
  EXPECT_FALSE(std::filesystem::exists(entry()));
}

// The list is a convenience: no job ends because XDG_RUNTIME_DIR is not what it should be.
TEST_F(RunFilesTest, AListThatIsNoDirectoryOfOursIsInTmp) {
  const std::string in_tmp = fmt::format("/tmp/rubato-{}", ::getuid());
  std::ofstream(runtime_.file("rubato")) << "in the way";
  EXPECT_EQ(running_jobs_dir().value(), in_tmp);
  std::filesystem::remove(runtime_.file("rubato"));

  std::filesystem::create_directory_symlink(run_.path(), runtime_.file("rubato"));  // somebody else's choice
  EXPECT_EQ(running_jobs_dir().value(), in_tmp);
  std::filesystem::remove(runtime_.file("rubato"));

  ::setenv("XDG_RUNTIME_DIR", "/no/such/directory", 1);
  EXPECT_EQ(running_jobs_dir().value(), in_tmp);
  EXPECT_FALSE(std::filesystem::exists("/no/such/directory"));
}

}  // namespace
}  // namespace rubato::scheduler
