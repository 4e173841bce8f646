#include "data/png_picture.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csetjmp>
#include <cstring>
#include <string>

namespace rubato::data {
namespace {

constexpr std::uint64_t kExpansionMax = 1032;  // of deflate: no byte of a PNG stands for more

// libpng reports an error by a function that must not return. It jumps out, over libpng's own frames alone: between
// setjmp and the jump no object of ours is made whose destructor would be missed.
class PngReader {
 public:
  explicit PngReader(std::span<const std::uint8_t> bytes) : left_(bytes) {
    png_ =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &PngReader::jump_out, [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ != nullptr) png_set_read_fn(png_, this, &PngReader::take);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // False: error() says why.
  bool read_header() {
    if (info_ == nullptr) {
      std::strcpy(text_.data(), "out of memory");
      return false;
    }
    if (setjmp(jump_) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }
  [[nodiscard]] PictureHeader header() const {
    const bool colour = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0;
    return {.height = png_get_image_height(png_, info_),
            .width = png_get_image_width(png_, info_),
            .channels = colour ? 3 : 1,
            .bits = png_get_bit_depth(png_, info_) == 16 ? 16 : 8};
  }
  [[nodiscard]] std::uint64_t packed_bytes() const {
    return std::uint64_t{png_get_rowbytes(png_, info_)} * png_get_image_height(png_, info_);
  }
  bool start(const DecodeWish& wish) {
    if (setjmp(jump_) != 0) return false;
    const png_byte type = png_get_color_type(png_, info_);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_alpha(png_);
    if (wish.channels == 3) png_set_gray_to_rgb(png_);
    if constexpr (std::endian::native == std::endian::little) png_set_swap(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  [[nodiscard]] std::uint64_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  [[nodiscard]] std::int64_t channels() const { return png_get_channels(png_, info_); }
  bool read_rows(std::uint8_t* pixels) {
    if (setjmp(jump_) != 0) return false;
    const png_uint_32 height = png_get_image_height(png_, info_);
    const std::size_t row = png_get_rowbytes(png_, info_);
    for (int pass = 0; pass < passes_; ++pass)
      for (png_uint_32 y = 0; y < height; ++y) png_read_row(png_, pixels + y * row, nullptr);
    png_read_end(png_, nullptr);
    return true;
  }
  [[nodiscard]] Error error() const {
    return {Cause::kData, ended_ ? std::string("cut off: the PNG's end is missing")
                                 : fmt::format("a damaged PNG ({})", text_.data())};
  }

 private:
  static void jump_out(png_structp png, png_const_charp text) {
    auto* const self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self->text_.data(), text, self->text_.size() - 1);
    std::longjmp(self->jump_, 1);  // NOLINT: libpng knows no other way
  }
  static void take(png_structp png, png_bytep to, std::size_t count) {
    auto* const self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self->left_.size()) {
      self->ended_ = true;
      png_error(png, "cut off");
    }
    std::memcpy(to, self->left_.data(), count);
    self->left_ = self->left_.subspan(count);
  }

  std::span<const std::uint8_t> left_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  std::array<char, 128> text_{};
  bool ended_ = false;
  int passes_ = 1;
};

Status check_size(const PictureHeader& header, std::uint64_t packed, std::size_t bytes) {
  if (header.height * header.width <= kPicturePixelsMax && packed <= kExpansionMax * bytes) return {};
  return Error{Cause::kData,
               fmt::format("a damaged PNG ({} x {} pixels in {} bytes)", header.height, header.width, bytes)};
}

}  // namespace

bool is_png(std::span<const std::uint8_t> bytes) { return bytes.size() >= 8 && png_sig_cmp(bytes.data(), 0, 8) == 0; }

Result<PictureHeader> read_png_header(std::span<const std::uint8_t> bytes) {
  PngReader reader(bytes);
  if (!reader.read_header()) return reader.error();
  return reader.header();
}

Status decode_png(std::span<const std::uint8_t> bytes, const DecodeWish& wish, Picture& picture) {
  PngReader reader(bytes);
  if (!reader.read_header()) return reader.error();
  const PictureHeader header = reader.header();
  RUBATO_TRY(check_size(header, reader.packed_bytes(), bytes.size()));
  if (!reader.start(wish)) return reader.error();
  picture.height = header.height;
  picture.width = header.width;
  picture.channels = reader.channels();
  const auto numbers = static_cast<std::size_t>(picture.height * picture.width * picture.channels);
  if (header.bits == 16 && !picture.wide()) picture.pixels.emplace<1>();
  if (header.bits == 8 && picture.wide()) picture.pixels.emplace<0>();
  std::uint8_t* const rows = std::visit(
      [&](auto& pixels) {
        pixels.resize(numbers);
        return reinterpret_cast<std::uint8_t*>(pixels.data());
      },
      picture.pixels);
  RUBATO_CHECK(reader.row_bytes() * static_cast<std::uint64_t>(picture.height) == picture.bytes(),
               "libpng's rows are of {} bytes", reader.row_bytes());
  if (!reader.read_rows(rows)) return reader.error();
  return {};
}

}  // namespace rubato::data
