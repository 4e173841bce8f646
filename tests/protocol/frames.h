// Frames for the tests of the wire: one of every message, with a value in every field, and the means to
// spoil one without its checksums giving it away.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "protocol/codec.h"
#include "tests/protocol/aggregate_fields.h"

namespace rubato::protocol::test {

inline constexpr std::uint64_t kJob = 0x0123456789ABCDEFull;

// A body of every message, in the order of Body's alternatives.
inline std::vector<Body> bodies() {
  std::vector<Body> all;
  const auto add = [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((Filler().fill(std::get<I>(all.emplace_back(std::in_place_index<I>)))), ...);
  };
  add(std::make_index_sequence<std::variant_size_v<Body>>());
  return all;
}

// Every two messages that go in one frame.
inline std::vector<std::pair<Body, Body>> pairs() {
  Push push;
  PushAck ack;
  Weights weights;
  Filler().fill(push);
  Filler().fill(ack);
  Filler().fill(weights);
  const Pull pull{.slice = push.slice, .clock = push.clock + 1, .floor = 17};
  weights = {ack.slice, ack.clock + 1, ack.version, ack.floor, 0, weights.weights};
  return {{push, pull}, {ack, weights}};
}

inline Stamp stamp(DType wire = DType::kFloat32) {
  Stamp stamp;
  stamp.wire = wire;
  stamp.job_id = kJob;
  stamp.from = {worker_node(3), 5, 7, 11};
  stamp.to = server_node(2);
  stamp.sequence = 13;
  return stamp;
}

inline std::string name_of(const transport::Frame& frame) {
  return type_name(decode_header(frame.header.bytes())->type);
}

inline std::vector<std::byte> bytes_of(const Payload& payload) {
  return {payload.bytes().begin(), payload.bytes().end()};
}

// Recomputes the checksum of a header whose bytes were changed.
inline void seal(std::span<std::byte> header) {
  const std::uint64_t sum = xxh3(header.first(kHeaderBytes - 8), kMagic);
  std::memcpy(header.data() + kHeaderBytes - 8, &sum, sizeof(sum));
}

// The frame with another body; its header has the length and checksum for it.
inline transport::Frame with_body(const transport::Frame& frame, std::vector<std::byte> body) {
  Header header = *decode_header(frame.header.bytes());
  header.length = body.size();
  header.payload_checksum = body.empty() ? 0 : xxh3(body);
  return {Payload::copy_of(encode_header(header)), Payload::of(std::move(body))};
}

inline std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

// Frames as their golden files have them: header and body in lines of 32 bytes, a blank line between.
inline std::string golden_text(const transport::Frame& frame) {
  std::string text;
  const auto add = [&](std::span<const std::byte> bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += 32)
      text += hex(bytes.subspan(at, std::min<std::size_t>(32, bytes.size() - at))) + "\n";
  };
  add(frame.header.bytes());
  text += "\n";
  add(frame.body.bytes());
  return text;
}

// "push acknowledgement" -> "push_acknowledgement.hex"
inline std::string golden_file(const transport::Frame& frame) {
  std::string name = name_of(frame);
  for (char& c : name)
    if (c == ' ') c = '_';
  return name + ".hex";
}

// One of each message by its file, and one of each two that go in one frame. A push that is filled with something
// everywhere is a delta: one of a gradient stands beside it; and gradients and live weights in 16 bits.
inline std::map<std::string, transport::Frame> golden_frames() {
  std::map<std::string, transport::Frame> frames;
  for (Body& body : bodies()) {
    transport::Frame frame = encode(stamp(), body);
    const std::string file = golden_file(frame);
    frames.emplace(file, std::move(frame));
    if (auto* push = std::get_if<Push>(&body)) {
      push->local_steps = 0;
      frames.emplace("push_of_a_gradient.hex", encode(stamp(), body));
      frames.emplace("push_in_float16.hex", encode(stamp(DType::kFloat16), body));
    }
    if (auto* weights = std::get_if<Weights>(&body)) {
      weights->snapshot = 0;
      frames.emplace("weights_in_bfloat16.hex", encode(stamp(DType::kBFloat16), body));
    }
  }
  for (const auto& [first, second] : pairs()) {
    transport::Frame frame = encode(stamp(), first, &second);
    std::string file = "joined_" + golden_file(frame);
    frames.emplace(std::move(file), std::move(frame));
  }
  return frames;
}

}  // namespace rubato::protocol::test
