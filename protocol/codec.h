// Messages to frames and back: the only place that knows which header field carries what.
//
// decode() takes bytes from anyone. It returns an Error of cause kMalformed or kRefused for whatever is
// not a whole, well-formed message of this protocol and job, and never aborts.
//
// Thread-safety: pure functions, but for the memory that they are given.
#pragma once

#include <optional>
#include <vector>

#include "base/block_pool.h"
#include "protocol/core.h"
#include "transport/endpoint.h"

namespace rubato::protocol {

// The part of a header that the sender's driver, not the message, decides.
struct Stamp {
  std::uint64_t job_id = 0;
  Identity from;
  NodeId to;
  std::uint64_t sequence = 0;
  bool checksum_payload = true;  // off between processes of one host, where bytes do not travel
  DType wire = DType::kFloat32;  // of gradients, deltas and live weights
};

struct Decoded {
  Header header;
  Envelope envelope;
  Body body;
  std::optional<Body> behind;  // of two messages in one frame, the second
};

// Memory that is used again for every frame, so that encoding one allocates nothing: headers, and the fields of control
// messages that are not large, lie in blocks.
struct EncodingMemory {
  BlockPool blocks{512};
  std::vector<std::byte> fields;
};

// `behind`: a message that goes in the same frame, if there is one. The two may be joined (protocol/joined.h).
[[nodiscard]] transport::Frame encode(const Stamp& stamp, const Body& body, const Body* behind, EncodingMemory& memory);
[[nodiscard]] transport::Frame encode(const Stamp& stamp, const Body& body, const Body* behind = nullptr);
[[nodiscard]] Result<Decoded> decode(const transport::Frame& frame, std::uint64_t job_id);

// A header of this job, with a body of so many bytes.
[[nodiscard]] Result<Header> decode_header(std::span<const std::byte> bytes, std::uint64_t body_bytes,
                                           std::uint64_t job_id);

[[nodiscard]] const char* type_name(MessageType type);

}  // namespace rubato::protocol
