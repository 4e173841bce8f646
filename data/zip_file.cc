#include "data/zip_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>

#include "base/nearest.h"
#include "data/zip_member.h"

namespace rubato::data {
namespace {

constexpr std::uint32_t kLocal = 0x04034B50, kCentral = 0x02014B50, kEnd = 0x06054B50, kEnd64 = 0x06064B50,
                        kLocator64 = 0x07064B50;
constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::size_t kCommentMax = 65535;
constexpr std::uint64_t kDirectoryBytesMax = 64 << 20;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;  // the number is in the 64-bit part

using Bytes = std::span<const std::uint8_t>;

// Little-endian; whoever asks has looked that it is there.
std::uint64_t number(Bytes bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}
std::uint16_t u16(Bytes bytes, std::size_t at) { return static_cast<std::uint16_t>(number(bytes, at, 2)); }
std::uint32_t u32(Bytes bytes, std::size_t at) { return static_cast<std::uint32_t>(number(bytes, at, 4)); }
std::uint64_t u64(Bytes bytes, std::size_t at) { return number(bytes, at, 8); }

class Directory {
 public:
  explicit Directory(const std::string& path) : path_(path), file_(path, std::ios::binary) {}

  Result<std::vector<ZipFile::Member>> read(std::uint64_t& file_bytes) {
    std::error_code failed;
    bytes_ = std::filesystem::file_size(path_, failed);
    if (failed) return wrong(failed.message());
    if (!file_) return wrong(std::strerror(errno));
    file_bytes = bytes_;
    RUBATO_TRY(find_end());
    if (offset_ > bytes_ || size_ > bytes_ - offset_ || size_ > kDirectoryBytesMax)
      return wrong("the directory of the zip archive is not within the file: damaged, or cut off");
    RUBATO_ASSIGN(const std::vector<std::uint8_t> directory, bytes_at(offset_, size_));
    std::vector<ZipFile::Member> members;
    for (std::size_t at = 0; at < directory.size();) {
      RUBATO_ASSIGN(ZipFile::Member member, entry(directory, at));
      members.push_back(std::move(member));
    }
    if (members.size() != entries_)
      return wrong(fmt::format("expected {} members in the zip archive, found {}", entries_, members.size()));
    return members;
  }

  Result<std::vector<std::uint8_t>> bytes_at(std::uint64_t offset, std::uint64_t size) {
    if (offset > bytes_ || size > bytes_ - offset) return wrong("the zip archive is damaged, or cut off");
    std::vector<std::uint8_t> bytes(size);
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(offset));
    file_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (static_cast<std::uint64_t>(file_.gcount()) != size) return wrong("the zip archive is cut off");
    return bytes;
  }

  void set_bytes(std::uint64_t bytes) { bytes_ = bytes; }

 private:
  [[nodiscard]] Error wrong(const std::string& what) const { return {Cause::kData, path_ + ": " + what}; }

  // The record at the end says where the directory is; behind it there may be a comment.
  Status find_end() {
    const std::uint64_t tail_size = std::min<std::uint64_t>(bytes_, kEndBytes + kCommentMax);
    RUBATO_ASSIGN(const std::vector<std::uint8_t> tail, bytes_at(bytes_ - tail_size, tail_size));
    std::optional<std::size_t> found;
    for (std::size_t at = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; at-- > 0 && !found;)
      if (u32(tail, at) == kEnd && u16(tail, at + 20) == tail.size() - at - kEndBytes) found = at;
    if (!found) return wrong("expected a zip archive, whose directory is at its end: cut off, or another kind of file");
    const std::size_t at = *found;
    if (u16(tail, at + 4) != 0 || u16(tail, at + 6) != 0) return wrong("the zip archive is in several files");
    entries_ = u16(tail, at + 10);
    size_ = u32(tail, at + 12);
    offset_ = u32(tail, at + 16);
    if (offset_ != kIn64 && size_ != kIn64 && entries_ != 0xFFFF) return {};
    return find_end64(bytes_ - tail_size + at);
  }

