#include "data/npz_write.h"

#include <gtest/gtest.h>

#include "data/npy_file.h"
#include "data/zip_file.h"
#include "tests/base/temp_directory.h"

namespace rubato::data {
namespace {

using rubato::test::TempDirectory;

TEST(NpzWrite, IsReadBack) {
  const TempDirectory directory;
  const std::vector<float> scores{1.5f, -2.0f, 3.0f, 0.0f, 5.0f, 6.0f};
  const std::vector<std::int64_t> classes{-1, 2, 1LL << 40};
  const std::vector<NpyArray> arrays{{"class", {3}, std::span(classes)}, {"scores", {3, 2}, std::span(scores)}};
  ASSERT_TRUE(write_npz(directory.file("a.npz"), arrays).ok());

  const auto zip = ZipFile::open(directory.file("a.npz"));
  ASSERT_TRUE(zip.ok()) << zip.error().message;
  ASSERT_EQ(zip->members().size(), 2u);
  {
    const auto source = zip->open_member("class.npy");
    ASSERT_TRUE(source.ok()) << source.error().message;
    const auto header = read_npy_header(**source);
    ASSERT_TRUE(header.ok()) << header.error().message;
    EXPECT_EQ(header->text(), "int64, 3");
    EXPECT_EQ(read_npy_integers(**source, *header).value(), classes);
  }
  const auto source = zip->open_member("scores.npy");
  ASSERT_TRUE(source.ok()) << source.error().message;
  const auto header = read_npy_header(**source);
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->text(), "float32, 3 x 2");
  EXPECT_EQ(read_npy_floats(**source, *header).value(), scores);
}

TEST(NpzWrite, WhatCannotBeWrittenIsSaid) { EXPECT_EQ(write_npz("/nowhere/a.npz", {}).error().cause, Cause::kStorage); }

}  // namespace
}  // namespace rubato::data
