#include "protocol/codec.h"

#include <gmock/gmock.h>

#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "protocol/joined.h"
#include "protocol/narrow_floats.h"
#include "tests/protocol/frames.h"

namespace rubato::protocol {
namespace {

using test::bodies;
using test::kJob;
using ::testing::HasSubstr;

void expect_refused(const transport::Frame& frame, Cause cause, const std::string& text) {
  const auto decoded = decode(frame, kJob);
  ASSERT_FALSE(decoded.ok()) << "instead of: " << text;
  EXPECT_EQ(decoded.error().cause, cause) << decoded.error().message;
  EXPECT_THAT(decoded.error().message, HasSubstr(text));
}

// A frame of the given body after `change` was made to its header.
template <typename Change>
transport::Frame with_header(const Body& body, Change change) {
  transport::Frame frame = encode(test::stamp(), body);
  Header header = *decode_header(frame.header.bytes());
  change(header);
  frame.header = Payload::copy_of(encode_header(header));
  return frame;
}

template <typename M>
Body full() {
  for (Body& body : bodies())
    if (std::holds_alternative<M>(body)) return body;
  return {};
}

TEST(Codec, EveryMessageRoundTripsWithEveryField) {
  for (const Body& body : bodies()) {
    const transport::Frame frame = encode(test::stamp(), body);
    SCOPED_TRACE(test::name_of(frame));
    const auto decoded = decode(frame, kJob);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    ASSERT_EQ(decoded->body.index(), body.index());
    std::visit(
        [&](const auto& sent) { EXPECT_TRUE(test::same(sent, std::get<std::decay_t<decltype(sent)>>(decoded->body))); },
        body);
    EXPECT_EQ(decoded->envelope.from, worker_node(3));
    EXPECT_EQ(decoded->envelope.to, server_node(2));
    EXPECT_EQ(decoded->envelope.incarnation, 5u);
    EXPECT_EQ(decoded->envelope.generation, 7u);
    EXPECT_EQ(decoded->envelope.route, 11u);
    EXPECT_EQ(decoded->envelope.via, 0u);
    EXPECT_EQ(decoded->header.sequence, 13u);
  }
}

TEST(Codec, EveryMessageRoundTripsEmpty) {
  const auto check = [&]<std::size_t... I>(std::index_sequence<I...>) {
    for (const Body& body : {Body(std::in_place_index<I>)...}) {
      const auto decoded = decode(encode(test::stamp(), body), kJob);
      ASSERT_TRUE(decoded.ok()) << decoded.error().message;
      EXPECT_EQ(decoded->body.index(), body.index());
    }
  };
  check(std::make_index_sequence<std::variant_size_v<Body>>());
}

TEST(Codec, TwoMessagesInOneFrameRoundTrip) {
  for (const auto& [first, second] : test::pairs()) {
    const transport::Frame frame = encode(test::stamp(), first, &second);
    SCOPED_TRACE(test::name_of(frame));
    const auto decoded = decode(frame, kJob);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    ASSERT_TRUE(decoded->behind.has_value());
    const auto same = [](const Body& sent, const Body& got) {
      return std::visit(
          [&](const auto& message) {
            const auto* other = std::get_if<std::decay_t<decltype(message)>>(&got);
            return other != nullptr && test::same(message, *other);
          },
          sent);
    };
    EXPECT_TRUE(same(first, decoded->body));
    EXPECT_TRUE(same(second, *decoded->behind));
    EXPECT_FALSE(decode(encode(test::stamp(), first), kJob)->behind.has_value());
  }
}

TEST(Codec, OnlyWhatBelongsTogetherIsJoined) {
  const auto all = test::pairs();
  for (const auto& [first, second] : all) EXPECT_TRUE(may_join(first, second));
  EXPECT_FALSE(may_join(all[0].first, all[1].second));
  EXPECT_FALSE(may_join(all[1].first, all[0].second));
  EXPECT_FALSE(may_join(all[0].second, all[0].first));

  const auto& push = std::get<Push>(all[0].first);
  const auto& ack = std::get<PushAck>(all[1].first);
  const auto changed = [](const auto& message, auto change) {
    auto other = message;
    change(other);
    return other;
  };
  for (const Pull& other : {changed(std::get<Pull>(all[0].second), [](Pull& p) { ++p.slice; }),
                            changed(std::get<Pull>(all[0].second), [](Pull& p) { ++p.clock; }),
                            changed(std::get<Pull>(all[0].second), [](Pull& p) { p.snapshot = 1; })})
    EXPECT_FALSE(may_join(push, other));
  for (const Weights& other : {changed(std::get<Weights>(all[1].second), [](Weights& w) { ++w.slice; }),
                               changed(std::get<Weights>(all[1].second), [](Weights& w) { ++w.clock; }),
                               changed(std::get<Weights>(all[1].second), [](Weights& w) { ++w.version; }),
                               changed(std::get<Weights>(all[1].second), [](Weights& w) { ++w.floor; }),
                               changed(std::get<Weights>(all[1].second), [](Weights& w) { w.snapshot = 1; }),
                               changed(std::get<Weights>(all[1].second), [](Weights& w) { w.weights = {}; })})
    EXPECT_FALSE(may_join(ack, other));
  const Push last = changed(push, [](Push& p) { p.clock = std::numeric_limits<Clock>::max(); });
  EXPECT_FALSE(may_join(last, Pull{.slice = last.slice, .clock = last.clock}));
}

TEST(Codec, AFrameThatCannotBeTwoMessagesIsRefused) {
  const auto join = [](Header& h) { h.joined = 1; };
  for (const Body& body : bodies()) {
    if (std::holds_alternative<Push>(body)) continue;
    expect_refused(with_header(body, join), Cause::kMalformed,
                   std::holds_alternative<PushAck>(body) ? "weights of no bytes" : "with another message behind it");
  }
  const Body push = full<Push>();
  expect_refused(with_header(push, [](Header& h) { h.joined = 2; }), Cause::kMalformed, "out of range");
  expect_refused(with_header(push,
                             [](Header& h) {
                               h.joined = 1;
                               h.clock = std::numeric_limits<Clock>::max();
                             }),
                 Cause::kMalformed, "of clock 9223372036854775807 and the next");
}

// Filled with something everywhere, a push is a delta.
TEST(Codec, APushOfNoLocalStepsIsAGradient) {
  Body body = full<Push>();
  EXPECT_EQ(decode_header(encode(test::stamp(), body).header.bytes())->content, Content::kDelta);
  std::get<Push>(body).local_steps = 0;
  const transport::Frame frame = encode(test::stamp(), body);
  EXPECT_EQ(decode_header(frame.header.bytes())->content, Content::kGradient);
  const auto decoded = decode(frame, kJob);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_TRUE(test::same(std::get<Push>(body), std::get<Push>(decoded->body)));
  expect_refused(with_header(body, [](Header& h) { h.local_steps = 2; }), Cause::kMalformed, "with content 1");
}

// A change of these bytes is a change of the protocol: it needs another kProtocolVersion, once a release
// is out. `protocol_write_golden tests/protocol/golden` writes them anew.
TEST(Codec, GoldenFrames) {
  for (const auto& [name, frame] : test::golden_frames()) {
    const std::string path = std::string(RUBATO_GOLDEN) + "/" + name;
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), test::golden_text(frame)) << path;
  }
}

