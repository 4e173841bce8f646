// The one header of every frame: 192 bytes, little-endian, at fixed offsets.
//
// It carries what every mode of the system needs, also those not built yet, so that it never has to
// change within a protocol version; the offsets are written down in docs/wire.md and pinned by golden
// bytes in tests/protocol. Fields without meaning for a message are zero.
//
// Decoding trusts nothing: magic, version, header checksum, enumerations and lengths are checked, and a
// violation is an Error of cause kMalformed (kRefused for another protocol version) and nothing else.
//
// Thread-safety: plain values and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/result.h"
#include "protocol/leaf_tree.h"

namespace rubato::protocol {

inline constexpr std::uint32_t kMagic = 0x30544252;  // "RBT0"
inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kHeaderBytes = 192;
inline constexpr std::uint64_t kBodyBytesMax = std::uint64_t{1} << 30;

enum class MessageType : std::uint8_t {
  kPush = 1,
  kPushAck = 2,
  kPull = 3,
  kWeights = 4,
  kRegister = 16,
  kWelcome = 17,
  kRefuse = 18,
  kReady = 19,
  kHeartbeat = 20,
  kBeat = 21,
  kMembership = 22,
  kTick = 23,
  kGrant = 24,
  kSeal = 25,
  kSealed = 26,
  kSnapshot = 27,
  kSnapshotTaken = 28,
  kSnapshotRelease = 29,
  kEvaluate = 30,
  kEvaluationDone = 31,
  kAlarm = 32,
  kFinish = 33,
  kGoodbye = 34,
  kCommit = 35,
  kCommitted = 36,
};

// What a payload is. Control messages carry coded fields instead.
enum class Content : std::uint8_t { kNone = 0, kGradient = 1, kDelta = 2, kWeights = 3, kControl = 4 };
enum class DType : std::uint8_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2, kInt8 = 3 };
enum class Codec : std::uint8_t { kPlain = 0, kOneBit = 1, kTopK = 2 };

// What became of a push once it was settled (rules: docs/protocol.md).
enum class Fate : std::uint8_t {
  kNone = 0,
  kApplied = 1,
  kAccepted = 2,   // into an open aggregate, settled before it is applied (softsync)
  kDropped = 3,    // by policy (backup)
  kNonFinite = 4,  // the gradient held an infinity or a NaN
  kEmpty = 5,      // no samples: settled, and changes nothing
  kFenced = 6,     // the sender was declared dead
};

struct Header {
  MessageType type = MessageType::kPush;
  Content content = Content::kNone;
  DType dtype = DType::kFloat32;
  Codec codec = Codec::kPlain;

  std::uint64_t job_id = 0;
  NodeId from, to;
  Incarnation incarnation = 0;  // of the sender
  std::uint32_t generation = 0, route = 0;
  std::uint64_t sequence = 0;  // counts the frames of one sender

  SliceId slice = 0;
  std::uint64_t offset = 0;  // first element within the slice that the payload covers
  std::uint64_t length = 0;  // bytes of the payload

  Version version = 0;     // echoed by a push; of the weights in an answer
  std::int64_t floor = 0;  // wanted by a pull; had by an answer
  Clock clock = 0;
  LeafNode node;
  std::uint8_t joined = 0;  // 1: this frame is two messages (protocol/joined.h)
  Fate fate = Fate::kNone;
  std::uint8_t priority = 0;
  std::uint32_t local_steps = 0;
  std::uint32_t samples = 0;
  std::uint32_t rule_epoch = 0;
  double rate = 0.0;
  std::uint64_t age = 0;
  std::uint64_t snapshot = 0;     // a pull from a fixed snapshot names it; 0 is live
  std::uint64_t deadline_ns = 0;  // how long the sender will wait; 0: forever
  std::uint64_t trace_id = 0;
  std::uint64_t payload_checksum = 0;  // XXH3 of the payload; 0 where the lane does not check it

  friend bool operator==(const Header&, const Header&) = default;
};

using HeaderBytes = std::array<std::byte, kHeaderBytes>;

[[nodiscard]] HeaderBytes encode_header(const Header& header);
[[nodiscard]] Result<Header> decode_header(std::span<const std::byte> bytes);

}  // namespace rubato::protocol
