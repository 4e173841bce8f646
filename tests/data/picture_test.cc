// JPEG and PNG: what is read of them, and what is said of those that are damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/rng.h"
#include "data/jpeg_picture.h"
#include "data/picture_file.h"
#include "data/png_picture.h"
#include "tests/base/temp_directory.h"
#include "tests/data/damage.h"
#include "tests/data/idx_files.h"
#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::jpeg_bytes;
using test::JpegForm;
using test::pattern;
using test::png_bytes;
using test::write_bytes;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class PictureTest : public testing::Test {
 protected:
  [[nodiscard]] Picture read(const std::string& bytes, std::int64_t channels, std::int64_t least_side = 0) const {
    write_bytes(path_, bytes);
    std::vector<std::uint8_t> file;
    Picture picture;
    const Status status = read_picture(path_, {channels, least_side}, file, picture);
    EXPECT_TRUE(status.ok()) << status.error().message;
    const auto facts = examine_picture(path_, {channels, least_side});
    EXPECT_TRUE(facts.ok()) << facts.error().message;
    if (facts.ok()) {
      EXPECT_EQ(facts->decoded_bytes, picture.bytes());
      EXPECT_EQ(facts->file_bytes, bytes.size());
    }
    return picture;
  }
  // What examining says; reading says the same or, of what only decoding can find, more.
  [[nodiscard]] std::string error(const std::string& bytes, std::int64_t channels = 3) const {
    write_bytes(path_, bytes);
    const auto facts = examine_picture(path_, {channels, 0});
    if (facts.ok()) return "";
    EXPECT_EQ(facts.error().cause, Cause::kData);
    EXPECT_THAT(facts.error().message, StartsWith(path_ + ": "));
    return facts.error().message;
  }
  [[nodiscard]] std::string reading_error(const std::string& bytes) const {
    write_bytes(path_, bytes);
    std::vector<std::uint8_t> file;
    Picture picture;
    const Status status = read_picture(path_, {3, 0}, file, picture);
    return status.ok() ? "" : status.error().message;
  }

  rubato::test::TempDirectory directory_;
  const std::string path_ = directory_.file("image");
};

// Of two images of bytes, number by number.
double mean_difference(const Picture& a, const Picture& b) {
  const auto &x = std::get<0>(a.pixels), &y = std::get<0>(b.pixels);
  EXPECT_EQ(x.size(), y.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) sum += std::abs(x[i] - y[i]);
  return sum / static_cast<double>(x.size());
}

TEST_F(PictureTest, PngIsReadAsItWasWritten) {
  for (const std::int64_t channels : {1, 3})
    for (const int bits : {8, 16})
      for (const bool alpha : {false, true})
        for (const bool interlaced : {false, true}) {
          const Picture picture = pattern(19, 23, channels, bits);
          const Picture got = read(png_bytes(picture, {.alpha = alpha, .interlaced = interlaced}), channels);
          EXPECT_EQ(got.pixels, picture.pixels) << channels << " channels of " << bits << " bits";
        }
}

TEST_F(PictureTest, GrayBecomesColourWhereThatIsAskedFor) {
  const Picture gray = pattern(6, 5, 1), wide = pattern(6, 5, 1, 16);
  const Picture got = read(png_bytes(gray), 3), got_wide = read(png_bytes(wide), 3);
  for (std::size_t i = 0; i < 90; ++i) {
    EXPECT_EQ(std::get<0>(got.pixels)[i], std::get<0>(gray.pixels)[i / 3]);
    EXPECT_EQ(std::get<1>(got_wide.pixels)[i], std::get<1>(wide.pixels)[i / 3]);
  }
  const Picture jpeg = read(jpeg_bytes(gray), 3);
  EXPECT_EQ(jpeg.channels, 3);
  EXPECT_EQ(std::get<0>(jpeg.pixels)[0], std::get<0>(jpeg.pixels)[2]);
}

TEST_F(PictureTest, ColoursOfAPaletteAreLookedUp) {
  const Picture numbers = pattern(6, 5, 1);
  const Picture got = read(png_bytes(numbers, {.palette = true}), 3);
  for (std::size_t i = 0; i < 30; ++i) {
    const int number = std::get<0>(numbers.pixels)[i];
    EXPECT_EQ(std::get<0>(got.pixels)[3 * i], number);
    EXPECT_EQ(std::get<0>(got.pixels)[3 * i + 1], 255 - number);
    EXPECT_EQ(std::get<0>(got.pixels)[3 * i + 2], number / 2);
  }
}

TEST_F(PictureTest, JpegIsNearWhatWasWritten) {
  for (const std::int64_t channels : {1, 3})
    for (const bool progressive : {false, true}) {
      const Picture picture = pattern(61, 45, channels);
      const Picture got = read(jpeg_bytes(picture, {.progressive = progressive}), channels);
      EXPECT_EQ(got.height, 61);
      EXPECT_EQ(got.width, 45);
      EXPECT_LT(mean_difference(got, picture), 2.5);  // of 255, at quality 95: the colours are kept at half the size
    }
}

