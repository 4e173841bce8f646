// Two shards that hear the same: what each says, and what each leaves of its slices, has to be the same to the bit. Of
// the two, one may compute its updates on a device.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "server/shard_core.h"
#include "tests/server/shard_harness.h"

namespace rubato::server {

// Memory that outlives a shard.
class HeldArena final : public Memory {
 public:
  explicit HeldArena(std::size_t bytes = std::size_t{1} << 22)
      : floats_(bytes / sizeof(float) + kAlignment, 0.0f), at_(HeldRoot::kBytes) {
    HeldRoot::lay(held(), 0, 1);
  }
  [[nodiscard]] std::shared_ptr<float[]> floats(std::size_t count) override {
    const std::size_t place = at_, bytes = (count * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    RUBATO_CHECK(place + bytes <= held().size(), "an arena that is too small");
    at_ += bytes;
    return {reinterpret_cast<float*>(held().data() + place), [](float*) {}};
  }
  [[nodiscard]] std::span<std::byte> held() const override {
    auto* const first = reinterpret_cast<std::byte*>(const_cast<float*>(floats_.data()));
    const std::size_t skip = (kAlignment - reinterpret_cast<std::uintptr_t>(first) % kAlignment) % kAlignment;
    return {first + skip, floats_.size() * sizeof(float) - kAlignment};
  }

 private:
  std::vector<float> floats_;
  std::size_t at_;
};

// What a job does, as far as updates are concerned.
struct TwinSetting {
  std::string title, mode, rule = "momentum", compensation = "none";
  bool age_scaling = false;
  double average = 0.0, clip_value = 0.0, weight_decay = 0.01;
  OuterConfig outer = {};

  friend void PrintTo(const TwinSetting& setting, std::ostream* out) { *out << setting.title << ", " << setting.mode; }
};

inline constexpr std::uint32_t kTwinWorkers = 3, kTwinLeaves = 8;
inline constexpr double kTwinRate = 0.05;

inline Job twin_job(const TwinSetting& setting) {
  Job job = job_of(setting.mode, kTwinLeaves);
  job.cluster.workers = kTwinWorkers;
  job.optimizer.name = setting.rule;
  job.optimizer.weight_decay = setting.weight_decay;
  job.optimizer.clip_value = setting.clip_value;
  job.optimizer.age_scaling = setting.age_scaling ? "inverse" : "none";
  job.optimizer.compensation = {setting.compensation, 0.5, 0.75};
  job.optimizer.outer = setting.outer;
  job.evaluation.average = setting.average;
  return job;
}

// Of each length another pool; one with parameters that have a rate and a decay of their own, one a running mean.
inline protocol::Manifest twin_manifest() {
  protocol::Manifest manifest;
  for (const std::int64_t elements : {257, 64, 64, 31, 1100}) {
    ParameterSpec spec = zeros("w" + std::to_string(manifest.size()), elements);
    spec.initializer = {InitializerKind::kNormal, 0.5f};
    manifest.push_back(spec);
  }
  manifest[1].rate_scale = manifest[2].rate_scale = 10.0;
  manifest[1].decay = manifest[2].decay = 0.0;
  manifest[3].average = 0.1f;
  manifest[3].initializer = {InitializerKind::kOnes, 0.0f};
  return manifest;
}

inline std::vector<protocol::SliceSpec> twin_slices() {
  return {
      {0, {{0, 0, 257}}}, {0, {{1, 0, 64}, {2, 0, 64}}}, {0, {{3, 0, 31}}}, {0, {{4, 0, 550}}}, {0, {{4, 550, 550}}}};
}

// One life of a shard, and what it leaves.
class TwinLife {
 public:
  TwinLife(const TwinSetting& setting, std::unique_ptr<kernels::UpdateDevice> device, std::vector<Remains> remains = {})
      : job_(twin_job(setting)), arena_(std::make_shared<HeldArena>()) {
    protocol::Register details = Shard::registration();
    details.job_hash = job_hash(job_);
    const bool again = !remains.empty();
    core_.emplace(server_node(0), job_, details, protocol::Timing{}, std::uint64_t{1} << 40, arena_, std::move(remains),
                  protocol::InitialWeights(), std::move(device));
    core_->start(0, out);
    protocol::Welcome welcome;
    welcome.incarnation = again ? 2 : 1;
    welcome.generation = 1;
    welcome.manifest = twin_manifest();
    welcome.routing = {1, twin_slices(), {"here"}};
    welcome.active = workers(kTwinWorkers);
    hear(envelope_of(kSchedulerNode), welcome);
  }

