#include "data/idx_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <system_error>

namespace rubato::data {
namespace {

constexpr std::size_t kChunkBytes = 16 << 20;     // a header may promise anything: memory grows with what is there
constexpr std::size_t kReadBytesMax = 1 << 30;    // as large as gzread's count may be, and larger than a chunk
constexpr std::uint64_t kExpansionMax = 1032;     // of deflate: no byte of a gzip file stands for more
constexpr std::uint64_t kValuesMax = 1ull << 40;  // no multiple of four 32-bit extents overflows below it

// Bytes of a file, decompressed on the way if it is a gzip file (zlib decides by the first two bytes).
class Bytes {
 public:
  static Result<Bytes> open(const std::string& path) {
    errno = 0;
    Bytes bytes(path, gzopen(path.c_str(), "rb"));
    if (bytes.file_ == nullptr) return bytes.error(errno != 0 ? std::strerror(errno) : "out of memory");
    gzbuffer(bytes.file_.get(), 1 << 18);
    return bytes;
  }

  // Fills `target`, or as much of it as there is. Errors: unreadable, damaged, cut off.
  Result<std::size_t> read(std::span<std::uint8_t> target) {
    std::size_t filled = 0;
    while (filled < target.size()) {
      const std::size_t wanted = std::min(target.size() - filled, kReadBytesMax);
      const int got = gzread(file_.get(), target.data() + filled, static_cast<unsigned>(wanted));
      if (got > 0) filled += static_cast<std::size_t>(got);
      if (got < static_cast<int>(wanted)) {
        RUBATO_TRY(check());
        break;
      }
    }
    return filled;
  }

  [[nodiscard]] Error error(std::string_view what) const { return {Cause::kData, fmt::format("{}: {}", path_, what)}; }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  Bytes(std::string path, gzFile file) : path_(std::move(path)), file_(file) {}

  Status check() {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    switch (code) {
      case Z_OK:
      case Z_STREAM_END:
        return {};
      case Z_ERRNO:
        return error(std::strerror(errno));
      case Z_BUF_ERROR:
        return error("the gzip file is cut off: its end is missing");
      default:
        return error(fmt::format("the gzip file is damaged: {}", text));
    }
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

Result<std::vector<std::int64_t>> read_header(Bytes& bytes) {
  std::array<std::uint8_t, 4> magic{};
  RUBATO_ASSIGN(const std::size_t got, bytes.read(magic));
  if (got < magic.size()) return bytes.error(fmt::format("expected the 4 bytes of an idx magic number, found {}", got));
  if (magic[0] != 0 || magic[1] != 0 || magic[3] < 1 || magic[3] > 4) {
    return bytes.error(
        fmt::format("expected the idx magic number 00 00 08 NN with NN from 1 to 4, found "
                    "{:02x} {:02x} {:02x} {:02x}",
                    magic[0], magic[1], magic[2], magic[3]));
  }
  if (magic[2] != 0x08) {
    return bytes.error(fmt::format("expected idx values of type 08, unsigned bytes, found type {:02x}", magic[2]));
  }
  std::vector<std::uint8_t> raw(std::size_t{4} * magic[3]);
  RUBATO_ASSIGN(const std::size_t raw_got, bytes.read(raw));
  if (raw_got < raw.size()) {
    return bytes.error(
        fmt::format("cut off in the header: expected {} bytes of extents, found {}", raw.size(), raw_got));
  }
  std::vector<std::int64_t> extents;
  for (std::size_t at = 0; at < raw.size(); at += 4) {
    extents.push_back(static_cast<std::int64_t>(raw[at]) << 24 | raw[at + 1] << 16 | raw[at + 2] << 8 | raw[at + 3]);
  }
  return extents;
}

Result<std::uint64_t> count_values(const Bytes& bytes, const std::vector<std::int64_t>& extents) {
  std::uint64_t count = 1;
  for (std::int64_t extent : extents) {
    if (extent == 0)
      return bytes.error(fmt::format("the header says {}: there is nothing in it", extents_text(extents)));
    count *= static_cast<std::uint64_t>(extent);
    if (count > kValuesMax) {
      return bytes.error(fmt::format("the header says {}: more than the {} values that are read at most",
                                     extents_text(extents), kValuesMax));
    }
  }
  return count;
}

// Room for all values at once, where the file is large enough to have them: a vector that grows leaves behind what it
// outgrew, as much again as the values. Room alone takes no memory, and where there is none it is no matter yet.
void make_room(const std::string& path, std::uint64_t expected, std::vector<std::uint8_t>& values) {
  std::error_code error;
  const std::uint64_t file_bytes = std::filesystem::file_size(path, error);
  if (error || expected / kExpansionMax > file_bytes) return;
  try {
    values.reserve(expected + 1);
  } catch (const std::bad_alloc&) {
    return;
  }
}

}  // namespace

std::string extents_text(const std::vector<std::int64_t>& extents) {
  std::string text;
  for (std::int64_t extent : extents) text += fmt::format("{}{}", text.empty() ? "" : " x ", extent);
  return text;
}

Result<std::vector<std::int64_t>> read_idx_extents(const std::string& path) {
  RUBATO_ASSIGN(Bytes bytes, Bytes::open(path));
  RUBATO_ASSIGN(std::vector<std::int64_t> extents, read_header(bytes));
  RUBATO_TRY(count_values(bytes, extents));
  return extents;
}

Result<IdxFile> read_idx(const std::string& path) {
  RUBATO_ASSIGN(Bytes bytes, Bytes::open(path));
  IdxFile idx;
  RUBATO_ASSIGN(idx.extents, read_header(bytes));
  RUBATO_ASSIGN(const std::uint64_t expected, count_values(bytes, idx.extents));
  make_room(path, expected, idx.values);
  const std::string promise = fmt::format("{} = {} bytes after the header", extents_text(idx.extents), expected);
  while (idx.values.size() < expected) {
    const std::size_t before = idx.values.size(), chunk = std::min<std::uint64_t>(expected - before, kChunkBytes);
    // One byte more than there should be, in the same call as the last of them: that makes zlib read on to the checksum
    // behind them, and say where it is missing.
    idx.values.resize(before + chunk + 1);
    RUBATO_ASSIGN(const std::size_t got,
                  bytes.read(std::span(idx.values).subspan(before, chunk + (before + chunk == expected ? 1 : 0))));
    if (got < chunk) return bytes.error(fmt::format("cut off: expected {}, found {}", promise, before + got));
    if (got > chunk) return bytes.error(fmt::format("too long: expected {}, found more", promise));
    idx.values.resize(before + chunk);
  }
  return idx;
}

}  // namespace rubato::data