TEST(Codec, TypesHaveTheirOwnNames) {
  std::set<std::string> names;
  for (const Body& body : bodies()) names.insert(test::name_of(encode(test::stamp(), body)));
  EXPECT_EQ(names.size(), std::variant_size_v<Body>);
  EXPECT_EQ(names.count("unknown"), 0u);
}

TEST(Codec, EveryTruncatedOrLongerControlBodyIsRefused) {
  for (const Body& body : bodies()) {
    const transport::Frame frame = encode(test::stamp(), body);
    if (decode_header(frame.header.bytes())->content != Content::kControl) continue;
    SCOPED_TRACE(test::name_of(frame));
    std::vector<std::byte> bytes = test::bytes_of(frame.body);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      expect_refused(test::with_body(frame, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}),
                     Cause::kMalformed, "its fields do not fit");
    bytes.push_back(std::byte{0});
    expect_refused(test::with_body(frame, bytes), Cause::kMalformed, "its fields do not fit");
  }
}

TEST(Codec, ACommitNamesNobodyTwice) {
  const auto refused = [](const Commit& commit) { return !decode(encode(test::stamp(), commit), kJob).ok(); };
  EXPECT_FALSE(refused({1, {}, 0.5, 0}));
  EXPECT_FALSE(refused({1, {{0, 1}, {0, 2}, {1, 0}}, 0.5, 0}));
  EXPECT_TRUE(refused({1, {{0, 1}, {0, 1}}, 0.5, 0}));
  EXPECT_TRUE(refused({1, {{1, 0}, {0, 2}}, 0.5, 0}));
  EXPECT_TRUE(refused({1, {{0, 1}}, std::numeric_limits<double>::quiet_NaN(), 0}));
  EXPECT_TRUE(refused({1, {{0, 1}}, -0.5, 0}));
}

