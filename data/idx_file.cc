#include "data/idx_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <span>

#include "base/file_kind.h"
#include "data/gzip_source.h"

namespace rubato::data {
namespace {

constexpr std::size_t kChunkBytes = 16 << 20;     // a header may promise anything: memory grows with what is there
constexpr std::uint64_t kValuesMax = 1ull << 40;  // no multiple of four 32-bit extents overflows below it

// What a file is that does not begin as idx does, of whose first bytes some have been read.
Error another_kind(ByteSource& bytes, std::span<const std::uint8_t> read) {
  std::array<std::uint8_t, kFileKindBytes> more{};
  const Result<std::size_t> got = bytes.read(std::span(more).first(kFileKindBytes - read.size()));
  std::string begin(read.begin(), read.end());
  if (got.ok()) begin.append(more.begin(), more.begin() + static_cast<std::ptrdiff_t>(*got));
  return bytes.error(fmt::format("expected an idx file, which begins with 00 00 08 NN, NN from 1 to 4, found {}",
                                 file_of_bytes(begin)));
}

Result<std::vector<std::int64_t>> read_header(ByteSource& bytes) {
  std::array<std::uint8_t, 4> magic{};
  RUBATO_ASSIGN(const std::size_t got, bytes.read(magic));
  if (got < magic.size()) return bytes.error(fmt::format("expected the 4 bytes of an idx magic number, found {}", got));
  if (magic[0] != 0 || magic[1] != 0) return another_kind(bytes, magic);
  if (magic[3] < 1 || magic[3] > 4) {
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

Result<std::uint64_t> count_values(const ByteSource& bytes, const std::vector<std::int64_t>& extents) {
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
void make_room(const ByteSource& bytes, std::uint64_t expected, std::vector<std::uint8_t>& values) {
  if (expected > bytes.bytes_max()) return;
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
  RUBATO_ASSIGN(const std::unique_ptr<ByteSource> file, open_file(path));
  ByteSource& bytes = *file;
  RUBATO_ASSIGN(std::vector<std::int64_t> extents, read_header(bytes));
  RUBATO_TRY(count_values(bytes, extents));
  return extents;
}

Result<IdxFile> read_idx(const std::string& path) {
  RUBATO_ASSIGN(const std::unique_ptr<ByteSource> file, open_file(path));
  ByteSource& bytes = *file;
  IdxFile idx;
  RUBATO_ASSIGN(idx.extents, read_header(bytes));
  RUBATO_ASSIGN(const std::uint64_t expected, count_values(bytes, idx.extents));
  make_room(bytes, expected, idx.values);
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