  void hear(const protocol::Envelope& envelope, protocol::Body body) {
    out.clear();
    core_->receive(0, envelope, std::move(body), out);
  }
  template <typename M>
  [[nodiscard]] std::vector<M> said() const {
    std::vector<M> found;
    for (const auto& message : out.messages)
      if (const M* body = std::get_if<M>(&message.body)) found.push_back(*body);
    return found;
  }
  [[nodiscard]] std::uint64_t refused() const { return core_->refused(); }
  [[nodiscard]] const Job& job() const { return job_; }

  // With the core, which is gone then.
  std::vector<Remains> die() {
    core_.reset();
    return {{arena_, arena_->held()}};
  }

  // Of every slice, as whoever comes next would find it: weights, and the planes of state that its rule has.
  [[nodiscard]] std::vector<std::vector<float>> versions() const {
    const auto slices = twin_slices();
    const protocol::Manifest manifest = twin_manifest();
    const PoolPlanner planner(job_);
    const VersionTable::Subject subject{job_hash(job_), protocol::placement_hash(slices), 0,
                                        static_cast<std::uint32_t>(slices.size()), planner.marks()};
    const std::uint64_t table = HeldRoot::find(arena_->held(), 0).value();
    const auto reader = VersionTable::Reader::open(subject, arena_->held(), table).value();
    const auto pools = planner.pools(0, slices);
    std::vector<std::vector<float>> all;
    for (SliceId id = 0; id < slices.size(); ++id) {
      const std::size_t elements = slices[id].elements();
      const kernels::SliceShape& shape = pools.at(elements).shape;
      const auto found =
          reader.read(id, id, elements, weights_bytes(shape) / sizeof(float), state_bytes(shape) / sizeof(float));
      EXPECT_TRUE(found.ok());
      std::vector<float> values(found->weights.begin(), found->weights.begin() + static_cast<std::ptrdiff_t>(elements));
      // A running mean has no state but its average, which lies behind what the other rule would have.
      const bool mean = manifest[slices[id].pieces.front().parameter].average > 0.0f;
      const std::size_t stride = found->weights.size();
      for (std::size_t at = 0; at < found->state.size(); at += stride) {
        if (mean && !(shape.average && at + stride == found->state.size())) continue;
        const auto plane = found->state.subspan(at, elements);
        values.insert(values.end(), plane.begin(), plane.end());
      }
      all.push_back(std::move(values));
    }
    return all;
  }

  protocol::Outbox out;

 private:
  Job job_;
  std::shared_ptr<HeldArena> arena_;
  std::optional<ShardCore> core_;
};

// What workers and scheduler say in so many clocks, to whoever is to hear it.
class TwinScript {
 public:
  explicit TwinScript(const Job& job, std::uint64_t seed = 1)
      : mode_(parse_mode(job.consistency.mode).value()), random_(stream_key(seed, "twins", 0)) {}