TEST(Codec, BodyMustBeTheOneOfTheHeader) {
  for (const Body& body : bodies()) {
    transport::Frame frame = encode(test::stamp(), body);
    if (frame.body.empty()) continue;
    SCOPED_TRACE(test::name_of(frame));
    transport::Frame shorter = frame, other = frame, none = frame;
    shorter.body = frame.body.part(0, frame.body.size() - 1);
    expect_refused(shorter, Cause::kMalformed, "its header says");
    none.body = {};
    expect_refused(none, Cause::kMalformed, "its header says");
    std::vector<std::byte> bytes = test::bytes_of(frame.body);
    bytes.back() ^= std::byte{1};
    other.body = Payload::of(std::move(bytes));
    expect_refused(other, Cause::kMalformed, "payload checksum");
  }
}

TEST(Codec, ALaneMayLeaveThePayloadUnchecked) {
  Stamp stamp = test::stamp();
  stamp.checksum_payload = false;
  const transport::Frame frame = encode(stamp, full<Push>());
  EXPECT_EQ(decode_header(frame.header.bytes())->payload_checksum, 0u);
  EXPECT_TRUE(decode(frame, kJob).ok());
}

// Whoever receives it sees float32, and learns the coding from the header alone.
TEST(Codec, GradientsDeltasAndLiveWeightsTravelAsTheJobSays) {
  Body gradient = full<Push>(), weights = full<Weights>();
  std::get<Push>(gradient).local_steps = 0;
  std::get<Weights>(weights).snapshot = 0;
  const auto floats_of = [](const Body& body) {
    const auto* push = std::get_if<Push>(&body);
    return push != nullptr ? push->gradient : std::get<Weights>(body).weights;
  };
  for (const DType wire : {DType::kFloat16, DType::kBFloat16})
    for (const Body& body : {gradient, full<Push>(), weights}) {
      const transport::Frame frame = encode(test::stamp(wire), body);
      EXPECT_EQ(decode_header(frame.header.bytes())->dtype, wire);
      EXPECT_EQ(2 * frame.body.size(), floats_of(body).size());
      const auto decoded = decode(frame, kJob);
      ASSERT_TRUE(decoded.ok()) << decoded.error().message;
      EXPECT_TRUE(test::same(floats_of(decoded->body), carried(wire, floats_of(body))));
      // What came can be said again in the same bytes.
      EXPECT_TRUE(test::same(encode(test::stamp(wire), decoded->body).body, frame.body));
      std::vector<std::byte> bytes = test::bytes_of(frame.body);
      bytes.pop_back();
      expect_refused(test::with_body(frame, bytes), Cause::kMalformed, "is no array of 2");
    }
}

TEST(Codec, WhatIsExactTravelsAsFloat32) {
  Push push = std::get<Push>(full<Push>());
  push.exact = true;
  const transport::Frame frame = encode(test::stamp(DType::kFloat16), push);
  EXPECT_EQ(decode_header(frame.header.bytes())->dtype, DType::kFloat32);
  const auto decoded = decode(frame, kJob);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_TRUE(test::same(std::get<Push>(decoded->body).gradient, push.gradient));
}

TEST(Codec, WeightsBehindAnAcknowledgementTravelAsTheJobSays) {
  for (const auto& [first, second] : test::pairs()) {
    const auto decoded = decode(encode(test::stamp(DType::kBFloat16), first, &second), kJob);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    EXPECT_EQ(decoded->header.dtype, DType::kBFloat16);
    ASSERT_TRUE(decoded->behind);
    if (const auto* weights = std::get_if<Weights>(&second)) {
      EXPECT_TRUE(test::same(std::get<Weights>(*decoded->behind).weights, carried(DType::kBFloat16, weights->weights)));
    }
  }
}

