// The two sides of tests/server/torn_reads.cc: who writes versions of a slice, and who reads them where they lie.
//
// Every element of a version is the same number, which follows from the version. So a body that somebody writes while
// it is read, or one of whose halves is of another update, does not go unseen.
//
// Thread-safety: each is a core's, beside its figures, which everybody may read.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/bounded_queue.h"
#include "protocol/core.h"
#include "server/slot.h"

namespace rubato::server {

// What was found, in memory that the processes share.
struct TornReadFigures {
  std::atomic<bool> listening;          // the writer: from now on it can be met in shared memory
  std::atomic<std::uint64_t> versions;  // written
  std::atomic<std::uint64_t> lent, copied;
  std::atomic<std::uint64_t> reused;  // slots written again that had been lent
  std::atomic<std::uint64_t> slots;
  std::atomic<std::uint64_t> read, read_in_place, torn, backwards;
  std::atomic<std::uint64_t> versions_seen;  // different ones
};

// Exact as a float, and another one for each of 16 million versions in a row.
inline float element_of(Version version) { return static_cast<float>(version % (1 << 24)); }

// Which addresses of this process are read where another one has written: Rubato's memfds, mapped to be read alone.
class LentMemory {
 public:
  [[nodiscard]] bool holds(const void* address) {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    if (at < begin_ || at >= end_) look_for(at);
    return at >= begin_ && at < end_;
  }

 private:
  void look_for(std::uintptr_t at) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      std::uintptr_t begin = 0, end = 0;
      const bool lent = line.find(" r--s ") != std::string::npos && line.find("/memfd:rubato") != std::string::npos;
      if (!lent || std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2 || at < begin || at >= end) continue;
      begin_ = begin;
      end_ = end;
    }
  }

  std::uintptr_t begin_ = 0, end_ = 0;  // where the last one lay
};

// Writes one version after the other, for ever; between two batches of them it answers who pulls, as server/slice.cc
// does, and writes another version at once: so every reader has a slot of its own.
class VersionWriter final : public protocol::Core {
 public:
  static constexpr std::size_t kBatchFloats = 1 << 15;  // of ten or twenty microseconds

  VersionWriter(std::shared_ptr<SlotPool> pool, TornReadFigures& figures) : pool_(std::move(pool)), figures_(figures) {
    write();
  }

  [[nodiscard]] protocol::Identity identity() const override { return {server_node(0), 1, 1, 1}; }
  [[nodiscard]] TimeNs deadline() const override { return 0; }
  void start(TimeNs, protocol::Outbox&) override {}

  void wake(TimeNs, protocol::Outbox&) override {
    const std::size_t batch = std::max<std::size_t>(kBatchFloats / weights_of(current_).size(), 1);
    for (std::size_t i = 0; i < batch; ++i) write();
  }

  void receive(TimeNs, const protocol::Envelope& envelope, protocol::Body body, protocol::Outbox& out) override {
    const auto* pull = std::get_if<protocol::Pull>(&body);
    if (pull == nullptr) return;
    Payload weights = pinned(current_);
    if (pool_->crowded()) {
      weights = Payload::copy_of(weights.bytes());
      ++figures_.copied;
    } else {
      lent_.insert(current_.get());
      ++figures_.lent;
    }
    out.reply(envelope,
              protocol::Weights{.slice = 0, .clock = pull->clock, .version = version_, .weights = std::move(weights)});
    write();
  }

 private:
  void write() {
    SlotRef next = pool_->take();
    if (lent_.erase(next.get()) != 0) add(figures_.reused);
    std::ranges::fill(next->view().weights, element_of(++version_));
    current_ = std::move(next);
    add(figures_.versions);
    figures_.slots.store(pool_->allocated(), std::memory_order_relaxed);
  }
  // Counted by one thread: a store is enough, and takes less than a small slot does.
  static void add(std::atomic<std::uint64_t>& count) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  const std::shared_ptr<SlotPool> pool_;
  TornReadFigures& figures_;
  SlotRef current_;
  Version version_ = 0;
  std::unordered_set<const Slot*> lent_;  // and not written since
};

// Pulls with so many pulls under way. A second thread, as a worker's, checks each body, keeps it while others come,
// checks it again and lets go of it.
class VersionReader final : public protocol::Core {
 public:
  static constexpr std::uint64_t kUnderWay = 32;
  static constexpr std::size_t kQueued = 32, kKept = 8;
  // And as many that are given back, and that the writer's side has not looked at yet.
  static constexpr std::size_t kPinsMax = 2 * (kUnderWay + kQueued + kKept + 2);

  VersionReader(std::uint64_t reads, TornReadFigures& figures)
      : reads_(reads), figures_(figures), checker_([this] { check_all(); }) {}
  ~VersionReader() override {
    queue_.close();
    checker_.join();
  }

  [[nodiscard]] protocol::Identity identity() const override { return {worker_node(0), 1, 1, 1}; }
  [[nodiscard]] TimeNs deadline() const override { return kNever; }
  void wake(TimeNs, protocol::Outbox&) override {}

  void start(TimeNs, protocol::Outbox& out) override {
    for (std::uint64_t i = 0; i < std::min(kUnderWay, reads_); ++i) pull(out);
  }
  void receive(TimeNs, const protocol::Envelope&, protocol::Body body, protocol::Outbox& out) override {
    auto* weights = std::get_if<protocol::Weights>(&body);
    if (weights == nullptr) return;
    queue_.push({weights->version, std::move(weights->weights)});
    if (asked_ < reads_) pull(out);
    if (++answered_ == reads_) out.finish(0, "");
  }

 private:
  struct Read {
    Version version = 0;
    Payload body;
  };

  void pull(protocol::Outbox& out) {
    ++asked_;
    out.send(server_node(0), protocol::Pull{.clock = 1});
  }

  void check_all() {
    std::deque<Read> kept;
    Version last = 0;
    while (std::optional<Read> read = queue_.pop()) {
      if (read->version < last) ++figures_.backwards;
      if (read->version != last) ++figures_.versions_seen;
      last = read->version;
      check(*read);
      kept.push_back(std::move(*read));
      if (kept.size() > kKept) let_go(kept);
    }
    while (!kept.empty()) let_go(kept);
  }
  void let_go(std::deque<Read>& kept) {
    check(kept.front());
    if (lent_.holds(kept.front().body.bytes().data())) ++figures_.read_in_place;
    kept.pop_front();
    ++figures_.read;
  }
  void check(const Read& read) {
    const float expected = element_of(read.version);
    std::size_t wrong = 0;
    for (const float element : read.body.floats()) wrong += element != expected ? 1 : 0;
    if (wrong > 0 || read.body.empty()) ++figures_.torn;
  }

  const std::uint64_t reads_;
  TornReadFigures& figures_;
  std::uint64_t asked_ = 0, answered_ = 0;
  LentMemory lent_;
  BoundedQueue<Read> queue_{kQueued};
  std::thread checker_;
};

}  // namespace rubato::server
