// What is true of the newest version of each slice of a shard, beside its weights and optimizer state: how many
// updates it has had, what is settled, whose answers a repeat gets again, and in which blocks weights and state lie.
//
// Each slice has two records. One of them is published; the other is written, together with the marks that belong to
// it, and then published in its place by one store of which it is, with release order. So whoever comes after this
// process, however that ended, finds of each slice one version, whole: the blocks that a published record names are
// not written before another one is published (server/slot.h), and marks, weights and state are of one moment.
// Nothing that a recovery would need lives anywhere else. Open aggregates do not: they are built again from pushes
// sent again.
//
// Writes past the cache are settled before whoever made them returns (kernels/cpu/apply_rule.cc), hence before the
// store.
//
// Thread-safety: belongs to one shard. Read by others once the shard's process is dead.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/memory.h"
#include "protocol/messages.h"
#include "server/held_root.h"

namespace rubato::server {

struct VersionRecord {
  Version version = 0;                          // number of updates that led here: Adam's t as well
  Clock settled = 0;                            // aggregate: clocks settled; committed: the floor
  std::uint64_t weights = 0, state = 0;         // places of the blocks; 0: none, or not in memory that is held
  protocol::Fate fate = protocol::Fate::kNone;  // aggregate: what became of the clock settled last
};

// What a slice has settled of a worker, where it does so push by push: its last clock, and the answer that a repeat of
// that push gets again. Its fate is kNone where there is none yet.
using Mark = protocol::PushAck;

// One slice's part of a table, which outlives it.
class VersionCell {
 public:
  VersionCell() = default;

  [[nodiscard]] const VersionRecord& version() const { return entry_->records[published_]; }
  // Of every worker, by rank.
  [[nodiscard]] std::span<const Mark> marks() const { return {marks_[published_], workers_}; }
  // Null, if nothing of this worker is settled.
  [[nodiscard]] const Mark* mark(std::uint32_t worker) const {
    const Mark* mark = worker < workers_ ? marks_[published_] + worker : nullptr;
    return mark == nullptr || mark->fate == protocol::Fate::kNone ? nullptr : mark;
  }

  // From now on `next` is the version, with the marks as they are, but for that of `worker`.
  void publish(const VersionRecord& next) { publish(next, kNobody, {}); }
  void publish(const VersionRecord& next, std::uint32_t worker, const Mark& mark);
  // The same, of an earlier life: with all of its marks.
  void inherit(const VersionRecord& next, std::span<const Mark> marks);

 private:
  friend class VersionTable;
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  struct Entry {
    std::atomic<std::uint32_t> published = 0;
    SliceId slice = 0;
    std::uint64_t elements = 0;
    VersionRecord records[2];
    // Two times the marks of all workers come behind it.
  };
  VersionCell(Entry* entry, std::uint32_t workers);

  Entry* entry_ = nullptr;
  Mark* marks_[2] = {};
  std::uint32_t workers_ = 0;
  std::uint32_t published_ = 0;     // as in the entry
  std::uint32_t behind_ = kNobody;  // whose mark differs in the two records
};

class VersionTable {
 public:
  // What a table is of. Another one of these is of other slices, or marks.
  struct Subject {
    std::string job_hash;
    std::uint64_t placement = 0;  // of all slices of the job (protocol::placement_hash)
    std::uint32_t shard = 0;
    std::uint32_t slices = 0;   // of the shard
    std::uint32_t workers = 0;  // whose marks are kept; none in an aggregate
  };
  [[nodiscard]] static std::size_t bytes(std::size_t slices, std::size_t workers);

  VersionTable() = default;
  // Empty, in memory that may outlive this process. Errors: kMemory.
  [[nodiscard]] static Result<VersionTable> create(const Subject& subject, Memory& memory);
  // The cell of the slice that is entered at this position; an entry is made once.
  [[nodiscard]] VersionCell enter(std::size_t position, SliceId slice, std::uint64_t elements);
  [[nodiscard]] const void* block() const { return block_.get(); }

  // What an earlier life has left of a slice. The spans lie in `remains`.
  struct Inheritance {
    VersionRecord version;
    std::span<const Mark> marks;
    std::span<const float> weights, state;
  };
  // Finds the table of `subject` in what an earlier life has left. Errors: kMalformed, if it is of something else, or
  // damaged.
  class Reader {
   public:
    [[nodiscard]] static Result<Reader> open(const Subject& subject, std::span<const std::byte> remains,
                                             std::uint64_t table);
    // `weights` and `state`: how many floats their blocks have.
    [[nodiscard]] Result<Inheritance> read(std::size_t position, SliceId slice, std::uint64_t elements,
                                           std::size_t weights, std::size_t state) const;

   private:
    std::span<const std::byte> remains_, table_;
    std::uint32_t workers_ = 0;
  };

 private:
  struct Head {
    std::uint32_t slices = 0, workers = 0, shard = 0, entry_bytes = 0;
    std::uint64_t placement = 0;
    char job_hash[64] = {};
  };
  [[nodiscard]] static std::size_t entry_bytes(std::size_t workers);
  VersionTable(const Subject& subject, std::shared_ptr<float[]> block);

  std::shared_ptr<float[]> block_;
  std::uint32_t workers_ = 0;
};

}  // namespace rubato::server