TEST(Codec, FixedSnapshotsAndWhatHasNoValuesTravelAsTheyAre) {
  for (Body& body : bodies()) {
    if (std::holds_alternative<Push>(body)) continue;
    if (auto* weights = std::get_if<Weights>(&body)) {
      ASSERT_NE(weights->snapshot, 0u);
    }
    const transport::Frame narrow = encode(test::stamp(DType::kBFloat16), body), plain = encode(test::stamp(), body);
    EXPECT_TRUE(test::same(narrow.header, plain.header)) << test::name_of(plain);
    EXPECT_TRUE(test::same(narrow.body, plain.body)) << test::name_of(plain);
  }
}

TEST(Codec, AnotherJobIsRefused) {
  const auto decoded = decode(encode(test::stamp(), Body{Ready{}}), kJob + 1);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().cause, Cause::kRefused);
  EXPECT_THAT(decoded.error().message, HasSubstr("a frame of job 0123456789abcdef, this is job 0123456789abcdf0"));
}

TEST(Codec, DataMessagesAreChecked) {
  const Body push = full<Push>(), weights = full<Weights>();
  const auto malformed = [](const transport::Frame& frame, const char* text) {
    expect_refused(frame, Cause::kMalformed, text);
  };
  malformed(with_header(push, [](Header& h) { h.content = Content::kWeights; }), "push with content 3");
  malformed(with_header(push, [](Header& h) { h.content = Content::kNone; }), "push with content 0");
  malformed(with_header(weights, [](Header& h) { h.content = Content::kGradient; }), "weights with content 1");
  malformed(with_header(push, [](Header& h) { h.dtype = DType::kInt8; }), "coding this program does not know");
  malformed(with_header(push, [](Header& h) { h.codec = Codec::kOneBit; }), "coding this program does not know");
  malformed(with_header(weights, [](Header& h) { h.offset = 4; }), "coding this program does not know");
  malformed(with_header(push, [](Header& h) { h.clock = -1; }), "a push of clock -1");
  for (const double rate : {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    malformed(with_header(push, [&](Header& h) { h.rate = rate; }), "a push at rate");
  for (const Body& body : {push, weights}) {
    const transport::Frame frame = encode(test::stamp(), body);
    std::vector<std::byte> bytes = test::bytes_of(frame.body);
    bytes.pop_back();
    malformed(test::with_body(frame, bytes), "is no array of 4");
  }
  for (const Body& body : {full<Pull>(), full<PushAck>()})
    malformed(test::with_body(encode(test::stamp(), body), std::vector<std::byte>(8)), "with a payload");
  malformed(with_header(full<Tick>(), [](Header& h) { h.content = Content::kGradient; }), "no control message");
}

// Floats are read where they lie, so they must lie well. Transports promise that; this is the last gate.
TEST(Codec, MisalignedFloatsAreRefused) {
  const transport::Frame frame = encode(test::stamp(), full<Push>());
  std::vector<std::byte> bytes = test::bytes_of(frame.body);
  bytes.insert(bytes.begin(), std::byte{0});
  const Payload shifted = Payload::of(std::move(bytes));
  expect_refused({frame.header, shifted.part(1, frame.body.size())}, Cause::kMalformed, "misaligned");
}

// ---- values that no sender means --------------------------------------------------------------------

template <typename M, typename Change>
transport::Frame control(Change change) {
  Body body = full<M>();
  change(std::get<M>(body));
  return encode(test::stamp(), body);
}

TEST(Codec, UnknownEnumerationsInControlMessagesAreRefused) {
  const char* text = "its fields do not fit";
  for (const int value : {-1, 0, 12, 129, 131})
    expect_refused(control<Refuse>([&](Refuse& m) { m.cause = static_cast<Cause>(value); }), Cause::kMalformed, text);
  for (const int value : {4, 255}) {
    expect_refused(control<Heartbeat>([&](Heartbeat& m) { m.waiting.kind = static_cast<WaitKind>(value); }),
                   Cause::kMalformed, text);
    expect_refused(
        control<Register>([&](Register& m) { m.manifest[0].initializer.kind = static_cast<InitializerKind>(value); }),
        Cause::kMalformed, text);
  }
  EXPECT_TRUE(decode(control<Refuse>([](Refuse& m) { m.cause = Cause::kInterrupted; }), kJob).ok());
}

TEST(Codec, NodesBeyondAnyTreeAreRefused) {
  for (const int level : {33, 255})
    expect_refused(control<Grant>([&](Grant& m) { m.steps[0].nodes[1].level = static_cast<std::uint8_t>(level); }),
                   Cause::kMalformed, "its fields do not fit");
}

}  // namespace
}  // namespace rubato::protocol
