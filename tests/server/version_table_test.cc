// The table of versions: what is published, what an inheritor reads of it, and what it refuses.
#include "server/version_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

namespace rubato::server {
namespace {

using protocol::Fate;
using testing::HasSubstr;

// Memory that outlives a child process: cut from one run of bytes, one block behind the other.
class HeldArena final : public Memory {
 public:
  explicit HeldArena(std::size_t bytes)
      : bytes_(
            static_cast<std::byte*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
            bytes) {
    RUBATO_CHECK(bytes_.data() != MAP_FAILED);
  }
  ~HeldArena() override { ::munmap(bytes_.data(), bytes_.size()); }
  [[nodiscard]] std::shared_ptr<float[]> floats(std::size_t count) override {
    const std::size_t at = used_;
    used_ += (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    if (used_ > bytes_.size()) return PrivateMemory().floats(count);
    return {reinterpret_cast<float*>(bytes_.data() + at), [](float*) {}};
  }
  [[nodiscard]] std::span<std::byte> held() const override { return bytes_; }

 private:
  std::span<std::byte> bytes_;
  std::size_t used_ = HeldRoot::kBytes;
};

constexpr std::uint32_t kWorkers = 3;
constexpr std::size_t kFloats = 32;

VersionTable::Subject subject() {
  return {.job_hash = std::string(64, 'a'), .placement = 17, .shard = 5, .slices = 2, .workers = kWorkers};
}

Mark mark_of(Clock clock) {
  return {.slice = 9, .clock = clock, .node = {}, .fate = Fate::kApplied, .version = 4, .age = 1, .floor = clock};
}

class Table : public testing::Test {
 protected:
  Table() {
    HeldRoot::lay(arena_.held(), 4, 2);
    table_ = VersionTable::create(subject(), arena_).value();
    weights_ = arena_.floats(kFloats);
    for (std::size_t i = 0; i < kFloats; ++i) weights_[i] = static_cast<float>(i);
  }
  VersionRecord record(Version version) {
    return {.version = version, .settled = 0, .weights = place_of(weights_.get(), arena_.held()), .state = 0};
  }
  void enter_both() {
    for (std::size_t position : {0, 1})
      table_.enter(position, static_cast<SliceId>(8 + position), 30).publish(record(1));
    HeldRoot::of(arena_.held()).enter(5, place_of(table_.block(), arena_.held()));
  }
  [[nodiscard]] std::string refusal(const VersionTable::Subject& of) const {
    const auto table = HeldRoot::find(arena_.held(), 5).value();
    const auto reader = VersionTable::Reader::open(of, arena_.held(), table);
    return reader.ok() ? "" : reader.error().message;
  }
  [[nodiscard]] auto read(SliceId slice, std::uint64_t elements, std::size_t weights = kFloats,
                          std::size_t state = 0) const {
    const auto table = HeldRoot::find(arena_.held(), 5).value();
    return VersionTable::Reader::open(subject(), arena_.held(), table).value().read(1, slice, elements, weights, state);
  }

  HeldArena arena_{1 << 16};
  VersionTable table_;
  std::shared_ptr<float[]> weights_;
};

TEST_F(Table, AnHeirReadsWhatWasPublishedLast) {
  enter_both();
  VersionCell cell = table_.enter(1, 9, 30);
  EXPECT_EQ(cell.mark(2), nullptr);
  cell.publish(record(2), 2, mark_of(7));
  cell.publish(record(3), 0, mark_of(8));
  cell.publish(record(4), 2, mark_of(9));
  EXPECT_EQ(cell.mark(2)->clock, 9);
  const auto found = read(9, 30);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->version.version, 4u);
  EXPECT_EQ(found->weights[5], 5.0f);
  ASSERT_EQ(found->marks.size(), kWorkers);
  EXPECT_EQ(found->marks[0].clock, 8);
  EXPECT_EQ(found->marks[1].fate, Fate::kNone);
  EXPECT_EQ(found->marks[2].clock, 9);

