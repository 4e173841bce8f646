#include "protocol/record_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/hash.h"
#include "base/life_file.h"
#include "protocol/wire.h"

namespace rubato::protocol {
namespace {

std::uint32_t checksum(std::span<const std::byte> bytes) { return static_cast<std::uint32_t>(xxh3(bytes)); }

Status write_all(const std::string& path, int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      return Error{Cause::kStorage, fmt::format("cannot write the record {}: {}", path, std::strerror(errno))};
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

// ---- writing ----------------------------------------------------------------------------------------

Result<RecordWriter> RecordWriter::create(const std::string& dir, NodeId node) {
  RUBATO_ASSIGN(LifeFile file, create_life_file(dir, node.name(), "bin"));
  RecordWriter writer(std::move(file.path), file.descriptor);
  RUBATO_TRY(write_all(writer.path_, writer.descriptor_, std::as_bytes(std::span(kRecordMagic))));
  return writer;
}

RecordWriter::~RecordWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RecordWriter::RecordWriter(RecordWriter&& other) noexcept { *this = std::move(other); }

RecordWriter& RecordWriter::operator=(RecordWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(context_, other.context_);
  std::swap(block_, other.block_);
  return *this;
}

Status RecordWriter::begin(const RecordHeader& header) {
  context_.slices = header.slices;
  open_block();
  Writer coder;
  coder(header);
  const std::vector<std::byte> bytes = coder.take();
  block_.insert(block_.end(), bytes.begin(), bytes.end());
  return flush();
}

Status RecordWriter::add(const RecordEntry& entry) {
  encode_entry(entry, context_, block_);
  return block_.size() >= kBlockBytes ? flush() : Status();
}

Status RecordWriter::flush() {
  if (block_.size() <= kBlockHead) return {};
  const std::span<const std::byte> bytes = std::span<const std::byte>(block_).subspan(kBlockHead);
  const std::array<std::uint32_t, 2> head{static_cast<std::uint32_t>(bytes.size()), checksum(bytes)};
  static_assert(sizeof(head) == kBlockHead);
  std::memcpy(block_.data(), head.data(), sizeof(head));
  Status status = write_all(path_, descriptor_, block_);
  open_block();
  return status;
}

// ---- reading ----------------------------------------------------------------------------------------

Error RecordReader::damaged(std::string_view what) const {
  return {Cause::kData, fmt::format("{} is damaged: {} before byte {}", path_, what, bytes_.size() - rest_.size())};
}

Result<std::optional<RecordReader>> RecordReader::open(const std::string& path) {
  RecordReader reader(path);
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return Error{Cause::kData, fmt::format("cannot read the record {}: {}", path, std::strerror(errno))};
  reader.bytes_.resize(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(reader.bytes_.data()), static_cast<std::streamsize>(reader.bytes_.size())))
    return Error{Cause::kData, fmt::format("cannot read the record {}: {}", path, std::strerror(errno))};

  const auto magic = std::as_bytes(std::span(kRecordMagic));
  const std::span<const std::byte> bytes = reader.bytes_;
  const std::size_t common = std::min(bytes.size(), magic.size());
  if (!std::ranges::equal(bytes.first(common), magic.first(common))) {
    if (common == magic.size() && std::ranges::equal(bytes.first(common - 1), magic.first(common - 1)))
      return Error{Cause::kData, fmt::format("{} is a record of version {}; this program reads version {}", path,
                                             std::to_integer<int>(bytes[common - 1]), kRecordMagic.back())};
    return Error{Cause::kData, fmt::format("{} is no record of a run", path)};
  }
  reader.rest_ = bytes.subspan(common);
  RUBATO_ASSIGN(const bool whole, reader.next_block());
  if (!whole) return std::optional<RecordReader>();
  Reader decoder(reader.block_);
  decoder(reader.header_);
  if (!decoder.good() || !reader.header_.valid()) return reader.damaged("no header");
  reader.block_ = {};
  reader.context_.slices = reader.header_.slices;
  return std::optional<RecordReader>(std::move(reader));
}

Result<bool> RecordReader::next_block() {
  std::array<std::uint32_t, 2> head{};
  if (rest_.size() < sizeof(head)) return false;
  std::memcpy(head.data(), rest_.data(), sizeof(head));
  const std::span<const std::byte> behind = rest_.subspan(sizeof(head));
  if (behind.size() < head[0]) return false;
  block_ = behind.first(head[0]);
  rest_ = behind.subspan(head[0]);
  if (checksum(block_) != head[1]) return damaged("a wrong checksum");
  return true;
}

Result<std::optional<RecordEntry>> RecordReader::next() {
  while (block_.empty()) {
    RUBATO_ASSIGN(const bool whole, next_block());
    if (!whole) return std::optional<RecordEntry>();
  }
  std::optional<RecordEntry> entry = decode_entry(block_, context_);
  if (!entry) return damaged("bytes that are no entry");
  return entry;
}

}  // namespace rubato::protocol
