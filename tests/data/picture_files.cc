#include "tests/data/picture_files.h"

#include <jpeglib.h>
#include <png.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace rubato::data::test {
namespace {

template <class Value>
std::vector<Value> pattern_of(std::int64_t height, std::int64_t width, std::int64_t channels, double greatest) {
  std::vector<Value> pixels;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x)
      for (std::int64_t c = 0; c < channels; ++c) {
        const double wave = std::sin(0.11 * static_cast<double>(x) + static_cast<double>(c)) +
                            std::cos(0.07 * static_cast<double>(y) + 0.03 * static_cast<double>(x));
        const double slope = static_cast<double>(x) / static_cast<double>(width) +
                             2.0 * static_cast<double>(y) / static_cast<double>(height);
        pixels.push_back(static_cast<Value>(greatest * (wave + 2.0 + slope) / 7.0));
      }
  return pixels;
}

void append(png_structp png, png_bytep bytes, std::size_t count) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(bytes), count);
}

}  // namespace

Picture pattern(std::int64_t height, std::int64_t width, std::int64_t channels, int bits) {
  Picture picture{.height = height, .width = width, .channels = channels, .pixels = {}};
  if (bits == 16)
    picture.pixels = pattern_of<std::uint16_t>(height, width, channels, 65535.0);
  else
    picture.pixels = pattern_of<std::uint8_t>(height, width, channels, 255.0);
  return picture;
}

std::string png_bytes(const Picture& picture, const PngForm& form) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &bytes, append, nullptr);
  int type = picture.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY;
  if (form.palette) type = PNG_COLOR_TYPE_PALETTE;
  if (form.alpha) type |= PNG_COLOR_MASK_ALPHA;
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height),
               picture.wide() ? 16 : 8, type, form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (form.palette) {  // number i is the colour (i, 255 - i, i / 2)
    std::vector<png_color> colours(256);
    for (int i = 0; i < 256; ++i)
      colours[static_cast<std::size_t>(i)] = {static_cast<png_byte>(i), static_cast<png_byte>(255 - i),
                                              static_cast<png_byte>(i / 2)};
    png_set_PLTE(png, info, colours.data(), 256);
  }
  png_write_info(png, info);
  if (picture.wide()) png_set_swap(png);
  const auto numbers = static_cast<std::size_t>(picture.width * picture.channels);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass)
    for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y)
      std::visit(
          [&](const auto& pixels) {
            using Value = typename std::decay_t<decltype(pixels)>::value_type;
            std::vector<Value> row;
            for (std::size_t i = 0; i < numbers; ++i) {
              row.push_back(pixels[y * numbers + i]);
              if (form.alpha && (i + 1) % static_cast<std::size_t>(picture.channels) == 0) row.push_back(7);
            }
            png_write_row(png, reinterpret_cast<png_const_bytep>(row.data()));
          },
          picture.pixels);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::string jpeg_bytes(const Picture& picture, const JpegForm& form) {
  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&state, &memory, &size);
  const auto& pixels = std::get<0>(picture.pixels);
  state.image_width = static_cast<JDIMENSION>(picture.width);
  state.image_height = static_cast<JDIMENSION>(picture.height);
  state.input_components = form.cmyk ? 4 : static_cast<int>(picture.channels);
  state.in_color_space = form.cmyk ? JCS_CMYK : picture.channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, form.quality, TRUE);
  if (form.progressive) jpeg_simple_progression(&state);
  jpeg_start_compress(&state, TRUE);
  const auto row_bytes = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(state.input_components);
  RUBATO_CHECK(pixels.size() == row_bytes * static_cast<std::size_t>(picture.height));
  while (state.next_scanline < state.image_height) {
    std::vector<unsigned char> row(pixels.begin() + static_cast<std::ptrdiff_t>(state.next_scanline * row_bytes),
                                   pixels.begin() + static_cast<std::ptrdiff_t>((state.next_scanline + 1) * row_bytes));
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&state, rows, 1);
  }
  jpeg_finish_compress(&state);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&state);
  std::free(memory);  // NOLINT: jpeg_mem_dest took it by malloc
  return bytes;
}

}  // namespace rubato::data::test
