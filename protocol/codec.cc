#include "protocol/codec.h"

#include <cmath>

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

Payload put(Header& h, const Push& m) {
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
Payload put(Header& h, const PushAck& m) {
  h.slice = m.slice;
  h.clock = m.clock;
  h.node = m.node;
  h.fate = m.fate;
  h.version = m.version;
  h.age = m.age;
  h.floor = m.floor;
  return {};
}
Payload put(Header& h, const Pull& m) {
  h.slice = m.slice;
  h.clock = m.clock;
  h.floor = m.floor;
  h.snapshot = m.snapshot;
  return {};
}
Payload put(Header& h, const Weights& m) {
  h.content = Content::kWeights;
  h.slice = m.slice;
  h.clock = m.clock;
  h.version = m.version;
  h.floor = m.floor;
  h.snapshot = m.snapshot;
  return m.weights;
}
template <Coded M>
Payload put(Header& h, const M& m) {
  h.content = Content::kControl;
  Writer writer;
  writer(m);
  return Payload::of(writer.take());
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

Result<Body> get_push(const Header& h, const Payload& body) {
  RUBATO_ASSIGN(Payload floats, get_floats(h, body, h.local_steps > 0 ? Content::kDelta : Content::kGradient));
  if (!std::isfinite(h.rate) || h.rate < 0.0) return malformed(fmt::format("a push at rate {}", h.rate));
  if (h.clock < 0) return malformed(fmt::format("a push of clock {}", h.clock));
  return Body{
      Push{h.slice, h.clock, h.node, h.samples, h.version, h.rule_epoch, h.rate, std::move(floats), h.local_steps}};
}
Result<Body> get_push_ack(const Header& h, const Payload& body) {
  if (h.joined == 0) RUBATO_TRY(check_bare(h, body));
  return Body{PushAck{h.slice, h.clock, h.node, h.fate, h.version, h.age, h.floor}};
}
Result<Body> get_pull(const Header& h, const Payload& body) {
  RUBATO_TRY(check_bare(h, body));
  return Body{Pull{h.slice, h.clock, h.floor, h.snapshot}};
}
Result<Body> get_weights(const Header& h, const Payload& body) {
  RUBATO_ASSIGN(Payload floats, get_floats(h, body, Content::kWeights));
  return Body{Weights{h.slice, h.clock, h.version, h.floor, h.snapshot, std::move(floats)}};
}

// Control messages are found by their type among the alternatives of Body.
template <std::size_t I = 0>
Result<Body> get_control(const Header& h, const Payload& body) {
  if constexpr (I == std::variant_size_v<Body>) {
    return malformed(fmt::format("message type {}", static_cast<int>(h.type)));
  } else {
    using M = std::variant_alternative_t<I, Body>;
    if constexpr (Coded<M>) {
      if (kTypeOf<M> == h.type) {
        if (h.content != Content::kControl)
          return malformed(fmt::format("{} that is no control message", type_name(h.type)));
        M message;
        Reader reader(body.bytes());
        reader(message);
        if (!reader.good())
          return malformed(fmt::format("{}: its fields do not fit its {} bytes", type_name(h.type), body.size()));
        return Body{std::move(message)};
      }
    }
    return get_control<I + 1>(h, body);
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

Result<std::optional<Body>> get_behind(const Header& h, const Payload& body) {
  if (h.joined == 0) return std::optional<Body>();
  if (!has_next(h.clock)) return malformed(fmt::format("two messages in one frame, of clock {} and the next", h.clock));
  switch (h.type) {
    case MessageType::kPush:
      return std::optional<Body>(Pull{.slice = h.slice, .clock = h.clock + 1, .floor = h.floor});
    case MessageType::kPushAck: {
      RUBATO_ASSIGN(Payload floats, get_floats(h, body, Content::kWeights));
      if (floats.empty()) return malformed("weights of no bytes behind an acknowledgement");
      return std::optional<Body>(Weights{h.slice, h.clock + 1, h.version, h.floor, 0, std::move(floats)});
    }
    default:
      return malformed(fmt::format("{} with another message behind it", type_name(h.type)));
  }
}

Result<Body> get_body(const Header& h, const Payload& body) {
  switch (h.type) {
    case MessageType::kPush:
      return get_push(h, body);
    case MessageType::kPushAck:
      return get_push_ack(h, body);
    case MessageType::kPull:
      return get_pull(h, body);
    case MessageType::kWeights:
      return get_weights(h, body);
    default:
      return get_control(h, body);
  }
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
        return put(header, message);
      },
      body);
  if (behind != nullptr) {
    RUBATO_CHECK(may_join(body, *behind), "a frame of {} and something else", type_name(header.type));
    Payload second = put_behind(header, *behind);
    if (!second.empty()) payload = std::move(second);
  }
  // Fixed snapshots are evaluated and written to files: they are what the shards have, to the last bit.
  const bool values = header.content != Content::kNone && header.content != Content::kControl;
  if (values && header.snapshot == 0) {
    header.dtype = stamp.wire;
    payload = narrowed(stamp.wire, payload);
  }
  header.length = payload.size();
  if (stamp.checksum_payload && !payload.empty()) header.payload_checksum = xxh3(payload.bytes());
  return {Payload::copy_of(encode_header(header)), std::move(payload)};
}

Result<Decoded> decode(const transport::Frame& frame, std::uint64_t job_id) {
  RUBATO_ASSIGN(Header header, decode_header(frame.header.bytes()));
  if (header.job_id != job_id)
    return Error{Cause::kRefused, fmt::format("a frame of job {:016x}, this is job {:016x}", header.job_id, job_id)};
  if (header.length != frame.body.size())
    return malformed(fmt::format("a payload of {} bytes, its header says {}", frame.body.size(), header.length));
  if (header.payload_checksum != 0 && header.payload_checksum != xxh3(frame.body.bytes()))
    return malformed("payload checksum does not match");
  RUBATO_ASSIGN(Body body, get_body(header, frame.body));
  RUBATO_ASSIGN(std::optional<Body> behind, get_behind(header, frame.body));
  return Decoded{header, Envelope{header.from, header.to, header.incarnation, header.generation, header.route, 0},
                 std::move(body), std::move(behind)};
}

}  // namespace rubato::protocol
