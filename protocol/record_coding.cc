#include "protocol/record_coding.h"

#include <concepts>
#include <cstring>

namespace rubato::protocol {
namespace {

// Clocks and versions count: beyond this one is a lie, and adding to it must not overflow.
constexpr std::int64_t kCountMax = std::int64_t{1} << 62;

class EntryWriter {
 public:
  static constexpr bool kReads = false;
  explicit EntryWriter(std::vector<std::byte>& bytes) : bytes_(bytes) {}

  void byte(std::uint8_t& value) { bytes_.push_back(std::byte{value}); }
  template <typename T>
  void raw(T& value) {
    const auto* data = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), data, data + sizeof(T));
  }
  void number(std::uint64_t& value) {
    std::uint64_t rest = value;
    for (; rest >= 0x80; rest >>= 7) bytes_.push_back(static_cast<std::byte>(rest | 0x80));
    bytes_.push_back(static_cast<std::byte>(rest));
  }
  void refuse_unless(bool fine) { RUBATO_CHECK(fine, "an entry that could not be read again"); }
  template <typename T>
  void resize(std::vector<T>&, std::size_t) {}

 private:
  std::vector<std::byte>& bytes_;
};

class EntryReader {
 public:
  static constexpr bool kReads = true;
  explicit EntryReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  void byte(std::uint8_t& value) { raw(value); }
  template <typename T>
  void raw(T& value) {
    value = {};
    refuse_unless(rest_.size() >= sizeof(T));
    if (!good_) return;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
  }
  void number(std::uint64_t& value) {
    value = 0;
    std::uint8_t next = 0x80;
    for (unsigned shift = 0; (next & 0x80) != 0; shift += 7) {
      byte(next);
      refuse_unless(shift < 63 || next <= 1);
      if (!good_) return;
      value |= static_cast<std::uint64_t>(next & 0x7F) << shift;
    }
  }
  void refuse_unless(bool fine) { good_ = good_ && fine; }
  // Each element takes at least a byte.
  template <typename T>
  void resize(std::vector<T>& values, std::size_t size) {
    refuse_unless(size <= rest_.size());
    if (good_) values.resize(size);
  }

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> rest_;
  bool good_ = true;
};

// A value close to what was expected. Differences wrap, so that any pair of values has one.
template <typename Archive, std::integral T>
void near(Archive& a, T& value, T expected) {
  const std::uint64_t difference = static_cast<std::uint64_t>(value) - static_cast<std::uint64_t>(expected);
  std::uint64_t zigzag = (difference << 1) ^ (0 - (difference >> 63));
  a.number(zigzag);
  if constexpr (Archive::kReads) {
    const std::uint64_t sum = static_cast<std::uint64_t>(expected) + ((zigzag >> 1) ^ (0 - (zigzag & 1)));
    value = static_cast<T>(sum);
    a.refuse_unless(static_cast<std::uint64_t>(value) == sum);
  }
}

template <typename Archive, std::unsigned_integral T>
void number(Archive& a, T& value) {
  std::uint64_t wide = value;
  a.number(wide);
  value = static_cast<T>(wide);
  a.refuse_unless(value == wide);
}

template <typename Archive>
void node(Archive& a, LeafNode& value) {
  a.byte(value.level);
  number(a, value.index);
  a.refuse_unless(value.valid());
}

template <typename Archive>
void nodes(Archive& a, std::vector<LeafNode>& values) {
  std::uint64_t count = values.size();
  a.number(count);
  a.resize(values, count);
  for (LeafNode& value : values) node(a, value);
}

template <typename Archive>
void clock(Archive& a, Clock& value, Clock expected) {
  near(a, value, expected);
  a.refuse_unless(value >= 0 && value <= kCountMax);
}

template <typename Archive>
void slice(Archive& a, SliceId& value, SliceId expected, const RecordContext& context) {
  near(a, value, expected);
  a.refuse_unless(value < context.slices);
}

// ---- entries: `flags` is what the head byte holds beside the kind

enum StepFlags : std::uint8_t { kNewNodes = 1, kNewRate = 2, kNewRules = 4, kNewLeaves = 8 };

std::uint8_t flags_of(const RecordedStep& step, const RecordContext& context) {
  const RecordedStep& last = context.step;
  return static_cast<std::uint8_t>(
      (step.nodes != last.nodes ? kNewNodes : 0) | (step.rate != last.rate ? kNewRate : 0) |
      (step.rule_epoch != last.rule_epoch ? kNewRules : 0) | (step.leaves != last.leaves ? kNewLeaves : 0));
}

template <typename Archive>
void fields(Archive& a, RecordedStep& step, std::uint8_t flags, RecordContext& context) {
  const RecordedStep& last = context.step;
  clock(a, step.clock, last.clock + 1);
  near(a, step.batch.epoch, last.batch.epoch);
  near(a, step.batch.first, last.batch.first + last.batch.count);
  near(a, step.batch.count, last.batch.count);
  if constexpr (Archive::kReads) {
    step.nodes = last.nodes;
    step.rate = last.rate;
    step.rule_epoch = last.rule_epoch;
    step.leaves = last.leaves;
  }
  if (flags & kNewNodes) nodes(a, step.nodes);
  if (flags & kNewRate) a.raw(step.rate);
  if (flags & kNewRules) number(a, step.rule_epoch);
  if (flags & kNewLeaves) number(a, step.leaves);
  a.refuse_unless(step.leaves > 0);
  a.resize(step.used, context.slices);
  for (std::size_t i = 0; i < step.used.size(); ++i) near(a, step.used[i], last.used.empty() ? 0 : last.used[i]);
  context.step = step;
}

