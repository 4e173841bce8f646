// Which part of an image becomes an input: as torchvision chooses it.
#include "data/crop.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rubato::data {
namespace {

DataConfig config_of(std::int64_t image_size, std::int64_t resize = 0) {
  DataConfig config;
  config.image_size = image_size;
  config.resize = resize;
  return config;
}

TEST(Crop, TheShortSideIsResizedAndTheCentreCutOut) {
  EXPECT_EQ(resized_side(config_of(224)), 256);
  EXPECT_EQ(resized_side(config_of(28, 28)), 28);
  // 300 x 451: the short side becomes 256, the long one int(256 * 451 / 300) = 384; 16 and 80 are left aside of it.
  const View view = center_view(300, 451, config_of(224));
  EXPECT_EQ(view.rows, (Axis{.first = 16 * (300.0 / 256), .step = 300.0 / 256, .from = 0, .to = 300, .outputs = 224}));
  EXPECT_EQ(view.columns,
            (Axis{.first = 80 * (451.0 / 384), .step = 451.0 / 384, .from = 0, .to = 451, .outputs = 224}));
  EXPECT_FALSE(view.mirrored);
  const View turned = center_view(451, 300, config_of(224));
  EXPECT_EQ(turned.rows, view.columns);
  EXPECT_EQ(turned.columns, view.rows);
}

TEST(Crop, HalfAPixelGoesToTheEvenSideAsInPython) {
  // 33 - 28 leaves 2.5 on each side, 35 - 28 leaves 3.5: round(2.5) is 2, round(3.5) is 4.
  EXPECT_EQ(center_view(33, 35, config_of(28, 33)).rows.first, 2.0);
  EXPECT_EQ(center_view(33, 35, config_of(28, 33)).columns.first, 4.0);
}

TEST(Crop, AnImageOfTheRightSizeIsTakenAsItIs) {
  const View view = center_view(28, 28, config_of(28, 28));
  EXPECT_EQ(view.rows, (Axis{.first = 0.0, .step = 1.0, .from = 0, .to = 28, .outputs = 28}));
}

TEST(Crop, RandomPartsKeepTheirAreaAndShape) {
  const DataConfig config = config_of(224);
  double area_sum = 0.0, log_ratio_sum = 0.0;
  constexpr int kSamples = 4000;
  for (std::uint64_t sample = 0; sample < kSamples; ++sample) {
    RandomStream random = crop_stream(7, 3, sample);
    const Box box = random_box(500, 400, config, random);
    ASSERT_GE(box.top, 0);
    ASSERT_GE(box.left, 0);
    ASSERT_LE(box.top + box.height, 500);
    ASSERT_LE(box.left + box.width, 400);
    const double area = static_cast<double>(box.height * box.width) / (500.0 * 400.0);
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    // Half a pixel of rounding at either side of the smallest part, 126 x 126.
    ASSERT_GT(area, 0.08 * 0.99);
    ASSERT_GT(ratio, 0.75 * 0.99);
    ASSERT_LT(ratio, 4.0 / 3.0 * 1.01);
    area_sum += area;
    log_ratio_sum += std::log(ratio);
  }
  // Uniform from 0.08 to 1, of which the largest often do not fit and are drawn again: below 0.54, far above 0.08.
  EXPECT_GT(area_sum / kSamples, 0.40);
  EXPECT_LT(area_sum / kSamples, 0.54);
  EXPECT_LT(std::abs(log_ratio_sum / kSamples), 0.08) << "wide and narrow ones, by the logarithm";
}

TEST(Crop, WhereNoPartFitsTheMiddleIsTaken) {
  DataConfig config = config_of(32);
  config.crop_area = {1.0, 1.0};
  RandomStream random(1);
  EXPECT_EQ(random_box(40, 400, config, random), (Box{.top = 0, .left = 173, .height = 40, .width = 53}));
  EXPECT_EQ(random_box(400, 40, config, random), (Box{.top = 173, .left = 0, .height = 53, .width = 40}));
  EXPECT_EQ(random_box(1, 1, config, random), (Box{.top = 0, .left = 0, .height = 1, .width = 1}));
}

TEST(Crop, OfEachSampleInEachEpochItIsAnother) {
  const DataConfig config = config_of(32);
  const auto box = [&](std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample) {
    RandomStream random = crop_stream(seed, epoch, sample);
    return random_box(200, 300, config, random);
  };
  EXPECT_EQ(box(1, 2, 3), box(1, 2, 3));
  EXPECT_NE(box(1, 2, 3), box(1, 2, 4));
  EXPECT_NE(box(1, 2, 3), box(1, 3, 3));
  EXPECT_NE(box(1, 2, 3), box(2, 2, 3));
}

TEST(Crop, LeftAndRightChangePlacesAsOftenAsTheJobSays) {
  DataConfig config = config_of(32);
  const auto mirrored = [&](double flip) {
    config.flip = flip;
    int count = 0;
    for (std::uint64_t sample = 0; sample < 2000; ++sample) {
      RandomStream random = crop_stream(1, 0, sample);
      count += training_view(64, 64, config, random).mirrored ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(mirrored(0.0), 0);
  EXPECT_EQ(mirrored(1.0), 2000);
  EXPECT_NEAR(mirrored(0.25), 500, 5 * std::sqrt(2000 * 0.25 * 0.75));  // 5 standard deviations
  config.crop = "center";
  EXPECT_EQ(mirrored(1.0), 2000) << "whatever is cut out";
}

}  // namespace
}  // namespace rubato::data
