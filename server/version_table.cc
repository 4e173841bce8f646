#include "server/version_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/check.h"
#include "base/out_of_memory.h"

namespace rubato::server {
namespace {

// What lies in memory that another life of the program reads: HeldRoot::kLayout is raised with every change.
static_assert(sizeof(Mark) == 56 && std::is_trivially_copyable_v<Mark>);
static_assert(sizeof(VersionRecord) == 40 && std::is_trivially_copyable_v<VersionRecord>);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

std::byte* bytes_of(float* block) { return reinterpret_cast<std::byte*>(block); }

Error malformed(std::string text) {
  return {Cause::kMalformed, "the memory of the server before this one " + std::move(text)};
}

}  // namespace

// ---- a slice's part ---------------------------------------------------------------------------------

VersionCell::VersionCell(Entry* entry, std::uint32_t workers) : entry_(entry), workers_(workers) {
  marks_[0] = reinterpret_cast<Mark*>(entry + 1);
  marks_[1] = marks_[0] + workers;
}

void VersionCell::publish(const VersionRecord& next, std::uint32_t worker, const Mark& mark) {
  const std::uint32_t other = 1 - published_;
  entry_->records[other] = next;
  if (behind_ != kNobody) marks_[other][behind_] = marks_[published_][behind_];
  behind_ = worker;
  if (worker != kNobody) {
    RUBATO_CHECK(worker < workers_, "a mark of worker-{} of {}", worker, workers_);
    marks_[other][worker] = mark;
  }
  entry_->published.store(other, std::memory_order_release);
  published_ = other;
}

void VersionCell::inherit(const VersionRecord& next, std::span<const Mark> marks) {
  RUBATO_CHECK(marks.size() == workers_, "{} marks of {}", marks.size(), workers_);
  for (Mark* all : marks_) std::ranges::copy(marks, all);
  publish(next);
}

// ---- the table --------------------------------------------------------------------------------------

std::size_t VersionTable::entry_bytes(std::size_t workers) {
  return sizeof(VersionCell::Entry) + 2 * workers * sizeof(Mark);
}

std::size_t VersionTable::bytes(std::size_t slices, std::size_t workers) {
  return sizeof(Head) + slices * entry_bytes(workers);
}

Result<VersionTable> VersionTable::create(const Subject& subject, Memory& memory) {
  const std::size_t size = bytes(subject.slices, subject.workers);
  try {
    return VersionTable(subject, memory.floats(size / sizeof(float)));
  } catch (const std::bad_alloc&) {
    return out_of_memory(size,
                         fmt::format("the marks of {} workers at each of {} slices", subject.workers, subject.slices),
                         "use more servers, on more machines");
  }
}

VersionTable::VersionTable(const Subject& subject, std::shared_ptr<float[]> block)
    : block_(std::move(block)), workers_(subject.workers) {
  auto* head = new (block_.get()) Head;
  head->slices = subject.slices;
  head->workers = subject.workers;
  head->shard = subject.shard;
  head->entry_bytes = static_cast<std::uint32_t>(entry_bytes(subject.workers));
  head->placement = subject.placement;
  subject.job_hash.copy(head->job_hash, sizeof(head->job_hash));
}

VersionCell VersionTable::enter(std::size_t position, SliceId slice, std::uint64_t elements) {
  std::byte* at = bytes_of(block_.get()) + sizeof(Head) + position * entry_bytes(workers_);
  auto* entry = new (at) VersionCell::Entry;
  entry->slice = slice;
  entry->elements = elements;
  return {entry, workers_};
}

// ---- what an earlier life has left ------------------------------------------------------------------

Result<VersionTable::Reader> VersionTable::Reader::open(const Subject& subject, std::span<const std::byte> remains,
                                                        std::uint64_t table) {
  const std::size_t size = bytes(subject.slices, subject.workers);
  if (floats_at(remains, table, size / sizeof(float)).empty()) return malformed("has no table where it says");
  const std::span<const std::byte> found = remains.subspan(table, size);
  const auto& head = *reinterpret_cast<const Head*>(found.data());
  const std::string_view job_hash(head.job_hash, ::strnlen(head.job_hash, sizeof(head.job_hash)));
  if (job_hash != subject.job_hash)
    return malformed(fmt::format("is of another job (hash {:.12}, this one has {:.12})", job_hash, subject.job_hash));
  if (head.shard != subject.shard || head.slices != subject.slices || head.placement != subject.placement)
    return malformed(fmt::format("is of shard {} with {} slices, placed otherwise than shard {} with its {}",
                                 head.shard, head.slices, subject.shard, subject.slices));
  if (head.workers != subject.workers || head.entry_bytes != entry_bytes(subject.workers))
    return malformed(fmt::format("keeps marks of {} workers, where there are {}", head.workers, subject.workers));
  Reader reader;
  reader.remains_ = remains;
  reader.table_ = found.subspan(sizeof(Head));
  reader.workers_ = subject.workers;
  return reader;
}

Result<VersionTable::Inheritance> VersionTable::Reader::read(std::size_t position, SliceId slice,
                                                             std::uint64_t elements, std::size_t weights,
                                                             std::size_t state) const {
  const std::byte* at = table_.data() + position * entry_bytes(workers_);
  const auto& entry = *reinterpret_cast<const VersionCell::Entry*>(at);
  const std::uint32_t published = entry.published.load(std::memory_order_acquire);
  if (entry.slice != slice || entry.elements != elements || published > 1)
    return malformed(fmt::format("has slice {} of {} elements where slice {} of {} ought to be", entry.slice,
                                 entry.elements, slice, elements));
  Inheritance found;
  found.version = entry.records[published];
  const auto* marks = reinterpret_cast<const Mark*>(at + sizeof(VersionCell::Entry));
  found.marks = {marks + static_cast<std::size_t>(published) * workers_, workers_};
  found.weights = floats_at(remains_, found.version.weights, weights);
  if (state > 0) found.state = floats_at(remains_, found.version.state, state);
  if (found.weights.size() != weights || found.state.size() != state)
    return malformed(fmt::format("does not have all of version {} of slice {}: there was not enough of it",
                                 found.version.version, slice));
  return found;
}

}  // namespace rubato::server
