// Every way in which an idx file can be wrong is told apart.
#include "data/idx_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using rubato::test::TempDirectory;
using test::gzip;
using test::idx_bytes;
using test::write_bytes;
using testing::HasSubstr;

Result<IdxFile> read(const std::string& bytes) {
  const TempDirectory directory;
  write_bytes(directory.file("f"), bytes);
  auto idx = read_idx(directory.file("f"));
  if (!idx.ok()) {
    EXPECT_EQ(idx.error().cause, Cause::kData);
    EXPECT_THAT(idx.error().message, testing::StartsWith(directory.file("f: ")));
  }
  return idx;
}

TEST(IdxFile, ReadsPlainAndCompressedFiles) {
  const std::string bytes = idx_bytes({2, 3}, "abcdef");
  for (const std::string& file : {bytes, gzip(bytes)}) {
    const auto idx = read(file);
    ASSERT_TRUE(idx.ok()) << idx.error().message;
    EXPECT_EQ(idx->extents, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(std::string(idx->values.begin(), idx->values.end()), "abcdef");
  }
}

TEST(IdxFile, ReadsFilesLongerThanAChunk) {
  std::string values(40'000'000, '\0');
  for (std::size_t i = 0; i < values.size(); i += 4093) values[i] = static_cast<char>(i);
  const auto idx = read(gzip(idx_bytes({40'000, 1'000}, values)));
  ASSERT_TRUE(idx.ok()) << idx.error().message;
  EXPECT_TRUE(std::equal(values.begin(), values.end(), idx->values.begin(), idx->values.end(),
                         [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; }));
  EXPECT_LE(idx->values.capacity(), values.size() + 1);  // it never outgrew anything
}

struct Wrong {
  const char* name;
  std::string bytes;
  const char* message;
};

class WrongIdxFile : public testing::TestWithParam<Wrong> {};

TEST_P(WrongIdxFile, SaysWhatWasExpectedAndFound) {
  const auto idx = read(GetParam().bytes);
  ASSERT_FALSE(idx.ok());
  EXPECT_THAT(idx.error().message, HasSubstr(GetParam().message));
}

std::string damaged(std::string bytes, std::size_t from_end) {
  bytes[bytes.size() - from_end] ^= 0x55;
  return bytes;
}

const std::string kGood = idx_bytes({2, 3}, "abcdef");

INSTANTIATE_TEST_SUITE_P(
    Table, WrongIdxFile,
    testing::ValuesIn(std::vector<Wrong>{
        {"empty", "", "expected the 4 bytes of an idx magic number, found 0"},
        {"text", "hello, world",
         "expected an idx file, which begins with 00 00 08 NN, NN from 1 to 4, found a text that begins with \"hello, "
         "world\""},
        {"numpy", "\x93NUMPY\x01", "found a numpy array (npy)"},
        {"png", "\x89PNG\r\n", "found a PNG image"},
        {"no_extents", idx_bytes({}, ""), "found 00 00 08 00"},
        {"five_extents", idx_bytes({1, 1, 1, 1, 1}, "a"), "found 00 00 08 05"},
        {"floats", idx_bytes({1}, "abcd", 0x0D), "expected idx values of type 08, unsigned bytes, found type 0d"},
        {"short_header", kGood.substr(0, 9), "cut off in the header: expected 8 bytes of extents, found 5"},
        {"nothing", idx_bytes({0, 3}, ""), "the header says 0 x 3: there is nothing in it"},
        {"huge", idx_bytes({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "a"),
         "more than the 1099511627776 values"},
        {"promises_too_much", idx_bytes({0xFFFFFF, 0xFFFF}, "abc"), "= 1099494785025 bytes after the header, found 3"},
        {"short", kGood.substr(0, kGood.size() - 1), "cut off: expected 2 x 3 = 6 bytes after the header, found 5"},
        {"long", kGood + "g", "too long: expected 2 x 3 = 6 bytes after the header, found more"},
        {"short_inside_gzip", gzip(kGood.substr(0, kGood.size() - 1)), "cut off: expected 2 x 3 = 6 bytes"},
        {"long_inside_gzip", gzip(kGood + "g"), "too long: expected 2 x 3 = 6 bytes"},
        {"cut_gzip", gzip(kGood).substr(0, gzip(kGood).size() - 9), "the gzip file is cut off: its end is missing"},
        {"cut_gzip_checksum", gzip(kGood).substr(0, gzip(kGood).size() - 3), "the gzip file is cut off"},
        {"cut_gzip_header", gzip(kGood).substr(0, 6), "the gzip file is cut off"},
        {"damaged_gzip_checksum", damaged(gzip(kGood), 8), "the gzip file is damaged: "},
        {"damaged_gzip_length", damaged(gzip(kGood), 1), "the gzip file is damaged: "},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(IdxFile, EveryCutOfAFileIsRefused) {
  for (const std::string& file : {kGood, gzip(kGood)}) {
    for (std::size_t length = 0; length < file.size(); ++length) {
      EXPECT_FALSE(read(file.substr(0, length)).ok()) << length << " of " << file.size() << " bytes";
    }
  }
}

// zlib decompresses so many bytes straight to where they are wanted, and stops when they are there: the checksum behind
// them is another matter.
TEST(IdxFile, ALargeFileThatIsCutInItsChecksumIsRefused) {
  std::string values(1 << 20, 'a');
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<char>(i * i >> 7);
  const std::string file = gzip(idx_bytes({1 << 20}, values));
  ASSERT_TRUE(read(file).ok());
  for (std::size_t cut = 1; cut <= 16; ++cut) {
    const auto idx = read(file.substr(0, file.size() - cut));
    ASSERT_FALSE(idx.ok()) << "without its last " << cut << " bytes";
    EXPECT_THAT(idx.error().message, HasSubstr("the gzip file is cut off")) << cut;
  }
}

TEST(IdxFile, MissingFilesAndDirectories) {
  EXPECT_EQ(read_idx("/nowhere/f.gz").error().message, "/nowhere/f.gz: No such file or directory");
  const TempDirectory directory;
  EXPECT_THAT(read_idx(directory.path().string()).error().message, HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace rubato::data
