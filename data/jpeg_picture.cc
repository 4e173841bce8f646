#include "data/jpeg_picture.h"

#include <fmt/format.h>
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it and does not say so
#include <string>

namespace rubato::data {
namespace {

// A block of 8 x 8 takes a bit at least, so a byte stands for no more pixels than this, however well it is packed.
constexpr std::int64_t kPixelsPerByteMax = 1024;

// Bytes that cameras fill a scan up with, to a whole word of what writes it. More before a marker is what a decoder
// that lost its way has left over.
constexpr int kFillBytesMax = 64;

// What libjpeg goes on after and an image is whole for all that. Everything else that it warns of means pixels made up.
bool is_harmless(const jpeg_error_mgr& warning) {
  if (warning.msg_code == JWRN_EXTRANEOUS_DATA) return warning.msg_parm.i[0] <= kFillBytesMax;
  constexpr std::array kHarmless = {static_cast<int>(JWRN_ADOBE_XFORM), static_cast<int>(JWRN_JFIF_MAJOR),
                                    static_cast<int>(JWRN_TOO_MUCH_DATA)};
  return std::ranges::find(kHarmless, warning.msg_code) != kHarmless.end();
}

// libjpeg reports an error by a function that must not return. It jumps out, over libjpeg's own frames alone: between
// setjmp and the jump no object of ours is made whose destructor would be missed.
class JpegReader {
 public:
  explicit JpegReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    state_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = &JpegReader::jump_out;
    errors_.manager.emit_message = &JpegReader::hear_warning;
    if (setjmp(errors_.jump) == 0) jpeg_create_decompress(&state_);
  }
  ~JpegReader() { jpeg_destroy_decompress(&state_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  // False: error() says why.
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_mem_src(&state_, bytes_.data(), static_cast<unsigned long>(bytes_.size()));
    jpeg_read_header(&state_, TRUE);
    in_scans_ = jpeg_has_multiple_scans(&state_) != 0;
    return true;
  }
  [[nodiscard]] PictureHeader header() const {
    return {.height = state_.image_height,
            .width = state_.image_width,
            .channels = state_.num_components,
            .bits = 8,
            .in_scans = in_scans_};
  }
  bool start(const DecodeWish& wish, int eighths) {
    if (setjmp(errors_.jump) != 0) return false;
    const bool inks = state_.num_components == 4;
    state_.out_color_space = inks ? JCS_CMYK : wish.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    state_.scale_num = static_cast<unsigned>(eighths);
    state_.scale_denom = 8;
    jpeg_start_decompress(&state_);
    return true;
  }
  [[nodiscard]] std::int64_t height() const { return state_.output_height; }
  [[nodiscard]] std::int64_t width() const { return state_.output_width; }
  [[nodiscard]] std::int64_t channels() const { return state_.output_components; }
  bool read_rows(std::uint8_t* pixels) {
    if (setjmp(errors_.jump) != 0) return false;
    const std::size_t row_bytes = std::size_t{state_.output_width} * static_cast<std::size_t>(state_.output_components);
    while (state_.output_scanline < state_.output_height) {
      std::array<JSAMPROW, 4> rows;
      const std::size_t count = std::min<std::size_t>(rows.size(), state_.output_height - state_.output_scanline);
      for (std::size_t i = 0; i < count; ++i) rows[i] = pixels + (state_.output_scanline + i) * row_bytes;
      jpeg_read_scanlines(&state_, rows.data(), static_cast<JDIMENSION>(count));
    }
    jpeg_finish_decompress(&state_);
    return true;
  }
  [[nodiscard]] Error error() const {
    // Where the decoder ran into a marker, or, by a length that is wrong, past the end, its input is there and damaged.
    const bool ended = errors_.manager.msg_code == JWRN_JPEG_EOF && !ends_in_marker();
    return {Cause::kData, ended ? std::string("cut off: the JPEG's end is missing")
                                : fmt::format("a damaged JPEG ({})", errors_.text.data())};
  }

 private:
  [[nodiscard]] bool ends_in_marker() const {
    return bytes_.size() >= 2 && bytes_[bytes_.size() - 2] == 0xFF && bytes_.back() == JPEG_EOI;
  }

  struct Errors {
    jpeg_error_mgr manager;  // first: libjpeg knows this one's address
    std::jmp_buf jump;
    std::array<char, JMSG_LENGTH_MAX> text;
  };

  static void jump_out(j_common_ptr state) {
    auto* const errors = reinterpret_cast<Errors*>(state->err);
    state->err->format_message(state, errors->text.data());
    std::longjmp(errors->jump, 1);  // NOLINT: libjpeg knows no other way
  }
  static void hear_warning(j_common_ptr state, int level) {
    if (level < 0 && !is_harmless(*state->err)) jump_out(state);
  }

  const std::span<const std::uint8_t> bytes_;
  Errors errors_{};
  jpeg_decompress_struct state_{};
  bool in_scans_ = false;
};

Status check_size(const PictureHeader& header, std::size_t bytes) {
  const std::int64_t pixels = header.height * header.width;
  if (pixels <= std::min(kPicturePixelsMax, kPixelsPerByteMax * static_cast<std::int64_t>(bytes))) return {};
  return Error{Cause::kData,
               fmt::format("a damaged JPEG ({} x {} pixels in {} bytes)", header.height, header.width, bytes)};
}

// Of cyan, magenta, yellow and black, as Adobe writes them: 255 is none of it. As PIL does it.
void make_colours(std::vector<std::uint8_t>& pixels) {
  const auto parts_of_255 = [](unsigned a, unsigned b) {
    const unsigned product = a * b + 128;
    return ((product >> 8) + product) >> 8;
  };
  const std::size_t count = pixels.size() / 4;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned light = pixels[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c)
      pixels[3 * i + c] = static_cast<std::uint8_t>(light - parts_of_255(255u - pixels[4 * i + c], light));
  }
  pixels.resize(3 * count);
}

}  // namespace

