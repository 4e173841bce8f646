// Resampling against its definition, in double precision and over all pixels. tests/parity/pictures_test.py compares it
// with PIL.
#include "data/resample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/data/picture_files.h"

namespace rubato::data {
namespace {

using test::pattern;

double weight(const Axis& axis, std::int64_t output, std::int64_t pixel) {
  if (pixel < axis.from || pixel >= axis.to) return 0.0;
  const double center = axis.first + (static_cast<double>(output) + 0.5) * axis.step;
  const double reach = std::max(1.0, axis.step);
  return std::max(0.0, 1.0 - std::abs(static_cast<double>(pixel) + 0.5 - center) / reach);
}

double value_of(const Picture& picture, std::int64_t y, std::int64_t x, std::int64_t channel) {
  const auto at = static_cast<std::size_t>((y * picture.width + x) * picture.channels + channel);
  return std::visit([&](const auto& pixels) { return static_cast<double>(pixels[at]); }, picture.pixels);
}

double expected(const Picture& picture, const View& view, std::int64_t row, std::int64_t column, std::int64_t channel) {
  if (view.mirrored) column = view.columns.outputs - 1 - column;
  double sum = 0.0, weights = 0.0;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    const double of_row = weight(view.rows, row, y);
    if (of_row == 0.0) continue;
    for (std::int64_t x = 0; x < picture.width; ++x) {
      const double both = of_row * weight(view.columns, column, x);
      sum += both * value_of(picture, y, x, channel);
      weights += both;
    }
  }
  return sum / weights;
}

void expect_right(const Picture& picture, const View& view) {
  const std::int64_t rows = view.rows.outputs, columns = view.columns.outputs;
  std::vector<float> out(static_cast<std::size_t>(rows * columns * picture.channels));
  Resampler().run(picture, view, out.data());
  // A weight is rounded to 24 bits, and each of some tens of products and sums by as much: of the greatest value.
  const double bound = (picture.wide() ? 65535.0 : 255.0) * 64 * 0x1p-24;
  std::size_t at = 0;
  for (std::int64_t y = 0; y < rows; ++y)
    for (std::int64_t x = 0; x < columns; ++x)
      for (std::int64_t c = 0; c < picture.channels; ++c)
        ASSERT_NEAR(out[at++], expected(picture, view, y, x, c), bound) << y << ", " << x << ", " << c;
}

Axis axis(double first, double count, std::int64_t from, std::int64_t to, std::int64_t outputs) {
  return {.first = first, .step = count / static_cast<double>(outputs), .from = from, .to = to, .outputs = outputs};
}

TEST(Resample, IsTheWeightedMeanOfWhatAnOutputStandsFor) {
  for (const std::int64_t channels : {1, 3})
    for (const int bits : {8, 16}) {
      const Picture picture = pattern(37, 51, channels, bits);
      expect_right(picture, {axis(0, 37, 0, 37, 11), axis(0, 51, 0, 51, 13)});          // smaller
      expect_right(picture, {axis(0, 37, 0, 37, 60), axis(0, 51, 0, 51, 70)});          // larger
      expect_right(picture, {axis(5, 20, 5, 25, 9), axis(30, 7, 30, 37, 16)});          // a part, either way
      expect_right(picture, {axis(4.7, 20, 0, 37, 8), axis(1.3, 48, 0, 51, 8), true});  // a middle, mirrored
    }
}

TEST(Resample, AtItsOwnSizeAnImageStaysAsItIs) {
  const Picture picture = pattern(9, 7, 3);
  std::vector<float> out(std::size_t{9} * 7 * 3);
  Resampler().run(picture, {axis(0, 9, 0, 9, 9), axis(0, 7, 0, 7, 7)}, out.data());
  const auto& pixels = std::get<0>(picture.pixels);
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], static_cast<float>(pixels[i]));
}

TEST(Resample, AnImageOfOneColourKeepsItWhateverIsCutOut) {
  Picture picture{
      .height = 13, .width = 17, .channels = 1, .pixels = std::vector<std::uint8_t>(std::size_t{13} * 17, 200)};
  DataConfig config;
  config.image_size = 8;
  for (std::uint64_t sample = 0; sample < 200; ++sample) {
    RandomStream random = crop_stream(1, 0, sample);
    float out[64];
    Resampler().run(picture, training_view(13, 17, config, random), out);
    for (const float value : out) ASSERT_NEAR(value, 200.0f, 1e-3f);
  }
}

TEST(Resample, OnePixelIsEnough) {
  const Picture picture = pattern(1, 1, 3);
  DataConfig config;
  config.image_size = 4;
  RandomStream random(1);
  expect_right(picture, training_view(1, 1, config, random));
  expect_right(picture, center_view(1, 1, config));
}

TEST(Resample, MemoryThatIsUsedAgainChangesNothing) {
  const Picture large = pattern(40, 60, 3), small = pattern(5, 4, 1, 16);
  Resampler used;
  std::vector<float> first(std::size_t{10} * 10 * 3), again(first.size()), other(std::size_t{6} * 6);
  const View view{axis(0, 40, 0, 40, 10), axis(0, 60, 0, 60, 10)};
  used.run(large, view, first.data());
  used.run(small, {axis(0, 5, 0, 5, 6), axis(0, 4, 0, 4, 6)}, other.data());
  used.run(large, view, again.data());
  EXPECT_EQ(first, again);
}

}  // namespace
}  // namespace rubato::data
