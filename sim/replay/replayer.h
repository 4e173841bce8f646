// Repeats a recorded run by its dependencies, without network and clock: a step is computed once all
// versions that it read exist, an update is made once the gradients of its pushes were computed. Gradients
// come from the same computers as a worker's, updates from the same function as a shard's. In local:H a computer
// keeps the state of its worker's inner optimizer: there every step of a worker is computed, in the order of its
// clocks, whether or not anything of it was settled.
//
// A version of a slice is kept until the last step that read it has been computed, which the record tells
// beforehand; where delays are compensated for, until the gradient is in an update: so what is in memory is bounded by
// how far the workers of the run were apart, and not by how long it was.
//
// Every gradient and every update is compared with its hash in the record. All that a gradient or an update
// follows from was compared before it, so the first that differs is where things began to differ.
//
// Thread-safety: belongs to one thread; computers run on others, one each at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/job.h"
#include "kernels/rule_config.h"
#include "protocol/header.h"
#include "protocol/manifest.h"
#include "server/aggregate.h"
#include "server/update.h"
#include "sim/computer.h"
#include "sim/replay/run_record.h"
#include "worker/arena.h"

namespace rubato::sim {

// Of something that was replayed and came out otherwise than in the run.
struct ReplayDifference {
  enum class What : std::uint8_t { kGradient, kUpdate } what = What::kGradient;
  SliceId slice = 0;
  std::uint32_t worker = 0;  // who pushed the gradient; of an aggregate's update, the last of them
  Clock clock = 0;
};

struct ReplayOutcome {
  std::vector<std::vector<float>> weights;  // by slice: the final ones
  std::optional<ReplayDifference> first_difference;
  std::uint64_t steps = 0, pushes = 0, updates = 0, gradients_differing = 0, updates_differing = 0;
  std::size_t versions_kept_max = 0;  // of all slices together
  std::string unfinished;             // why the record could not be replayed to its end; empty if it was
};

class Replayer {
 public:
  // All of them outlive it.
  Replayer(const Job& job, const protocol::Manifest& manifest, const protocol::RoutingTable& routing,
           Workload& workload, const RunRecord& record);
  ~Replayer();

  // Called now and then, with the steps computed so far and all there are.
  using Progress = std::function<void(std::uint64_t done, std::uint64_t all)>;

  // Once. Errors: those of the computers; kData, where the record contradicts itself.
  [[nodiscard]] Result<ReplayOutcome> run(const Progress& progress = {});

 private:
  struct Gradient;
  struct Slice;
  struct Worker;
  using GradientKey = std::tuple<std::uint32_t, Clock, protocol::LeafNode>;  // of one slice

  [[nodiscard]] Status plan();
  [[nodiscard]] bool ready(const protocol::RecordedStep& step) const;
  [[nodiscard]] Status compute(const std::vector<std::uint32_t>& ranks);
  [[nodiscard]] std::vector<worker::ComputeOrder> orders_of(const Worker& worker) const;
  [[nodiscard]] Status computed(std::uint32_t rank, std::vector<worker::ComputeReport> reports);
  [[nodiscard]] Status check(StepKey key, const protocol::RecordedStep& step) const;
  [[nodiscard]] Result<bool> update_if_possible(SliceId id);
  [[nodiscard]] Status apply(SliceId id, const RecordedUpdate& update, std::span<const RecordedPush> pushes,
                             std::span<Gradient> gradients);
  [[nodiscard]] Status apply_aggregate(SliceId id, const RecordedUpdate& update, std::span<const RecordedPush> pushes,
                                       std::span<Gradient> gradients);
  static void publish(Slice& slice, worker::ArenaRef next);
  [[nodiscard]] Status make_version(SliceId id, std::span<const server::Contribution> contributions, double rate);
  void differs(ReplayDifference difference);
  void count_versions();
  [[nodiscard]] std::string stuck() const;
  void take_final_weights();

  const Job job_;
  const protocol::Manifest& manifest_;
  const protocol::RoutingTable& routing_;
  Workload& workload_;
  const RunRecord& record_;
  const kernels::RuleConfig rule_;
  const Mode mode_;
  const std::size_t threads_;  // of steps that are computed at once
  std::vector<std::unique_ptr<Slice>> slices_;
  std::map<std::uint32_t, std::unique_ptr<Worker>> workers_;
  const server::PushDivisor divisor_;  // on arrival
  const protocol::DType wire_;         // what gradients and weights were rounded to on their way
  server::SumBuffers sums_;
  ReplayOutcome outcome_;
};

}  // namespace rubato::sim
