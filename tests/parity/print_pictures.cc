// What becomes of an image, before it is normalized, as 32-bit floats: pictures_test.py computes the same in PIL.
//
//   print_pictures FILE CHANNELS SIZE center RESIZE
//   print_pictures FILE CHANNELS SIZE box TOP LEFT HEIGHT WIDTH
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "data/crop.h"
#include "data/picture_file.h"
#include "data/resample.h"

namespace rubato::data {
namespace {

Axis of_box(std::int64_t from, std::int64_t count, std::int64_t outputs) {
  return {static_cast<double>(from), static_cast<double>(count) / static_cast<double>(outputs), from, from + count,
          outputs};
}

int run(const std::vector<std::string>& words) {
  const auto number = [&](std::size_t at) { return std::stoll(words.at(at)); };
  DataConfig config;
  config.image_size = number(2);
  std::vector<std::uint8_t> file;
  Picture picture;
  const Status status = read_picture(words.at(0), {.channels = number(1), .least_side = 0}, file, picture);
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", status.error().message);
    return status.error().exit_code();
  }
  View view;
  if (words.at(3) == "center") {
    config.resize = number(4);
    view = center_view(picture.height, picture.width, config);
  } else {
    view = {.rows = of_box(number(4), number(6), config.image_size),
            .columns = of_box(number(5), number(7), config.image_size)};
  }
  std::vector<float> out(static_cast<std::size_t>(config.image_size * config.image_size * picture.channels));
  Resampler().run(picture, view, out.data());
  return std::fwrite(out.data(), sizeof(float), out.size(), stdout) == out.size() ? 0 : 1;
}

}  // namespace
}  // namespace rubato::data

int main(int argc, char** argv) { return rubato::data::run({argv + 1, argv + argc}); }
