// The record of a run: its coding, its file, and what a recorder picks out of traces.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "protocol/record_file.h"
#include "protocol/recorder.h"
#include "tests/base/file_size_limit.h"
#include "tests/base/temp_directory.h"

namespace rubato::protocol {
namespace {

RecordHeader header_of(NodeId node, std::uint32_t slices) {
  return {
      static_cast<std::uint8_t>(node.role), node.rank, "job", "data", slices, 0x1234567890ABCDEF, "a processor", "cpu"};
}

std::vector<RecordEntry> worker_entries() {
  RecordedStep first{.clock = 0,
                     .batch = {0, 128, 64},
                     .leaves = 4,
                     .nodes = {{1, 0}, {0, 2}},
                     .rate = 0.1,
                     .rule_epoch = 1,
                     .used = {0, 0, 0}};
  RecordedStep second = first;
  second.clock = 1;
  second.batch = {0, 192, 64};
  second.used = {3, 4, 3};
  RecordedStep third = second;  // everything is new, and versions and positions go back
  third.clock = 7;
  third.batch = {1, 0, 17};
  third.leaves = 3;
  third.nodes = {{0, 1}};
  third.rate = 1e-300;
  third.rule_epoch = 2;
  third.used = {1, 0, std::uint64_t{1} << 40};
  return {first, second, RecordedNodes{1, {{0, 3}}}, third};
}

std::vector<RecordEntry> shard_entries() {
  return {RecordedSettle{0, 1, 0, {}, Fate::kApplied, 0xDEADBEEF, 0xFEEDF00D},
          RecordedSettle{2, 1, 0, {}, Fate::kNonFinite, 1, 0},
          RecordedSettle{0, 300, 5, {2, 1}, Fate::kEmpty, 0, 0},
          RecordedSettle{0, 1, 1, {}, Fate::kApplied, 2, 3},
          RecordedSettle{0, 1, 1, {1, 1}, Fate::kDropped, 4, 0},
          RecordedSettle{2, 1, 1, {}, Fate::kAccepted, 9, 0},
          RecordedContribution{2, 1, 1},
          RecordedContribution{2, 2, 0},
          RecordedApply{1, 0, false, 0.5, 5},
          RecordedApply{1, 1, true, 0.5, 6},
          RecordedSnapshot{1, 0, 1},
          RecordedSnapshot{1, 2, 0}};
}

struct Read {
  std::vector<RecordEntry> entries;
  std::size_t cut_off = 0;
};

Result<Read> read_all(const std::string& path) {
  RUBATO_ASSIGN(std::optional<RecordReader> reader, RecordReader::open(path));
  Read read;
  while (reader) {
    RUBATO_ASSIGN(std::optional<RecordEntry> entry, reader->next());
    if (!entry) break;
    read.entries.push_back(std::move(*entry));
  }
  if (reader) read.cut_off = reader->bytes_cut_off();
  return read;
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class RecordTest : public testing::Test {
 protected:
  // A flush after every entry: a block for each.
  std::string write(NodeId node, const std::vector<RecordEntry>& entries) {
    auto writer = RecordWriter::create(directory_.path(), node);
    EXPECT_TRUE(writer.ok());
    EXPECT_TRUE(writer->begin(header_of(node, 3)).ok());
    for (const RecordEntry& entry : entries) {
      EXPECT_TRUE(writer->add(entry).ok());
      EXPECT_TRUE(writer->flush().ok());
    }
    return directory_.file(node.name() + ".bin");
  }
  std::string put(const std::string& bytes) {
    const std::string path = directory_.file("put.bin");
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  test::TempDirectory directory_;
};

TEST_F(RecordTest, WhatWasWrittenIsRead) {
  for (const auto& [node, entries] : {std::pair(worker_node(7), worker_entries()), {server_node(2), shard_entries()}}) {
    const std::string path = write(node, entries);
    const auto reader = RecordReader::open(path);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_EQ((*reader)->header(), header_of(node, 3));
    const auto read = read_all(path);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->entries, entries);
    EXPECT_EQ(read->cut_off, 0u);
  }
}

// What a step and a push cost: docs/replay.md says so.
TEST_F(RecordTest, IsCompact) {
  RecordContext context(8);
  std::vector<std::byte> bytes;
  RecordedStep step{.batch = {0, 0, 64}, .nodes = {{}}, .rate = 0.1, .rule_epoch = 1, .used = std::vector<Version>(8)};
  encode_entry(step, context, bytes);
  bytes.clear();
  ++step.clock;
  step.batch.first += 64;
  for (Version& version : step.used) version += 4;
  encode_entry(step, context, bytes);
  EXPECT_EQ(bytes.size(), 5u + 8u);
  encode_entry(RecordedSettle{6, 3, 0, {}, Fate::kApplied, 1, 2}, context, bytes);
  bytes.clear();
  encode_entry(RecordedSettle{7, 3, 0, {}, Fate::kApplied, 1, 2}, context, bytes);
  EXPECT_EQ(bytes.size(), 3u + 8u);
}

TEST_F(RecordTest, ALaterLifeWritesAFileOfItsOwn) {
  write(worker_node(0), worker_entries());
  auto second = RecordWriter::create(directory_.path(), worker_node(0));
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(std::filesystem::exists(directory_.file("worker-0.2.bin")));
  const auto first = read_all(directory_.file("worker-0.bin"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->entries, worker_entries());
}

TEST_F(RecordTest, WhatIsCutOffIsReadUpToTheLastWholeBlock) {
  const std::string bytes = bytes_of(write(worker_node(0), worker_entries()));
  std::size_t most = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto read = read_all(put(bytes.substr(0, size)));
    ASSERT_TRUE(read.ok()) << size << ": " << read.error().message;
    const auto entries = worker_entries();
    ASSERT_LT(read->entries.size(), entries.size());
    EXPECT_TRUE(std::equal(read->entries.begin(), read->entries.end(), entries.begin()));
    EXPECT_GE(read->entries.size(), most);
    most = read->entries.size();
  }
  EXPECT_EQ(most, worker_entries().size() - 1);
}

TEST_F(RecordTest, EveryFlippedBitIsSaid) {
  const std::string bytes = bytes_of(write(server_node(0), shard_entries()));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    const auto read = read_all(put(changed));
    if (read.ok()) {  // a length that goes beyond the end
      EXPECT_LT(read->entries.size(), shard_entries().size()) << "bit " << bit;
    } else {
      EXPECT_EQ(read.error().cause, Cause::kData);
      EXPECT_NE(read.error().message.find("put.bin"), std::string::npos);
    }
  }
}

TEST_F(RecordTest, AnotherVersionAndOtherFilesAreRefused) {
  std::string bytes = bytes_of(write(server_node(0), shard_entries()));
  bytes[7] = 2;
  auto read = read_all(put(bytes));
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message.find("is a record of version 2; this program reads version 1"), std::string::npos);
  read = read_all(put("{\"t\":0}\n"));
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message.find("is no record of a run"), std::string::npos);
  EXPECT_FALSE(read_all(directory_.file("nothing.bin")).ok());
}