std::uint8_t flags_of(const RecordedNodes&, const RecordContext&) { return 0; }

template <typename Archive>
void fields(Archive& a, RecordedNodes& more, std::uint8_t /*flags*/, RecordContext& context) {
  clock(a, more.clock, context.step.clock);
  nodes(a, more.nodes);
}

constexpr std::uint8_t kFate = 7, kNextClock = 8, kSameNode = 16;

std::uint8_t flags_of(const RecordedSettle& settle, const RecordContext& context) {
  const auto found = context.settled.find({settle.slice, settle.worker});
  const RecordContext::Settled last = found == context.settled.end() ? RecordContext::Settled{} : found->second;
  return static_cast<std::uint8_t>(static_cast<std::uint8_t>(settle.fate) |
                                   (settle.clock == last.clock + 1 ? kNextClock : 0) |
                                   (settle.node == last.node ? kSameNode : 0));
}

template <typename Archive>
void fields(Archive& a, RecordedSettle& settle, std::uint8_t flags, RecordContext& context) {
  slice(a, settle.slice, context.settled_slice, context);
  number(a, settle.worker);
  context.settled_slice = settle.slice;
  RecordContext::Settled& last = context.settled[{settle.slice, settle.worker}];
  if constexpr (Archive::kReads) {
    settle.fate = static_cast<Fate>(flags & kFate);
    settle.clock = last.clock + 1;
    settle.node = last.node;
  }
  a.refuse_unless(settle.fate >= Fate::kApplied && settle.fate <= Fate::kEmpty);
  if (!(flags & kNextClock)) clock(a, settle.clock, last.clock);
  if (!(flags & kSameNode)) node(a, settle.node);
  if (settle.fate != Fate::kEmpty) a.raw(settle.gradient_hash);
  if (settle.fate == Fate::kApplied) a.raw(settle.weights_hash);
  last = {settle.clock, settle.node};
}

constexpr std::uint8_t kEmptyUpdate = 1, kAnotherRate = 2;

std::uint8_t flags_of(const RecordedApply& apply, const RecordContext& context) {
  return static_cast<std::uint8_t>((apply.empty ? kEmptyUpdate : 0) |
                                   (apply.rate != context.applied_rate ? kAnotherRate : 0));
}

template <typename Archive>
void fields(Archive& a, RecordedApply& apply, std::uint8_t flags, RecordContext& context) {
  slice(a, apply.slice, context.settled_slice, context);
  const auto found = context.applied.find(apply.slice);
  clock(a, apply.clock, found == context.applied.end() ? 0 : found->second + 1);
  if constexpr (Archive::kReads) {
    apply.empty = (flags & kEmptyUpdate) != 0;
    apply.rate = context.applied_rate;
  }
  if (flags & kAnotherRate) a.raw(apply.rate);
  a.raw(apply.weights_hash);
  context.applied[apply.slice] = apply.clock;
  context.applied_rate = apply.rate;
}

// The parts of one commit come in the order of ranks, and then the clock after.
std::uint8_t flags_of(const RecordedContribution&, const RecordContext&) { return 0; }

template <typename Archive>
void fields(Archive& a, RecordedContribution& part, std::uint8_t /*flags*/, RecordContext& context) {
  slice(a, part.slice, context.contribution.slice, context);
  number(a, part.worker);
  clock(a, part.clock, context.contribution.clock);
  context.contribution = part;
}

std::uint8_t flags_of(const RecordedSnapshot&, const RecordContext&) { return 0; }

template <typename Archive>
void fields(Archive& a, RecordedSnapshot& held, std::uint8_t /*flags*/, RecordContext& context) {
  near(a, held.snapshot, context.snapshot.snapshot);
  slice(a, held.slice, context.snapshot.slice, context);
  near(a, held.version, context.snapshot.version);
  context.snapshot = held;
}

constexpr std::uint8_t kKindBits = 3, kKind = (1 << kKindBits) - 1;

template <std::size_t kIndex = 0>
RecordEntry entry_of_kind(std::size_t kind) {
  if constexpr (kIndex + 1 < std::variant_size_v<RecordEntry>)
    if (kind != kIndex) return entry_of_kind<kIndex + 1>(kind);
  return RecordEntry(std::in_place_index<kIndex>);
}

}  // namespace

void encode_entry(const RecordEntry& entry, RecordContext& context, std::vector<std::byte>& bytes) {
  EntryWriter writer(bytes);
  std::visit(
      [&](auto copy) {  // one list of fields serves both directions; writing changes nothing
        const std::uint8_t flags = flags_of(copy, context);
        auto head = static_cast<std::uint8_t>(entry.index() | (flags << kKindBits));
        writer.byte(head);
        fields(writer, copy, flags, context);
      },
      entry);
}

std::optional<RecordEntry> decode_entry(std::span<const std::byte>& bytes, RecordContext& context) {
  EntryReader reader(bytes);
  std::uint8_t head = 0;
  reader.byte(head);
  const std::size_t kind = head & kKind;
  if (!reader.good() || kind >= std::variant_size_v<RecordEntry>) return std::nullopt;
  RecordEntry entry = entry_of_kind(kind);
  std::visit([&](auto& value) { fields(reader, value, head >> kKindBits, context); }, entry);
  if (!reader.good()) return std::nullopt;
  bytes = reader.rest();
  return entry;
}

}  // namespace rubato::protocol
