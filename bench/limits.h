// What pushing and pulling is held against, over the same gradients and in turns with it: the same update in place in
// one plain loop (bench/plain_update.h) and in two on two threads (in bsp of as many gradients, added in it), copying
// as many bytes, and the same messages over nothing but TCP or libzmq (bench/raw_pair.h).
//
// Thread-safety: one owner.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/memory.h"
#include "bench/push_pull_case.h"
#include "bench/raw_pair.h"
#include "bench/usage.h"
#include "kernels/rule_config.h"

namespace rubato::bench {

// Of one round of anything.
struct Measured {
  double seconds = 0.0;
  Usage used;
  double p50_us = 0.0, p99_us = 0.0;  // of a round trip

  // Of those that have any.
  void set_trips(std::vector<TimeNs> trips);
  [[nodiscard]] nlohmann::json json() const;
};

// A far end, by kind.
struct FarEnd {
  pid_t process = 0;
  std::string address;
};
using FarEnds = std::array<FarEnd, 2>;
inline constexpr std::array<RawKind, 2> kRawKinds = {RawKind::kTcp, RawKind::kZmq};

class Limits {
 public:
  // `memory`: where what the loops work on lies, as what the shards work on.
  Limits(const Case& test, const FarEnds& far_ends, std::shared_ptr<Memory> memory);
  // One round of each. The gradients are the same every time.
  void measure(std::span<const std::span<float>> gradients);
  // Leaves nothing of what a round works on in a cache, unless the case wants it there.
  void chill();
  // "update", "update by two", "memcpy", "tcp", "zmq": a list of rounds each.
  [[nodiscard]] const nlohmann::json& rounds() const { return rounds_; }

 private:
  template <typename Work>
  void time(const char* name, pid_t other, const Work& work);
  void allocate(std::span<const std::span<float>> gradients);
  void update(std::span<const std::span<float>> gradients, std::size_t first, std::size_t end);
  void copy(std::span<const std::span<float>> gradients);

  const Case& test_;
  const kernels::RuleConfig rule_;
  const FarEnds& far_ends_;
  const std::shared_ptr<Memory> memory_;
  std::array<std::unique_ptr<RawPair>, 2> raw_;
  std::vector<std::shared_ptr<float[]>> blocks_;
  std::vector<kernels::SlotView> slots_;       // of the update
  std::vector<std::span<float>> others_;       // bsp: what the other workers push, a slice after the other
  std::vector<std::span<float>> sent_, back_;  // of the copies
  std::vector<std::uint64_t> chilled_;         // what is in the caches instead
  std::uint64_t round_ = 0;
  std::atomic<std::uint32_t> touched_ = 0;
  nlohmann::json rounds_;
};

}  // namespace rubato::bench
