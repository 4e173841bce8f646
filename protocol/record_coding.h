// How the entries of a record become bytes: each as what it differs by from what was to be expected after
// the one before. A settled push takes four bytes and its hashes; a step about ten, and one for each slice.
//
//   byte   bits 0-2 the entry's kind, above them its flags
//   ...    numbers as varints (7 bits a byte, the lowest first), differences zigzag-coded first (0, -1, 1,
//          -2, ...), hashes and doubles as they lie in memory
//
// Each entry lists its fields once, in record_coding.cc, and the list writes and reads it, with a RecordContext
// that went through the same entries on both sides.
//
// Decoding trusts nothing: it never reads past the end, allocates no more than there are bytes, and refuses
// slices, nodes, fates and clocks that cannot be.
//
// Thread-safety: each object belongs to one owner.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "protocol/record.h"

namespace rubato::protocol {

// What the coding of an entry depends on.
struct RecordContext {
  explicit RecordContext(std::uint32_t slices_of_job = 0) : slices(slices_of_job) {}

  std::uint32_t slices;
  RecordedStep step;          // the last one
  SliceId settled_slice = 0;  // of the last settled push
  struct Settled {
    Clock clock = kNoClock;
    LeafNode node;
  };
  std::map<std::pair<SliceId, std::uint32_t>, Settled> settled;  // by slice and worker
  std::map<SliceId, Clock> applied;
  double applied_rate = 0.0;
  RecordedSnapshot snapshot;
  RecordedContribution contribution;
};

void encode_entry(const RecordEntry& entry, RecordContext& context, std::vector<std::byte>& bytes);

// Takes the next entry off the front of `bytes`. Nothing, if they are no entry.
[[nodiscard]] std::optional<RecordEntry> decode_entry(std::span<const std::byte>& bytes, RecordContext& context);

}  // namespace rubato::protocol
