// How large a body may be, asked when its header has come and before there is memory for it: so that who is no member
// of the job cannot have a gigabyte set aside with forty bytes. A well-formed header of this job says which message
// follows: gradients and weights are of one slice; the few messages that describe a whole model or a whole evaluation
// may be as large as any; all others are short.
//
// Headers are not signed: what tells a member from a stranger is the job's id, 64 bits drawn at random.
//
// Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <span>

#include "base/job.h"
#include "base/result.h"
#include "protocol/header.h"

namespace rubato::protocol {

class BodyLimit {
 public:
  BodyLimit(const Job& job, std::uint64_t job_id)
      : job_id_(job_id), slice_bytes_(static_cast<std::uint64_t>(job.cluster.slice_bytes)) {}

  // Errors: kMalformed or kRefused, with what was found and what is expected.
  [[nodiscard]] Status check(std::span<const std::byte> header, std::uint64_t body_bytes) const;

  // Of a message of this type.
  [[nodiscard]] std::uint64_t bytes_max(MessageType type) const;

 private:
  std::uint64_t job_id_, slice_bytes_;
};

}  // namespace rubato::protocol
