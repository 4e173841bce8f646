#include "protocol/body_limit.h"

#include "protocol/codec.h"

namespace rubato::protocol {
namespace {

// Of lists of workers, steps and ages: ten thousand workers take a few hundred kilobytes.
constexpr std::uint64_t kListBytesMax = std::uint64_t{16} << 20;

}  // namespace

std::uint64_t BodyLimit::bytes_max(MessageType type) const {
  switch (type) {
    case MessageType::kPush:
    case MessageType::kPushAck:  // weights may be joined to it
    case MessageType::kWeights:
      return slice_bytes_;
    case MessageType::kRegister:
    case MessageType::kWelcome:
    case MessageType::kEvaluationDone:
      return kBodyBytesMax;
    default:
      return kListBytesMax;
  }
}

Status BodyLimit::check(std::span<const std::byte> header, std::uint64_t body_bytes) const {
  RUBATO_ASSIGN(const Header decoded, decode_header(header, body_bytes, job_id_));
  if (const std::uint64_t most = bytes_max(decoded.type); body_bytes > most)
    return Error{Cause::kMalformed,
                 fmt::format("a {} of {} bytes, expected {} at most", type_name(decoded.type), body_bytes, most)};
  return {};
}

}  // namespace rubato::protocol