bool is_jpeg(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

Result<PictureHeader> read_jpeg_header(std::span<const std::uint8_t> bytes) {
  JpegReader reader(bytes);
  if (!reader.read_header()) return reader.error();
  return reader.header();
}

int jpeg_eighths(const PictureHeader& header, std::int64_t least_side) {
  const std::int64_t side = std::min(header.height, header.width);
  for (const int eighths : {1, 2, 4})
    if (least_side > 0 && (side * eighths + 7) / 8 >= least_side) return eighths;
  return 8;
}

PictureHeader jpeg_scaled(const PictureHeader& header, std::int64_t least_side) {
  const std::int64_t eighths = jpeg_eighths(header, least_side);
  PictureHeader scaled = header;
  scaled.height = (header.height * eighths + 7) / 8;
  scaled.width = (header.width * eighths + 7) / 8;
  return scaled;
}

Status decode_jpeg(std::span<const std::uint8_t> bytes, const DecodeWish& wish, Picture& picture) {
  JpegReader reader(bytes);
  if (!reader.read_header()) return reader.error();
  RUBATO_TRY(check_size(reader.header(), bytes.size()));
  if (!reader.start(wish, jpeg_eighths(reader.header(), wish.least_side))) return reader.error();
  picture.height = reader.height();
  picture.width = reader.width();
  picture.channels = reader.channels();
  if (picture.wide()) picture.pixels.emplace<0>();
  auto& pixels = std::get<0>(picture.pixels);
  pixels.resize(static_cast<std::size_t>(picture.bytes()));
  if (!reader.read_rows(pixels.data())) return reader.error();
  if (picture.channels == 4) {
    make_colours(pixels);
    picture.channels = 3;
  }
  return {};
}

}  // namespace rubato::data