TEST_F(RecordTest, AFullDiskIsAnErrorThatNamesTheFile) {
  auto writer = RecordWriter::create(directory_.path(), server_node(0));
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->begin(header_of(server_node(0), 3)).ok());
  const test::FileSizeLimit full(200);
  Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) status = writer->add(shard_entries()[0]);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().cause, Cause::kStorage);
  EXPECT_NE(status.error().message.find("server-0.bin: File too large"), std::string::npos) << status.error().message;
}

// Entries without the checksum that would catch them first.
TEST_F(RecordTest, NoBytesDoHarm) {
  RandomStream random(7);
  const auto below = [&](std::uint64_t bound) { return random.below(bound); };
  std::vector<std::vector<std::byte>> good;
  for (const auto& entries : {worker_entries(), shard_entries()}) {
    RecordContext context(3);
    for (const RecordEntry& entry : entries) encode_entry(entry, context, good.emplace_back());
  }
  std::size_t decoded = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes;
    for (std::uint64_t count = 1 + below(4); count > 0; --count) {
      const auto& entry = good[below(good.size())];
      bytes.insert(bytes.end(), entry.begin(), entry.end());
    }
    for (std::uint64_t count = below(4); count > 0; --count) bytes[below(bytes.size())] = std::byte(below(256));
    if (below(2) == 0) bytes.resize(below(bytes.size() + 1));
    RecordContext context(below(3) == 0 ? 0xFFFFFFFFu : 3u), again(context.slices);
    std::span<const std::byte> rest = bytes;
    while (std::optional<RecordEntry> entry = decode_entry(rest, context)) {
      ++decoded;
      std::vector<std::byte> out;
      encode_entry(*entry, again, out);  // whatever was read can be written
    }
  }
  EXPECT_GT(decoded, 10'000u);
}

