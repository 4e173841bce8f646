#include "data/zip_member.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

namespace rubato::data {
namespace {

constexpr std::size_t kBufferBytes = 1 << 18;
constexpr std::uint64_t kExpansionMax = 1032;  // of deflate: no byte stands for more
constexpr std::uint16_t kStored = 0, kDeflated = 8;

class ZipMember : public ByteSource {
 public:
  ZipMember(const std::string& path, const ZipFile::Member& member, std::uint64_t data)
      : name_(path + "/" + member.name), member_(member), file_(path, std::ios::binary), packed_left_(member.packed) {
    file_.seekg(static_cast<std::streamoff>(data));
    if (member.method == kDeflated) {
      inflating_ = inflateInit2(&stream_, -MAX_WBITS) == Z_OK;  // without a header of zlib's own
      buffer_.resize(kBufferBytes);
    }
  }
  ~ZipMember() override {
    if (inflating_) inflateEnd(&stream_);
  }
  ZipMember(const ZipMember&) = delete;
  ZipMember& operator=(const ZipMember&) = delete;

  [[nodiscard]] Status ready() const {
    if (!file_) return error(std::strerror(errno));
    if (member_.method == kStored || inflating_) return {};
    if (member_.method == kDeflated) return error("there is no memory to unpack it");
    return error(fmt::format("expected a stored or deflated member, found method {}", member_.method));
  }

  Result<std::size_t> read(std::span<std::uint8_t> target) override {
    std::size_t filled = 0;
    while (filled < target.size() && !ended_) {
      Result<std::size_t> got =
          member_.method == kStored ? read_stored(target.subspan(filled)) : read_deflated(target.subspan(filled));
      if (!got.ok()) return got.error();
      const std::span<const std::uint8_t> fresh = target.subspan(filled, *got);
      crc_ = crc32_z(crc_, fresh.data(), fresh.size());
      filled += *got;
      given_ += *got;
      if (given_ > member_.unpacked)
        return error(fmt::format("damaged: more than the {} bytes that the archive says", member_.unpacked));
    }
    if (filled < target.size()) RUBATO_TRY(check_end());
    return filled;
  }

  const std::string& name() const override { return name_; }
  std::uint64_t bytes_max() const override {
    const std::uint64_t most = member_.method == kStored ? member_.packed : (member_.packed + 1) * kExpansionMax;
    return std::min(member_.unpacked, most);
  }

 private:
  Result<std::size_t> read_packed(std::span<std::uint8_t> target) {
    const std::size_t wanted = std::min<std::uint64_t>(target.size(), packed_left_);
    file_.read(reinterpret_cast<char*>(target.data()), static_cast<std::streamsize>(wanted));
    if (static_cast<std::size_t>(file_.gcount()) < wanted) return error("cut off");
    packed_left_ -= wanted;
    return wanted;
  }

  Result<std::size_t> read_stored(std::span<std::uint8_t> target) {
    RUBATO_ASSIGN(const std::size_t got, read_packed(target));
    ended_ = packed_left_ == 0;
    return got;
  }

  Result<std::size_t> read_deflated(std::span<std::uint8_t> target) {
    if (stream_.avail_in == 0) {
      RUBATO_ASSIGN(const std::size_t got, read_packed(buffer_));
      stream_.next_in = buffer_.data();
      stream_.avail_in = static_cast<uInt>(got);
    }
    const std::size_t wanted = std::min(target.size(), std::size_t{1} << 30);
    stream_.next_out = target.data();
    stream_.avail_out = static_cast<uInt>(wanted);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    ended_ = code == Z_STREAM_END;
    if (code == Z_BUF_ERROR && stream_.avail_in == 0 && packed_left_ == 0)
      return error("damaged: its packed bytes end too early");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      return error(fmt::format("damaged: {}", stream_.msg != nullptr ? stream_.msg : "it cannot be unpacked"));
    return wanted - stream_.avail_out;
  }

  [[nodiscard]] Status check_end() const {
    if (given_ != member_.unpacked)
      return error(fmt::format("damaged: expected {} bytes, found {}", member_.unpacked, given_));
    if (static_cast<std::uint32_t>(crc_) != member_.crc)
      return error(fmt::format("damaged: expected the checksum {:08x}, found {:08x}", member_.crc, crc_));
    return {};
  }

  const std::string name_;
  const ZipFile::Member member_;
  std::ifstream file_;
  std::uint64_t packed_left_, given_ = 0;
  uLong crc_ = 0;
  bool ended_ = false, inflating_ = false;
  z_stream stream_{};
  std::vector<std::uint8_t> buffer_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_zip_member(const std::string& path, const ZipFile::Member& member,
                                                    std::uint64_t data) {
  auto source = std::make_unique<ZipMember>(path, member, data);
  RUBATO_TRY(source->ready());
  return std::unique_ptr<ByteSource>(std::move(source));
}

}  // namespace rubato::data