TEST_F(PictureTest, AJpegThatIsMuchLargerIsDecodedSmaller) {
  const Picture picture = pattern(160, 240, 3);
  const std::string bytes = jpeg_bytes(picture);
  const auto decoded = [&](std::int64_t least_side) { return read(bytes, 3, least_side).height; };
  EXPECT_EQ(decoded(0), 160);
  EXPECT_EQ(decoded(20), 20);
  EXPECT_EQ(decoded(21), 40);
  EXPECT_EQ(decoded(40), 40);
  EXPECT_EQ(decoded(80), 80);
  EXPECT_EQ(decoded(81), 160);
  EXPECT_EQ(decoded(1000), 160);
  // It is about the mean of what it stands for.
  const Picture half = read(bytes, 3, 80);
  Picture means{.height = 80, .width = 120, .channels = 3, .pixels = {}};
  auto& numbers = std::get<0>(means.pixels);
  const auto& of = std::get<0>(picture.pixels);
  for (std::size_t y = 0; y < 160; y += 2)
    for (std::size_t x = 0; x < 240; x += 2)
      for (std::size_t c = 0; c < 3; ++c) {
        const auto at = [&](std::size_t row, std::size_t column) { return of[(row * 240 + column) * 3 + c]; };
        numbers.push_back(static_cast<std::uint8_t>((at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4));
      }
  EXPECT_LT(mean_difference(half, means), 2.5);
}

TEST_F(PictureTest, OddSidesAreRoundedUp) {
  const std::string bytes = jpeg_bytes(pattern(161, 243, 3));
  const Picture got = read(bytes, 3, 21);
  EXPECT_EQ(got.height, 21);
  EXPECT_EQ(got.width, 31);
}

TEST_F(PictureTest, WrongChannelsAreNamed) {
  EXPECT_THAT(error(png_bytes(pattern(4, 4, 3)), 1),
              HasSubstr("expected a gray image (data.channels = 1), found 3 channels"));
  EXPECT_THAT(error(jpeg_bytes(pattern(4, 4, 3)), 1), HasSubstr("(data.channels = 1), found 3 channels"));
  Picture four = pattern(4, 4, 3);
  std::get<0>(four.pixels).resize(std::size_t{4} * 4 * 4);
  EXPECT_THAT(error(jpeg_bytes(four, {.cmyk = true}), 1), HasSubstr("(data.channels = 1), found 4 channels"));
}

// As Photoshop writes it: light rather than ink.
TEST_F(PictureTest, InksBecomeColours) {
  constexpr std::size_t kSide = 8;
  Picture four = pattern(kSide, kSide, 3);
  auto& pixels = std::get<0>(four.pixels);
  pixels.clear();
  for (std::size_t i = 0; i < kSide * kSide; ++i) pixels.insert(pixels.end(), {200, 100, 255, 128});
  const Picture got = read(jpeg_bytes(four, {.quality = 100, .cmyk = true}), 3);
  EXPECT_EQ(got.channels, 3);
  const auto& colours = std::get<0>(got.pixels);
  ASSERT_EQ(colours.size(), kSide * kSide * 3);
  constexpr std::array kExpected = {200 * 128 / 255, 100 * 128 / 255, 128};
  for (std::size_t i = 0; i < colours.size(); ++i) EXPECT_NEAR(colours[i], kExpected[i % 3], 2) << i;
}

TEST_F(PictureTest, WhatIsNoImageIsNamed) {
  EXPECT_THAT(error(""), HasSubstr("there is nothing in it"));
  EXPECT_THAT(error(std::string("GIF89a\x10\0\x10\0", 10)),
              HasSubstr("expected a JPEG or a PNG, found a file that begins with 47 49 46 38"));
  EXPECT_THAT(error("x"), HasSubstr("found a text that begins with \"x\""));
  const auto facts = examine_picture(directory_.file("none"), {});
  ASSERT_FALSE(facts.ok());
  EXPECT_THAT(facts.error().message, AllOf(HasSubstr("none: "), HasSubstr("No such file")));
}

TEST_F(PictureTest, DamageIsSurvivedAndAShortFileNoticed) {
  const std::vector<std::string> files = {
      png_bytes(pattern(9, 11, 3)),
      png_bytes(pattern(7, 5, 1, 16), {.interlaced = true}),
      png_bytes(pattern(6, 6, 1), {.palette = true}).substr(0),
      jpeg_bytes(pattern(17, 19, 3)),
      jpeg_bytes(pattern(17, 19, 3), {.progressive = true}),
      jpeg_bytes(pattern(16, 16, 1)),
  };
  for (const std::string& bytes : files) {
    const std::size_t noticed = test::expect_damage_is_survived(path_, bytes, [&]() -> std::string {
      const auto facts = examine_picture(path_, {3, 8});
      std::vector<std::uint8_t> file;
      Picture picture;
      const Status status = read_picture(path_, {3, 8}, file, picture);
      if (!facts.ok()) return facts.error().message;
      return status.ok() ? "" : status.error().message;
    });
    EXPECT_GT(noticed, bytes.size() / 4);
  }
}

TEST_F(PictureTest, AFileThatIsCutOffIsNoticedWithoutDecodingIt) {
  for (const std::string& bytes : {png_bytes(pattern(9, 11, 3)), jpeg_bytes(pattern(17, 19, 3))})
    for (std::size_t length = 0; length < bytes.size(); ++length)
      ASSERT_NE(error(bytes.substr(0, length)), "") << length << " of " << bytes.size();
}

TEST_F(PictureTest, DamageInTheMiddleIsFoundByReading) {
  std::string png = png_bytes(pattern(40, 40, 3));
  png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 0x55);
  EXPECT_EQ(error(png), "");
  EXPECT_THAT(reading_error(png), AllOf(StartsWith(path_ + ": "), HasSubstr("a damaged PNG (")));
}