  // `tell(envelope, body)` returns what was answered to a pull: the version; to others anything.
  template <typename Tell>
  void clock(Clock clock, const Tell& tell) {
    const auto slices = static_cast<SliceId>(twin_slices().size());
    for (SliceId slice = 0; slice < slices; ++slice) {
      std::vector<Version> read(kTwinWorkers);
      // All have read before anybody pushes, but for one, who reads what the first has made.
      for (std::uint32_t rank = 0; rank + 1 < kTwinWorkers; ++rank) read[rank] = pull(slice, clock, rank, tell);
      if (mode_.apply() == Mode::Apply::kAggregate) {
        push_leaves(slice, clock, read[0], tell);
        continue;
      }
      push(slice, clock, 0, read[0], tell);
      read.back() = pull(slice, clock, kTwinWorkers - 1, tell);
      for (std::uint32_t rank = 1; rank < kTwinWorkers; ++rank) push(slice, clock, rank, read[rank], tell);
    }
    if (mode_.apply() != Mode::Apply::kCommitted) return;
    // Of the second clock the last worker's come with those of the third.
    std::vector<protocol::Contributor> contributors;
    for (std::uint32_t rank = 0; rank < kTwinWorkers; ++rank) {
      if (rank == kTwinWorkers - 1 && clock == 2) contributors.push_back({rank, 1});
      if (rank != kTwinWorkers - 1 || clock != 1) contributors.push_back({rank, clock});
    }
    tell(envelope_of(kSchedulerNode),
         protocol::Commit{static_cast<std::uint64_t>(clock + 1), contributors, kTwinRate, clock == 1 ? 1 : clock + 1});
  }

 private:
  template <typename Tell>
  Version pull(SliceId slice, Clock clock, std::uint32_t rank, const Tell& tell) {
    return tell(envelope_of(worker_node(rank)), protocol::Pull{.slice = slice, .clock = clock, .floor = 0});
  }
  template <typename Tell>
  void push(SliceId slice, Clock clock, std::uint32_t rank, Version read, const Tell& tell) {
    tell(envelope_of(worker_node(rank)), made(slice, clock, read, 1 + (rank + slice) % 3));
  }
  // In an order of their own, so that some are added up before others come.
  template <typename Tell>
  void push_leaves(SliceId slice, Clock clock, Version read, const Tell& tell) {
    for (std::uint32_t i = 0; i < kTwinLeaves; ++i) {
      const std::uint32_t leaf = (3 * i + static_cast<std::uint32_t>(clock)) % kTwinLeaves;
      protocol::Push push = made(slice, clock, read, 2);
      push.node = {0, leaf};
      tell(envelope_of(worker_node(leaf % kTwinWorkers)), push);
    }
  }
  protocol::Push made(SliceId slice, Clock clock, Version read, std::uint32_t samples) {
    const std::size_t elements = twin_slices()[slice].elements();
    std::vector<float> gradient(elements);
    for (float& value : gradient) value = static_cast<float>(random_.next_normal());
    // A step that nobody is to see.
    if (clock == 1 && slice == 0) gradient[elements / 2] = std::numeric_limits<float>::infinity();
    if (clock == 2 && slice == 3) gradient[0] = std::numeric_limits<float>::quiet_NaN();
    protocol::Push push = push_of(clock, gradient, read, samples, {}, kTwinRate, slice);
    if (mode_.local()) push.local_steps = 4;
    return push;
  }

  const Mode mode_;
  RandomStream random_;
};

// As text, so that a difference can be read: every message that was said.
inline std::vector<std::string> said_by(const protocol::Outbox& out) {
  std::vector<std::string> lines;
  for (const auto& message : out.messages) {
    if (const auto* ack = std::get_if<protocol::PushAck>(&message.body))
      lines.push_back(fmt::format("ack {} of slice {}, clock {}: version {}, age {}, floor {}",
                                  static_cast<int>(ack->fate), ack->slice, ack->clock, ack->version, ack->age,
                                  ack->floor));
    else if (const auto* weights = std::get_if<protocol::Weights>(&message.body))
      lines.push_back(fmt::format("weights {} of version {}, floor {}, snapshot {}: {:016x}", weights->slice,
                                  weights->version, weights->floor, weights->snapshot, xxh3(weights->weights.bytes())));
    else
      lines.push_back(fmt::format("message {}", message.body.index()));
  }
  return lines;
}

}  // namespace rubato::server
