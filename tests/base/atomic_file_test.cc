// Whole or not at all, also when the disk is full (played by a limit on file sizes).
#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <vector>

#include "tests/base/file_size_limit.h"
#include "tests/base/temp_directory.h"

namespace rubato {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string read_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(AtomicFile, AppearsOnCommit) {
  const test::TempDirectory directory;
  const std::string path = directory.file("f");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write(bytes_of("hello ")).ok());
  ASSERT_TRUE(file->write(bytes_of("world")).ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read_text(path), "hello world");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(AtomicFile, LeavesTheOldFileAndNoPartWithoutCommit) {
  const test::TempDirectory directory;
  const std::string path = directory.file("f");
  ASSERT_TRUE(write_file(path, bytes_of("old")).ok());
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok() && file->write(bytes_of("new")).ok());
  }
  EXPECT_EQ(read_text(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  ASSERT_TRUE(write_file(path, bytes_of("new")).ok());
  EXPECT_EQ(read_text(path), "new");
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const test::TempDirectory directory;
  const std::string path = directory.file("f");
  ASSERT_TRUE(write_file(path, bytes_of("old")).ok());
  {
    const test::FileSizeLimit limit(1000);
    const Status status = write_file(path, std::vector<std::byte>(5000));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().cause, Cause::kStorage);
    EXPECT_THAT(status.error().message, StartsWith(path + ": cannot write: "));
    EXPECT_THAT(status.error().message, HasSubstr("what was there before is unchanged"));
  }
  EXPECT_EQ(read_text(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(AtomicFile, SaysWhyItCannotCreate) {
  const Status status = write_file("/nowhere/f", {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kStorage);
  EXPECT_THAT(status.error().message, StartsWith("/nowhere/f: cannot create: No such file or directory"));
}

TEST(AtomicFile, CannotReplaceADirectory) {
  const test::TempDirectory directory;
  std::filesystem::create_directory(directory.file("d"));
  const Status status = write_file(directory.file("d"), {});
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("cannot rename into place"));
  EXPECT_FALSE(std::filesystem::exists(directory.file("d.partial")));
}

}  // namespace
}  // namespace rubato
