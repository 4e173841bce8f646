#include "protocol/header.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/protocol/frames.h"

namespace rubato::protocol {
namespace {

using ::testing::HasSubstr;

Header full_header() {
  Header h;
  h.type = MessageType::kWeights;
  h.content = Content::kWeights;
  h.dtype = DType::kBFloat16;
  h.codec = Codec::kTopK;
  h.job_id = 0x1112131415161718;
  h.from = {Role::kEvaluator, 0x21222324};
  h.to = {Role::kWorker, 0x25262728};
  h.incarnation = 0x31323334;
  h.generation = 0x35363738;
  h.route = 0x41424344;
  h.sequence = 0x5152535455565758;
  h.slice = 0x45464748;
  h.offset = 0x6162636465666768;
  h.length = 0x31727374;
  h.version = 0x8182838485868788;
  h.floor = -2;
  h.clock = 0x7192939495969798;
  h.node = {32, 0xA1A2A3A4};
  h.fate = Fate::kFenced;
  h.priority = 0xB1;
  h.local_steps = 0xC1C2C3C4;
  h.samples = 0xC5C6C7C8;
  h.rule_epoch = 0xD1D2D3D4;
  h.rate = 0.1;
  h.age = 0xE1E2E3E4E5E6E7E8;
  h.snapshot = 0xF1F2F3F4F5F6F7F8;
  h.deadline_ns = 0x0102030405060708;
  h.trace_id = 0x090A0B0C0D0E0F00;
  h.payload_checksum = 0x1A2B3C4D5E6F7081;
  return h;
}

// What full_header() is on the wire, for ever within protocol version 1.
constexpr const char* kGolden =
    "524254300100c00004030202030206b118171615141312112423222128272625"
    "3433323138373635444342414847464558575655545352516867666564636261"
    "74737231000000008887868584838281feffffffffffffff9897969594939271"
    "a4a3a2a120000000c4c3c2c1c8c7c6c5d4d3d2d1000000009a9999999999b93f"
    "e8e7e6e5e4e3e2e1f8f7f6f5f4f3f2f10807060504030201000f0e0d0c0b0a09"
    "81706f5e4d3c2b1a00000000000000000000000000000000c63347431df32673";

HeaderBytes changed(std::size_t at, std::uint8_t value) {
  HeaderBytes bytes = encode_header(full_header());
  bytes[at] = std::byte{value};
  test::seal(bytes);
  return bytes;
}

void expect_refused(std::span<const std::byte> bytes, Cause cause, const std::string& text) {
  const auto result = decode_header(bytes);
  ASSERT_FALSE(result.ok()) << text;
  EXPECT_EQ(result.error().cause, cause) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(text));
}

TEST(Header, GoldenBytes) { EXPECT_EQ(test::hex(encode_header(full_header())), kGolden); }

TEST(Header, RoundTrip) {
  for (const Header& header : {Header{}, full_header()}) {
    const auto decoded = decode_header(encode_header(header));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(*decoded, header);
  }
}

TEST(Header, EveryFlippedBitIsNoticed) {
  for (const Header& header : {Header{}, full_header()}) {
    const HeaderBytes good = encode_header(header);
    for (std::size_t bit = 0; bit < 8 * kHeaderBytes; ++bit) {
      HeaderBytes bytes = good;
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
      const auto decoded = decode_header(bytes);
      ASSERT_FALSE(decoded.ok()) << "bit " << bit % 8 << " of byte " << bit / 8;
      const bool version = bit / 8 == 4 || bit / 8 == 5;
      EXPECT_EQ(decoded.error().cause, version ? Cause::kRefused : Cause::kMalformed);
    }
  }
}

TEST(Header, WrongLength) {
  const HeaderBytes good = encode_header(full_header());
  for (std::size_t size = 0; size < kHeaderBytes; ++size)
    expect_refused(std::span(good).first(size), Cause::kMalformed, "a header of " + std::to_string(size) + " bytes");
  std::vector<std::byte> longer(good.begin(), good.end());
  longer.push_back(std::byte{0});
  expect_refused(longer, Cause::kMalformed, "a header of 193 bytes");
}

TEST(Header, WrongMagicVersionAndChecksum) {
  expect_refused(changed(0, 'X'), Cause::kMalformed, "no Rubato frame");
  expect_refused(changed(4, 2), Cause::kRefused, "protocol version 2, this program speaks 1");
  expect_refused(changed(6, 191), Cause::kMalformed, "header length field 191");
  HeaderBytes bytes = encode_header(full_header());
  bytes[20] ^= std::byte{1};
  expect_refused(bytes, Cause::kMalformed, "header checksum");
}

// Every value of every enumeration: those that are known pass, the others are refused.
TEST(Header, EnumerationsOutOfRange) {
  struct Enumeration {
    std::size_t offset;
    int last;
  };
  for (const Enumeration e : {Enumeration{9, 4}, {10, 3}, {11, 2}, {12, 3}, {13, 3}, {14, 6}}) {
    for (int value = 0; value <= 255; ++value) {
      const bool ok = decode_header(changed(e.offset, static_cast<std::uint8_t>(value))).ok();
      EXPECT_EQ(ok, value <= e.last) << "byte " << e.offset << " = " << value;
    }
  }
  for (int value = 0; value <= 255; ++value) {
    const bool known = (value >= 1 && value <= 4) || (value >= 16 && value <= 36);
    EXPECT_EQ(decode_header(changed(8, static_cast<std::uint8_t>(value))).ok(), known) << "type " << value;
  }
}

TEST(Header, OversizedBodyAndLevel) {
  Header header = full_header();
  header.length = kBodyBytesMax;
  EXPECT_TRUE(decode_header(encode_header(header)).ok());
  for (const std::uint64_t length : {kBodyBytesMax + 1, std::numeric_limits<std::uint64_t>::max()}) {
    header.length = length;
    expect_refused(encode_header(header), Cause::kMalformed, "a payload of");
  }
  header = full_header();
  header.node.level = 33;
  expect_refused(encode_header(header), Cause::kMalformed, "leaf level 33");
}

// What a later release may put there is not for this one to judge.
TEST(Header, ReservedBytesAreIgnored) {
  for (const std::size_t at : {102, 103, 116, 119, 168, 183}) {
    const auto decoded = decode_header(changed(at, 0xFF));
    ASSERT_TRUE(decoded.ok()) << "byte " << at;
    EXPECT_EQ(*decoded, full_header());
  }
}

}  // namespace
}  // namespace rubato::protocol
