#include "protocol/header.h"

#include <bit>
#include <cstring>

#include "base/hash.h"

namespace rubato::protocol {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian and copied as it lies");

constexpr std::size_t kChecksumOffset = 184;
constexpr std::uint64_t kChecksumSeed = kMagic;

// Visits every field at its offset (docs/wire.md). One list for writing and reading, so that they cannot
// disagree. Reserved bytes are written as zeros and not looked at.
template <typename Visitor, typename H>
void visit_fields(Visitor&& at, H& h) {
  at(8, h.type);
  at(9, h.content);
  at(10, h.dtype);
  at(11, h.codec);
  at(12, h.from.role);
  at(13, h.to.role);
  at(14, h.fate);
  at(15, h.priority);
  at(16, h.job_id);
  at(24, h.from.rank);
  at(28, h.to.rank);
  at(32, h.incarnation);
  at(36, h.generation);
  at(40, h.route);
  at(44, h.slice);
  at(48, h.sequence);
  at(56, h.offset);
  at(64, h.length);
  at(72, h.version);
  at(80, h.floor);
  at(88, h.clock);
  at(96, h.node.index);
  at(100, h.node.level);
  at(101, h.joined);
  // 102..103 reserved
  at(104, h.local_steps);
  at(108, h.samples);
  at(112, h.rule_epoch);
  // 116..119 reserved
  at(120, h.rate);
  at(128, h.age);
  at(136, h.snapshot);
  at(144, h.deadline_ns);
  at(152, h.trace_id);
  at(160, h.payload_checksum);
  // 168..183 reserved
}

bool known(MessageType type) {
  const auto value = static_cast<int>(type);
  return (value >= 1 && value <= 4) || (value >= 16 && value <= 36);
}

template <typename E>
bool at_most(E value, E last) {
  return static_cast<int>(value) <= static_cast<int>(last);
}

Error malformed(const std::string& text) { return {Cause::kMalformed, text}; }

}  // namespace

HeaderBytes encode_header(const Header& header) {
  HeaderBytes bytes{};
  const auto put = [&](std::size_t offset, const auto& value) {
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
  };
  put(0, kMagic);
  put(4, kProtocolVersion);
  put(6, static_cast<std::uint16_t>(kHeaderBytes));
  visit_fields(put, header);
  put(kChecksumOffset, xxh3(std::span(bytes).first(kChecksumOffset), kChecksumSeed));
  return bytes;
}

Result<Header> decode_header(std::span<const std::byte> bytes) {
  if (bytes.size() != kHeaderBytes)
    return malformed(fmt::format("a header of {} bytes, expected {}", bytes.size(), kHeaderBytes));
  const auto get = [&](std::size_t offset, auto& value) { std::memcpy(&value, bytes.data() + offset, sizeof(value)); };
  std::uint32_t magic = 0;
  std::uint16_t version = 0, header_bytes = 0;
  std::uint64_t checksum = 0;
  get(0, magic);
  get(4, version);
  get(6, header_bytes);
  get(kChecksumOffset, checksum);
  if (magic != kMagic) return malformed(fmt::format("magic {:08x}, expected {:08x}: no Rubato frame", magic, kMagic));
  if (version != kProtocolVersion)
    return Error{Cause::kRefused,
                 fmt::format("protocol version {}, this program speaks {}: use the same release everywhere", version,
                             kProtocolVersion)};
  if (header_bytes != kHeaderBytes) return malformed(fmt::format("header length field {}", header_bytes));
  if (checksum != xxh3(bytes.first(kChecksumOffset), kChecksumSeed)) return malformed("header checksum does not match");

  Header header;
  visit_fields(get, header);
  if (!known(header.type)) return malformed(fmt::format("message type {}", static_cast<int>(header.type)));
  if (!at_most(header.content, Content::kControl) || !at_most(header.dtype, DType::kInt8) ||
      !at_most(header.codec, Codec::kTopK) || !at_most(header.fate, Fate::kFenced) || header.joined > 1 ||
      !at_most(header.from.role, Role::kEvaluator) || !at_most(header.to.role, Role::kEvaluator))
    return malformed("an enumeration out of range");
  if (header.length > kBodyBytesMax) return malformed(fmt::format("a payload of {} bytes", header.length));
  if (!header.node.valid()) return malformed(fmt::format("leaf level {}", header.node.level));
  return header;
}

}  // namespace rubato::protocol
