#include "data/picture_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "base/file_kind.h"
#include "base/hash.h"
#include "data/jpeg_picture.h"
#include "data/png_picture.h"

namespace rubato::data {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kBeginBytes = 16 << 10;

class File {
 public:
  static Result<File> open(const std::string& path) {
    std::error_code failed;
    const std::uint64_t size = std::filesystem::file_size(path, failed);
    if (failed) return Error{Cause::kData, failed.message()};
    std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
    if (file == nullptr) return Error{Cause::kData, std::strerror(errno)};
    std::setvbuf(file.get(), nullptr, _IONBF, 0);  // what is read is read in one piece
    return File(std::move(file), size);
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // `count` bytes from `first` on, which are there.
  Status read(std::uint64_t first, std::size_t count, std::vector<std::uint8_t>& to) const {
    to.resize(count);
    if (std::fseek(file_.get(), static_cast<long>(first), SEEK_SET) == 0 &&
        std::fread(to.data(), 1, count, file_.get()) == count)
      return {};
    return Error{Cause::kData, fmt::format("its {} bytes could not be read", size_)};
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  File(std::unique_ptr<std::FILE, Close> file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

  std::unique_ptr<std::FILE, Close> file_;
  std::uint64_t size_;
};

Error neither(Bytes bytes) {
  if (bytes.empty()) return {Cause::kData, "there is nothing in it"};
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kFileKindBytes));
  return {Cause::kData, fmt::format("expected a JPEG or a PNG, found {}", file_of_bytes(begin))};
}

Result<PictureHeader> header_of(Bytes bytes) {
  if (is_jpeg(bytes)) return read_jpeg_header(bytes);
  if (is_png(bytes)) return read_png_header(bytes);
  return neither(bytes);
}

Status check_channels(const PictureHeader& header, const DecodeWish& wish) {
  if (header.channels == wish.channels || header.channels == 1 || wish.channels == 3) return {};
  return Error{Cause::kData, fmt::format("expected a gray image (data.channels = {}), found {} channels", wish.channels,
                                         header.channels)};
}

Status decode(Bytes bytes, const DecodeWish& wish, Picture& picture) {
  RUBATO_ASSIGN(const PictureHeader header, header_of(bytes));
  RUBATO_TRY(check_channels(header, wish));
  return is_jpeg(bytes) ? decode_jpeg(bytes, wish, picture) : decode_png(bytes, wish, picture);
}

bool ends_well(Bytes end, bool jpeg) {
  constexpr std::array<std::uint8_t, 2> kEndOfImage = {0xFF, 0xD9};
  constexpr std::array<std::uint8_t, 12> kIend = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xAE, 0x42, 0x60, 0x82};
  const Bytes expected = jpeg ? Bytes(kEndOfImage) : Bytes(kIend);
  return end.size() >= expected.size() && std::ranges::equal(end.last(expected.size()), expected);
}

// libjpeg and libpng go through an image by rows, of which they and the resampler have some at hand, as bytes and as
// floats; but of a JPEG in scans libjpeg keeps all coefficients, at full size however small it is decoded.
std::uint64_t decoder_bytes(const PictureHeader& header) {
  constexpr std::uint64_t kRows = 64, kTables = 128 << 10;
  const auto row = static_cast<std::uint64_t>(header.width * header.channels * (header.bits / 8));
  const auto coefficients = static_cast<std::uint64_t>(header.height) * row * sizeof(std::int16_t);
  return kTables + kRows * row + (header.in_scans ? coefficients : 0);
}

Result<PictureFacts> examine(const std::string& path, const DecodeWish& wish) {
  RUBATO_ASSIGN(const File file, File::open(path));
  std::vector<std::uint8_t> begin, end, whole;
  RUBATO_TRY(file.read(0, std::min<std::size_t>(file.size(), kBeginBytes), begin));
  const std::size_t tail = std::min<std::size_t>(file.size(), 12);
  RUBATO_TRY(file.read(file.size() - tail, tail, end));
  Result<PictureHeader> header = header_of(begin);
  if (!header.ok() && file.size() > begin.size()) {
    RUBATO_TRY(file.read(0, file.size(), whole));
    header = header_of(whole);
  }
  if (!header.ok()) return header.error();
  RUBATO_TRY(check_channels(*header, wish));
  const bool jpeg = is_jpeg(begin);
  if (!ends_well(end, jpeg)) {
    RUBATO_TRY(file.read(0, file.size(), whole));
    Picture picture;
    RUBATO_TRY(decode(whole, wish, picture));
  }
  const PictureHeader decoded = jpeg ? jpeg_scaled(*header, wish.least_side) : *header;
  PictureFacts facts{.file_bytes = file.size(),
                     .begin_hash = xxh3(std::as_bytes(std::span(begin))),
                     .decoded_bytes = static_cast<std::uint64_t>(decoded.height * decoded.width * wish.channels) *
                                      static_cast<std::uint64_t>(decoded.bits / 8)};
  facts.working_bytes = facts.file_bytes + facts.decoded_bytes + decoder_bytes(*header);
  return facts;
}

Status read_whole(const std::string& path, const DecodeWish& wish, std::vector<std::uint8_t>& bytes, Picture& picture) {
  RUBATO_ASSIGN(const File file, File::open(path));
  RUBATO_TRY(file.read(0, file.size(), bytes));
  return decode(bytes, wish, picture);
}

}  // namespace

Result<PictureFacts> examine_picture(const std::string& path, const DecodeWish& wish) {
  Result<PictureFacts> facts = examine(path, wish);
  if (!facts.ok()) return facts.error().in(path);
  return facts;
}

Status read_picture(const std::string& path, const DecodeWish& wish, std::vector<std::uint8_t>& file,
                    Picture& picture) {
  const Status status = read_whole(path, wish, file, picture);
  if (!status.ok()) return status.error().in(path);
  return {};
}

}  // namespace rubato::data
