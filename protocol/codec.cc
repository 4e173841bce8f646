#include "protocol/codec.h"

#include <cmath>
#include <limits>

#include "base/hash.h"
#include "protocol/joined.h"
#include "protocol/narrow_floats.h"
#include "protocol/wire.h"

namespace rubato::protocol {
namespace {

// The type of each control message; data messages are handled by name.
template <typename T>
inline constexpr MessageType kTypeOf = MessageType::kPush;
template <>
inline constexpr MessageType kTypeOf<PushAck> = MessageType::kPushAck;
template <>
inline constexpr MessageType kTypeOf<Pull> = MessageType::kPull;
template <>
inline constexpr MessageType kTypeOf<Weights> = MessageType::kWeights;
template <>
inline constexpr MessageType kTypeOf<Register> = MessageType::kRegister;
template <>
inline constexpr MessageType kTypeOf<Welcome> = MessageType::kWelcome;
template <>
inline constexpr MessageType kTypeOf<Refuse> = MessageType::kRefuse;
template <>
inline constexpr MessageType kTypeOf<Ready> = MessageType::kReady;
template <>
inline constexpr MessageType kTypeOf<Heartbeat> = MessageType::kHeartbeat;
template <>
inline constexpr MessageType kTypeOf<Beat> = MessageType::kBeat;
template <>
inline constexpr MessageType kTypeOf<Membership> = MessageType::kMembership;
template <>
inline constexpr MessageType kTypeOf<Tick> = MessageType::kTick;
template <>
inline constexpr MessageType kTypeOf<Grant> = MessageType::kGrant;
template <>
inline constexpr MessageType kTypeOf<Seal> = MessageType::kSeal;
template <>
inline constexpr MessageType kTypeOf<Sealed> = MessageType::kSealed;
template <>
inline constexpr MessageType kTypeOf<Snapshot> = MessageType::kSnapshot;
template <>
inline constexpr MessageType kTypeOf<SnapshotTaken> = MessageType::kSnapshotTaken;
template <>
inline constexpr MessageType kTypeOf<SnapshotRelease> = MessageType::kSnapshotRelease;
template <>
inline constexpr MessageType kTypeOf<Evaluate> = MessageType::kEvaluate;
template <>
inline constexpr MessageType kTypeOf<EvaluationDone> = MessageType::kEvaluationDone;
template <>
inline constexpr MessageType kTypeOf<Alarm> = MessageType::kAlarm;
template <>
inline constexpr MessageType kTypeOf<Finish> = MessageType::kFinish;
template <>
inline constexpr MessageType kTypeOf<Goodbye> = MessageType::kGoodbye;
template <>
inline constexpr MessageType kTypeOf<Commit> = MessageType::kCommit;
template <>
inline constexpr MessageType kTypeOf<Committed> = MessageType::kCommitted;

Error malformed(const std::string& text) { return {Cause::kMalformed, text}; }

// ---- data messages: header fields -------------------------------------------------------------------

Payload put(Header& h, const Push& m, EncodingMemory& /*memory*/) {
  h.content = m.gradient.empty() ? Content::kNone : m.local_steps > 0 ? Content::kDelta : Content::kGradient;
  h.local_steps = m.local_steps;
  h.slice = m.slice;
  h.clock = m.clock;
  h.node = m.node;
  h.samples = m.samples;
  h.version = m.version;
  h.rule_epoch = m.rule_epoch;
  h.rate = m.rate;
  return m.gradient;
}
Payload put(Header& h, const PushAck& m, EncodingMemory& /*memory*/) {
  h.slice = m.slice;
  h.clock = m.clock;
  h.node = m.node;
  h.fate = m.fate;
  h.version = m.version;
  h.age = m.age;
  h.floor = m.floor;
  return {};
}
Payload put(Header& h, const Pull& m, EncodingMemory& /*memory*/) {
  h.slice = m.slice;
  h.clock = m.clock;
  h.floor = m.floor;
  h.snapshot = m.snapshot;
  return {};
}
Payload put(Header& h, const Weights& m, EncodingMemory& /*memory*/) {
  h.content = Content::kWeights;
  h.slice = m.slice;
  h.clock = m.clock;
  h.version = m.version;
  h.floor = m.floor;
  h.snapshot = m.snapshot;
  return m.weights;
}
template <Coded M>
Payload put(Header& h, const M& m, EncodingMemory& memory) {
  h.content = Content::kControl;
  Writer writer(std::move(memory.fields));
  writer(m);
  memory.fields = writer.take();
  return memory.blocks.copy_of(memory.fields);
}

// ---- and back ---------------------------------------------------------------------------------------

// The float32 values of a payload, or none.
Result<Payload> get_floats(const Header& h, const Payload& body, Content content) {
  if (h.content != content && !(h.content == Content::kNone && body.empty()))
    return malformed(fmt::format("{} with content {}", type_name(h.type), static_cast<int>(h.content)));
  const std::size_t value_bytes = bytes_of(h.dtype);
  if (value_bytes == 0 || h.codec != Codec::kPlain || h.offset != 0)
    return malformed(fmt::format("{} in a coding this program does not know", type_name(h.type)));
  if (body.size() % value_bytes != 0)
    return malformed(fmt::format("a payload of {} bytes is no array of {}", body.size(), value_bytes));
  if (reinterpret_cast<std::uintptr_t>(body.bytes().data()) % value_bytes != 0)
    return malformed("a misaligned payload: values are read where they lie");
  return widened(h.dtype, body);
}
Status check_bare(const Header& h, const Payload& body) {
  if (h.content != Content::kNone || !body.empty())
    return malformed(fmt::format("{} with a payload", type_name(h.type)));
  return {};
}

Status get(const Header& h, const Payload& body, Push& push) {
  RUBATO_ASSIGN(push.gradient, get_floats(h, body, h.local_steps > 0 ? Content::kDelta : Content::kGradient));
  if (!std::isfinite(h.rate) || h.rate < 0.0) return malformed(fmt::format("a push at rate {}", h.rate));
  if (h.clock < 0) return malformed(fmt::format("a push of clock {}", h.clock));
  push.slice = h.slice;
  push.clock = h.clock;
  push.node = h.node;
  push.samples = h.samples;
  push.version = h.version;
  push.rule_epoch = h.rule_epoch;
  push.rate = h.rate;
  push.local_steps = h.local_steps;
  return {};
}
Status get(const Header& h, const Payload& body, PushAck& ack) {
  if (h.joined == 0) RUBATO_TRY(check_bare(h, body));
  ack = {h.slice, h.clock, h.node, h.fate, h.version, h.age, h.floor};
  return {};
}
Status get(const Header& h, const Payload& body, Pull& pull) {
  RUBATO_TRY(check_bare(h, body));
  pull = {h.slice, h.clock, h.floor, h.snapshot};
  return {};
}
Status get(const Header& h, const Payload& body, Weights& weights) {
  RUBATO_ASSIGN(weights.weights, get_floats(h, body, Content::kWeights));
  weights.slice = h.slice;
  weights.clock = h.clock;
  weights.version = h.version;
  weights.floor = h.floor;
  weights.snapshot = h.snapshot;
  return {};
}

// Control messages are found by their type among the alternatives of Body.
template <std::size_t I = 0>
Status get_control(const Header& h, const Payload& body, Body& into) {
  if constexpr (I == std::variant_size_v<Body>) {
    return malformed(fmt::format("message type {}", static_cast<int>(h.type)));
  } else {
    using M = std::variant_alternative_t<I, Body>;
    if constexpr (Coded<M>) {
      if (kTypeOf<M> == h.type) {
        if (h.content != Content::kControl)
          return malformed(fmt::format("{} that is no control message", type_name(h.type)));
        Reader reader(body.bytes());
        reader(into.emplace<M>());
        if (!reader.good())
          return malformed(fmt::format("{}: its fields do not fit its {} bytes", type_name(h.type), body.size()));
        return {};
      }
    }
    return get_control<I + 1>(h, body, into);
  }
}

// ---- two messages in one frame ----------------------------------------------------------------------

// What the second message has that does not follow from the first.
Payload put_behind(Header& h, const Body& behind) {
  h.joined = 1;
  if (const auto* pull = std::get_if<Pull>(&behind)) {
    h.floor = pull->floor;
    return {};
  }
  h.content = Content::kWeights;
  return std::get<Weights>(behind).weights;
}

Status get_behind(const Header& h, const Payload& body, std::optional<Body>& behind) {
  if (h.joined == 0) return {};
  if (!has_next(h.clock)) return malformed(fmt::format("two messages in one frame, of clock {} and the next", h.clock));
  switch (h.type) {
    case MessageType::kPush:
      behind.emplace(Pull{.slice = h.slice, .clock = h.clock + 1, .floor = h.floor});
      return {};
    case MessageType::kPushAck: {
      RUBATO_ASSIGN(Payload floats, get_floats(h, body, Content::kWeights));
      if (floats.empty()) return malformed("weights of no bytes behind an acknowledgement");
      behind.emplace(Weights{h.slice, h.clock + 1, h.version, h.floor, 0, std::move(floats)});
      return {};
    }
    default:
      return malformed(fmt::format("{} with another message behind it", type_name(h.type)));
  }
}

Status get_body(const Header& h, const Payload& body, Body& into) {
  switch (h.type) {
    case MessageType::kPush:
      return get(h, body, into.emplace<Push>());
    case MessageType::kPushAck:
      return get(h, body, into.emplace<PushAck>());
    case MessageType::kPull:
      return get(h, body, into.emplace<Pull>());
    case MessageType::kWeights:
      return get(h, body, into.emplace<Weights>());
    default:
      return get_control(h, body, into);
  }
}

// The next step begins with the first layers, whose gradients come last, and whose slices have the largest numbers:
// they go before what waits of the others. What brings no slice is short, and goes first.
std::uint32_t turn_of(const Header& h) {
  const bool slice = h.type == MessageType::kPush || h.type == MessageType::kPushAck || h.type == MessageType::kPull ||
                     h.type == MessageType::kWeights;
  return slice ? std::numeric_limits<std::uint32_t>::max() - h.slice : 0;
}

}  // namespace

const char* type_name(MessageType type) {
  switch (type) {
    case MessageType::kPush:
      return "push";
    case MessageType::kPushAck:
      return "push acknowledgement";
    case MessageType::kPull:
      return "pull";
    case MessageType::kWeights:
      return "weights";
    case MessageType::kRegister:
      return "register";
    case MessageType::kWelcome:
      return "welcome";
    case MessageType::kRefuse:
      return "refuse";
    case MessageType::kReady:
      return "ready";
    case MessageType::kHeartbeat:
      return "heartbeat";
    case MessageType::kBeat:
      return "beat";
    case MessageType::kMembership:
      return "membership";
    case MessageType::kTick:
      return "tick";
    case MessageType::kGrant:
      return "grant";
    case MessageType::kSeal:
      return "seal";
    case MessageType::kSealed:
      return "sealed";
    case MessageType::kSnapshot:
      return "snapshot";
    case MessageType::kSnapshotTaken:
      return "snapshot taken";
    case MessageType::kSnapshotRelease:
      return "snapshot release";
    case MessageType::kEvaluate:
      return "evaluate";
    case MessageType::kEvaluationDone:
      return "evaluation done";
    case MessageType::kAlarm:
      return "alarm";
    case MessageType::kFinish:
      return "finish";
    case MessageType::kGoodbye:
      return "goodbye";
    case MessageType::kCommit:
      return "commit";
    case MessageType::kCommitted:
      return "committed";
  }
  return "unknown";
}

transport::Frame encode(const Stamp& stamp, const Body& body, const Body* behind) {
  EncodingMemory memory;
  return encode(stamp, body, behind, memory);
}

transport::Frame encode(const Stamp& stamp, const Body& body, const Body* behind, EncodingMemory& memory) {
  Header header;
  header.job_id = stamp.job_id;
  header.from = stamp.from.node;
  header.to = stamp.to;
  header.incarnation = stamp.from.incarnation;
  header.generation = stamp.from.generation;
  header.route = stamp.from.route;
  header.sequence = stamp.sequence;
  Payload payload = std::visit(
      [&](const auto& message) {
        header.type = kTypeOf<std::decay_t<decltype(message)>>;
        return put(header, message, memory);
      },
      body);
  if (behind != nullptr) {
    RUBATO_CHECK(may_join(body, *behind), "a frame of {} and something else", type_name(header.type));
    Payload second = put_behind(header, *behind);
    if (!second.empty()) payload = std::move(second);
  }
  // Fixed snapshots are evaluated and written to files: they are what the shards have, to the last bit.
  const bool values = header.content != Content::kNone && header.content != Content::kControl;
  const auto* push = std::get_if<Push>(&body);
  if (values && header.snapshot == 0 && !(push != nullptr && push->exact)) {
    header.dtype = stamp.wire;
    payload = narrowed(stamp.wire, payload);
  }
  header.length = payload.size();
  if (stamp.checksum_payload && !payload.empty()) header.payload_checksum = xxh3(payload.bytes());
  return {memory.blocks.copy_of(encode_header(header)), std::move(payload), turn_of(header)};
}

Result<Header> decode_header(std::span<const std::byte> bytes, std::uint64_t body_bytes, std::uint64_t job_id) {
  Result<Header> header = decode_header(bytes);
  if (!header.ok()) return header;
  if (header->job_id != job_id)
    return Error{Cause::kRefused, fmt::format("a frame of job {:016x}, this is job {:016x}", header->job_id, job_id)};
  if (header->length != body_bytes)
    return malformed(fmt::format("a payload of {} bytes, its header says {}", body_bytes, header->length));
  return header;
}

Result<Decoded> decode(const transport::Frame& frame, std::uint64_t job_id) {
  Result<Decoded> result{Decoded{}};
  Decoded& decoded = *result;
  Header& header = decoded.header;
  RUBATO_ASSIGN(header, decode_header(frame.header.bytes(), frame.body.size(), job_id));
  if (header.payload_checksum != 0 && header.payload_checksum != xxh3(frame.body.bytes()))
    return malformed("payload checksum does not match");
  RUBATO_TRY(get_body(header, frame.body, decoded.body));
  RUBATO_TRY(get_behind(header, frame.body, decoded.behind));
  decoded.envelope = {header.from, header.to, header.incarnation, header.generation, header.route, 0};
  return result;
}

}  // namespace rubato::protocol