// A file that ends as it should has lost nothing behind it.
TEST_F(PictureTest, AJpegThatIsDamagedIsNotCalledCutOff) {
  const std::string cut_off = "cut off: the JPEG's end is missing";
  for (const bool progressive : {false, true}) {
    const std::string good = jpeg_bytes(pattern(64, 64, 3), {.progressive = progressive});
    const std::size_t scan = good.find("\xFF\xDA");
    ASSERT_NE(scan, std::string::npos);
    for (std::size_t at = scan + 20; at + 40 < good.size(); at += 7) {
      std::string damaged = good;
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at), 20, '\0');
      ASSERT_THAT(reading_error(damaged), Not(HasSubstr(cut_off))) << at;
      damaged[at] = '\xFF', damaged[at + 1] = '\xD9';  // a marker where none belongs
      // Between two scans it is where an image of fewer of them would end.
      if (!progressive || !reading_error(damaged).empty()) {
        ASSERT_THAT(reading_error(damaged), HasSubstr("a damaged JPEG (")) << at;
      }
      ASSERT_THAT(reading_error(good.substr(0, at)), HasSubstr(cut_off)) << at;
    }
  }
}

// Some cameras fill a scan up. A decoder that has all its blocks, and the rest of the scan before it, read something
// else.
TEST_F(PictureTest, BytesTooManyInAJpegAreFillOrDamage) {
  const Picture picture = pattern(17, 19, 3);
  const std::string good = jpeg_bytes(picture);
  // A few of them are in the decoder's register, and not counted.
  const auto filled = [&](std::size_t count) {
    std::string bytes = good;
    return bytes.insert(bytes.size() - 2, count, '\x55');
  };
  EXPECT_EQ(read(filled(64), 3).pixels, read(good, 3).pixels);
  EXPECT_THAT(reading_error(filled(200)),
              ContainsRegex("a damaged JPEG \\(Corrupt JPEG data: 1.. extraneous bytes before"));
}

TEST_F(PictureTest, WhatComesBehindAJpegsEndDoesNoHarm) {
  const Picture picture = pattern(17, 19, 3);
  EXPECT_EQ(error(jpeg_bytes(picture) + "more"), "");
  EXPECT_EQ(read(jpeg_bytes(picture) + "more", 3).pixels, read(jpeg_bytes(picture), 3).pixels);
}

TEST_F(PictureTest, AHeaderFarBehindTheBeginningIsFound) {
  // Comments of 64 KiB before the header, as a large thumbnail or colour profile would be.
  const std::string bytes = jpeg_bytes(pattern(17, 19, 3));
  std::string comment = "\xFF\xFE\xFF\xFF";
  comment.resize(2 + 0xFFFF, 'c');
  EXPECT_EQ(error(bytes.substr(0, 2) + comment + comment + bytes.substr(2)), "");
  EXPECT_THAT(error(bytes.substr(0, 2) + comment), HasSubstr("cut off: the JPEG's end is missing"));
}

// Headers that claim more than the file can hold are refused before memory is taken for them.
TEST_F(PictureTest, AClaimIsNoReasonToTakeMemory) {
  std::string jpeg = jpeg_bytes(pattern(16, 16, 1));
  const std::size_t frame = jpeg.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  for (std::size_t i = 5; i < 9; ++i) jpeg[frame + i] = '\xF0';
  EXPECT_THAT(reading_error(jpeg), HasSubstr("a damaged JPEG (61680 x 61680 pixels in"));
}

TEST_F(PictureTest, NoiseBehindARightBeginningIsSurvived) {
  RandomStream random(3);
  const std::string png = png_bytes(pattern(9, 11, 3)), jpeg = jpeg_bytes(pattern(17, 19, 3), {.progressive = true});
  std::size_t refused = 0;
  constexpr std::size_t kTries = 3000;
  for (std::size_t i = 0; i < kTries; ++i) {
    std::string bytes = i % 2 == 0 ? png : jpeg;
    const std::uint64_t changes = 1 + random.below(20);
    for (std::uint64_t change = 0; change < changes; ++change)
      bytes[8 + random.below(bytes.size() - 8)] = static_cast<char>(random.below(256));
    refused += reading_error(bytes).empty() ? 0u : 1u;
  }
  EXPECT_GT(refused, kTries / 2);
}

}  // namespace
}  // namespace rubato::data