  HeldArena other(1 << 16);
  VersionCell heir = VersionTable::create(subject(), other).value().enter(1, 9, 30);
  heir.inherit(found->version, found->marks);
  heir.publish(record(5), 1, mark_of(1));
  heir.publish(record(6));
  for (std::uint32_t worker : {0, 1, 2}) EXPECT_EQ(heir.mark(worker)->clock, worker == 0 ? 8 : worker == 1 ? 1 : 9);
}

TEST_F(Table, IsFoundOnceItIsEntered) {
  EXPECT_EQ(HeldRoot::find(arena_.held(), 5).value(), 0u);
  enter_both();
  EXPECT_NE(HeldRoot::find(arena_.held(), 5).value(), 0u);
  EXPECT_EQ(HeldRoot::find(arena_.held(), 4).value(), 0u) << "the other shard of the server has none yet";
  EXPECT_EQ(HeldRoot::find({}, 5).value(), 0u) << "a life that had no memory yet";
  EXPECT_EQ(HeldRoot::of(arena_.held()).entered, 1u);
}

TEST_F(Table, OfAnotherKindOrShardIsAnError) {
  EXPECT_THAT(HeldRoot::find(arena_.held(), 6).error().message, HasSubstr("is of shards 4 to 5, and not of shard 6"));
  HeldRoot::of(arena_.held()).layout = HeldRoot::kLayout + 1;
  EXPECT_THAT(HeldRoot::find(arena_.held(), 5).error().message, HasSubstr("of another kind (layout 2"));
  HeldRoot::of(arena_.held()).layout = HeldRoot::kLayout;
  HeldRoot::of(arena_.held()).magic = 1;
  EXPECT_THAT(HeldRoot::find(arena_.held(), 5).error().message, HasSubstr("of another kind"));
  HeldRoot::of(arena_.held()).magic = 0;
  EXPECT_EQ(HeldRoot::find(arena_.held(), 5).value(), 0u) << "killed before it was laid";
}

TEST_F(Table, OfAnotherSubjectIsAnError) {
  enter_both();
  EXPECT_EQ(refusal(subject()), "");
  auto other = subject();
  other.job_hash[0] = 'b';
  EXPECT_THAT(refusal(other), HasSubstr("of another job (hash aaaaaaaaaaaa, this one has baaaaaaaaaaa)"));
  other = subject();
  other.shard = 4;
  EXPECT_THAT(refusal(other), HasSubstr("of shard 5 with 2 slices, placed otherwise than shard 4"));
  other = subject();
  other.slices = 1;
  EXPECT_THAT(refusal(other), HasSubstr("of shard 5 with 2 slices, placed otherwise than shard 5 with its 1"));
  other = subject();
  other.placement = 18;
  EXPECT_THAT(refusal(other), HasSubstr("placed otherwise"));
  other = subject();
  other.workers = 2;
  EXPECT_THAT(refusal(other), HasSubstr("marks of 3 workers, where there are 2"));
}

TEST_F(Table, ASliceOfAnotherSizeOrOutOfHeldMemoryIsAnError) {
  enter_both();
  EXPECT_THAT(read(7, 30).error().message, HasSubstr("has slice 9 of 30 elements where slice 7 of 30"));
  EXPECT_THAT(read(9, 31).error().message, HasSubstr("has slice 9 of 30 elements where slice 9 of 31"));
  EXPECT_THAT(read(9, 30, kFloats, kFloats).error().message, HasSubstr("not have all of version 1 of slice 9"));
  EXPECT_THAT(read(9, 30, 1 << 20).error().message, HasSubstr("not have all of version 1"));
  VersionCell cell = table_.enter(1, 9, 30);
  const auto outside = PrivateMemory().floats(kFloats);
  cell.publish({.version = 2, .settled = 0, .weights = place_of(outside.get(), arena_.held()), .state = 0});
  EXPECT_THAT(read(9, 30).error().message, HasSubstr("not have all of version 2"));
}

// All fields of a version say the same number, and so does a mark, in turns of each worker.
[[noreturn]] void publish_for_ever(VersionCell cell) {
  for (Version number = 1;; ++number) {
    const auto clock = static_cast<Clock>(number);
    cell.publish({.version = number, .settled = clock, .weights = number, .state = number},
                 static_cast<std::uint32_t>(number % kWorkers), mark_of(clock));
  }
}

TEST_F(Table, IsWholeWhenItsWriterIsKilled) {
  enter_both();
  Version seen = 0;
  for (int kill = 0; kill < 200; ++kill) {
    const VersionCell cell = table_.enter(1, 9, 30);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      publish_for_ever(cell);
    }
    ::usleep(static_cast<useconds_t>(kill * 7));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // The places are none, and nothing is read there.
    const auto found = VersionTable::Reader::open(subject(), arena_.held(), HeldRoot::find(arena_.held(), 5).value())
                           .value()
                           .read(1, 9, 30, 0, 0);
    ASSERT_TRUE(found.ok());
    const Version number = found->version.version;
    if (number <= 1) continue;
    seen = std::max(seen, number);
    ASSERT_EQ(found->version.settled, static_cast<Clock>(number));
    ASSERT_EQ(found->version.weights, number);
    ASSERT_EQ(found->version.state, number);
    for (Version before = 0; before < std::min<Version>(kWorkers, number); ++before)
      ASSERT_EQ(found->marks[(number - before) % kWorkers].clock, static_cast<Clock>(number - before));
  }
  EXPECT_GT(seen, 1000u);
}

}  // namespace
}  // namespace rubato::server