  Status find_end64(std::uint64_t end) {
    if (end < kLocatorBytes) return {};
    RUBATO_ASSIGN(const std::vector<std::uint8_t> locator, bytes_at(end - kLocatorBytes, kLocatorBytes));
    if (u32(locator, 0) != kLocator64) return {};  // the numbers are what they are
    RUBATO_ASSIGN(const std::vector<std::uint8_t> record, bytes_at(u64(locator, 8), kEnd64Bytes));
    if (u32(record, 0) != kEnd64) return wrong("the zip archive is damaged: its 64-bit record is missing");
    entries_ = u64(record, 32);
    size_ = u64(record, 40);
    offset_ = u64(record, 48);
    return {};
  }

  Result<ZipFile::Member> entry(Bytes directory, std::size_t& at) const {
    const Bytes bytes = directory.subspan(at);
    if (bytes.size() < kCentralBytes || u32(bytes, 0) != kCentral)
      return wrong("the directory of the zip archive is damaged");
    const std::size_t name_size = u16(bytes, 28), extra_size = u16(bytes, 30), comment_size = u16(bytes, 32);
    if (bytes.size() - kCentralBytes < name_size + extra_size + comment_size)
      return wrong("the directory of the zip archive is damaged");
    ZipFile::Member member{.name = std::string(reinterpret_cast<const char*>(bytes.data()) + kCentralBytes, name_size),
                           .method = u16(bytes, 10),
                           .flags = u16(bytes, 8),
                           .crc = u32(bytes, 16),
                           .packed = u32(bytes, 20),
                           .unpacked = u32(bytes, 24),
                           .offset = u32(bytes, 42)};
    RUBATO_TRY(widen(bytes.subspan(kCentralBytes + name_size, extra_size), member));
    at += kCentralBytes + name_size + extra_size + comment_size;
    return member;
  }

  // Numbers that 32 bits do not hold are in an extra field, in this order, and only those.
  Status widen(Bytes extra, ZipFile::Member& member) const {
    while (extra.size() >= 4) {
      const std::size_t id = u16(extra, 0), size = u16(extra, 2);
      if (size > extra.size() - 4) return wrong("the directory of the zip archive is damaged");
      Bytes field = extra.subspan(4, size);
      extra = extra.subspan(4 + size);
      if (id != 1) continue;
      for (std::uint64_t* value : {&member.unpacked, &member.packed, &member.offset}) {
        if (*value != kIn64) continue;
        if (field.size() < 8) return wrong("the directory of the zip archive is damaged");
        *value = u64(field, 0);
        field = field.subspan(8);
      }
    }
    return {};
  }

  const std::string& path_;
  std::ifstream file_;
  std::uint64_t bytes_ = 0, entries_ = 0, size_ = 0, offset_ = 0;
};

}  // namespace

Result<ZipFile> ZipFile::open(const std::string& path) {
  ZipFile zip(path);
  Directory directory(zip.path_);
  RUBATO_ASSIGN(zip.members_, directory.read(zip.bytes_));
  return zip;
}

const ZipFile::Member* ZipFile::find(const std::string& name) const {
  const auto found = std::ranges::find(members_, name, &Member::name);
  return found == members_.end() ? nullptr : &*found;
}

Result<std::unique_ptr<ByteSource>> ZipFile::open_member(const std::string& name) const {
  const auto wrong = [&](const std::string& what) { return Error{Cause::kData, path_ + ": " + what}; };
  const Member* member = find(name);
  if (member == nullptr) {
    std::vector<std::string> names;
    for (const Member& other : members_) names.push_back(other.name);
    return wrong(fmt::format("there is no member {} in the archive{}", name, did_you_mean(nearest(name, names))));
  }
  if ((member->flags & 1) != 0) return wrong(name + " is encrypted");
  Directory file(path_);
  file.set_bytes(bytes_);
  RUBATO_ASSIGN(const std::vector<std::uint8_t> local, file.bytes_at(member->offset, kLocalBytes));
  if (u32(local, 0) != kLocal) return wrong(fmt::format("damaged: {} is not where the directory says", name));
  const std::uint64_t data = member->offset + kLocalBytes + u16(local, 26) + u16(local, 28);
  if (data > bytes_ || member->packed > bytes_ - data) return wrong(fmt::format("cut off: {} is not whole", name));
  return open_zip_member(path_, *member, data);
}

}  // namespace rubato::data