// ---- the recorder ----------------------------------------------------------------------------------

TraceEvent begin(Clock clock, LeafNode node) {
  return {.kind = TraceKind::kBegin,
          .worker = 1,
          .clock = clock,
          .level = node.level,
          .index = node.index,
          .batch = {0, 8, 4},
          .leaves = 4,
          .rule_epoch = 1,
          .rate = 0.5};
}

TraceEvent use(Clock clock, SliceId slice, Version version) {
  return {.kind = TraceKind::kUse, .worker = 1, .clock = clock, .slice = slice, .version = version};
}

TEST_F(RecordTest, AStepIsWrittenAsSoonAsItsVersionsAreKnown) {
  const std::string path = directory_.file("worker-1.bin");
  auto recorder = Recorder::create(directory_.path(), worker_node(1), {.job_hash = "job", .device = "cpu"});
  ASSERT_TRUE(recorder.ok());
  const auto record = [&](const TraceEvent& event) { ASSERT_TRUE(recorder->record(0, event).ok()); };
  record({.kind = TraceKind::kPlaced, .slice = 2, .placement = 9});
  record(begin(0, {0, 0}));
  record(begin(0, {0, 1}));
  record(use(0, 1, 5));
  EXPECT_TRUE(read_all(path)->entries.empty());
  record(use(0, 0, 4));
  const RecordedStep step{0, {0, 8, 4}, 4, {{0, 0}, {0, 1}}, 0.5, 1, {4, 5}};
  EXPECT_EQ(read_all(path)->entries, (std::vector<RecordEntry>{step}));
  record(begin(0, {1, 1}));  // of a worker that died
  EXPECT_EQ(read_all(path)->entries, (std::vector<RecordEntry>{step, RecordedNodes{0, {{1, 1}}}}));
  record(begin(1, {0, 0}));
  record(use(1, 0, 6));
  ASSERT_TRUE(recorder->flush().ok());
  EXPECT_EQ(read_all(path)->entries.size(), 2u);  // a step half begun has pushed nothing
}

TEST_F(RecordTest, AShardsEntriesAreASecondLateAtMost) {
  const std::string path = directory_.file("server-0.bin");
  auto recorder = Recorder::create(directory_.path(), server_node(0), {.job_hash = "job"});
  ASSERT_TRUE(recorder.ok());
  const auto record = [&](TimeNs now, const TraceEvent& event) { ASSERT_TRUE(recorder->record(now, event).ok()); };
  record(0, {.kind = TraceKind::kPlaced, .slice = 2, .placement = 9});
  record(2 * kSecond, {.kind = TraceKind::kSettle, .worker = 1, .clock = 0, .fate = 1, .gradient_hash = 7});
  EXPECT_EQ(read_all(path)->entries.size(), 1u);
  record(2 * kSecond, {.kind = TraceKind::kRepeat, .worker = 1});
  record(2 * kSecond, {.kind = TraceKind::kServe, .slice = 1, .version = 3});  // to a worker
  record(2 * kSecond, {.kind = TraceKind::kServe, .slice = 1, .version = 3, .snapshot = 2});
  EXPECT_EQ(read_all(path)->entries.size(), 1u);
  record(3 * kSecond, {.kind = TraceKind::kApply, .clock = 0, .slice = 1, .fate = 1, .weights_hash = 8, .rate = 0.25});
  const auto read = read_all(path);
  EXPECT_EQ(read->entries, (std::vector<RecordEntry>{RecordedSettle{0, 1, 0, {}, Fate::kApplied, 7, 0},
                                                     RecordedSnapshot{2, 1, 3}, RecordedApply{1, 0, false, 0.25, 8}}));
}

}  // namespace
}  // namespace rubato::protocol
