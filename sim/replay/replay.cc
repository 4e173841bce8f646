#include "sim/replay/replay.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/processor.h"
#include "base/time.h"
#include "data/safetensors.h"
#include "sim/replay/replayer.h"
#include "sim/trainer_workload.h"
#include "worker/evaluation.h"

namespace rubato::sim {
namespace {

constexpr TimeNs kSayEvery = 2 * kSecond;

std::string described(const Job& job, const RunRecord& record) {
  std::uint64_t steps = 0;
  for (const auto& [worker, taken] : record.steps) steps += taken.size();
  return fmt::format(
      "{}, {} workers, {} steps, {} pushes of {} slices; {} bytes of record, {:.1f} a push", job.consistency.mode,
      record.steps.size(), steps, record.pushes, record.slices.size(), record.bytes,
      static_cast<double>(record.bytes) / static_cast<double>(std::max(record.pushes, std::uint64_t{1})));
}

std::string described(const ReplayDifference& difference, const protocol::Manifest& manifest,
                      const protocol::RoutingTable& routing) {
  const protocol::SliceSpec& spec = routing.slices[difference.slice];
  const std::string where =
      fmt::format("slice {} ({}, on {}) at clock {}", difference.slice, protocol::describe_slice(spec, manifest),
                  server_node(spec.shard).name(), difference.clock);
  if (difference.what == ReplayDifference::What::kGradient)
    return fmt::format("the gradient of worker-{} for {} is not the one that it pushed", difference.worker, where);
  return fmt::format("the update of {} by worker-{} made other weights of the same gradient", where, difference.worker);
}

// weights_sha256 as the run's last words have it; empty, if it has not come so far.
std::string recorded_hash(const std::string& run_dir) {
  std::ifstream file(run_dir + "/metrics.jsonl");
  std::string hash;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("weights_sha256") || !json["weights_sha256"].is_string()) continue;
    hash = json["weights_sha256"];
  }
  return hash;
}

// The largest difference between the tensors of two files; NaN where they are not of one shape.
double distance(const std::string& left_path, const std::string& right_path) {
  const double unlike = std::numeric_limits<double>::quiet_NaN();
  const auto left = data::read_safetensors(left_path), right = data::read_safetensors(right_path);
  if (!left.ok() || !right.ok() || left->tensors.size() != right->tensors.size()) return unlike;
  double most = 0.0;
  for (std::size_t t = 0; t < left->tensors.size(); ++t) {
    const auto &a = left->tensors[t].values, &b = right->tensors[t].values;
    if (a.size() != b.size()) return unlike;
    for (std::size_t i = 0; i < a.size(); ++i)
      most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return most;
}

Result<std::string> write(const std::string& dir, const protocol::Manifest& manifest,
                          const protocol::RoutingTable& routing, const data::DatasetSize& data,
                          const ReplayOutcome& outcome) {
  ::mkdir(dir.c_str(), 0777);  // writing into it tells
  const worker::SliceLayout layout(manifest, routing);
  worker::WeightTable table(layout);
  for (SliceId slice = 0; slice < outcome.weights.size(); ++slice)
    table.take({0, slice, 0, Payload::of_floats(outcome.weights[slice])});
  return worker::write_weights(manifest, table, data, nullptr, dir + "/" + worker::kFinalWeights);
}

class Judge {
 public:
  Judge(const std::string& run_dir, const RunRecord& record, const ReplayOutcome& outcome)
      : run_dir_(run_dir), record_(record), outcome_(outcome) {}

  [[nodiscard]] ReplayVerdict verdict(const std::string& hash, const protocol::Manifest& manifest,
                                      const protocol::RoutingTable& routing, const std::string& device) const {
    const std::string expected = recorded_hash(run_dir_), weights = run_dir_ + "/replay/final.safetensors";
    const std::string counted =
        fmt::format("{} steps, {} pushes, {} updates", outcome_.steps, outcome_.pushes, outcome_.updates);
    const bool same_weights = expected.empty() || expected == hash;
    ReplayVerdict verdict{same_weights && !outcome_.first_difference, {}};
    if (verdict.identical && expected.empty()) {
      verdict.text = fmt::format("identical so far: {}; the run left no final weights to compare with", counted);
    } else if (verdict.identical) {
      verdict.text = fmt::format("identical: {}, weights_sha256 {}", counted, hash);
    } else {
      verdict.text = "different: " + (outcome_.first_difference
                                          ? described(*outcome_.first_difference, manifest, routing)
                                          : std::string("every update is as recorded, and the final weights are not"));
      verdict.text += fmt::format("\n  of {}: {} gradients and {} updates are not as recorded", counted,
                                  outcome_.gradients_differing, outcome_.updates_differing);
      if (!expected.empty())
        verdict.text += fmt::format("\n  final weights: {:.3g} apart at most; weights_sha256 {}, recorded {}",
                                    distance(weights, run_dir_ + "/final.safetensors"), hash, expected);
      verdict.text += fmt::format("\n  recorded on {}; {}\n  replayed on {}; {}", record_.processor, record_.device,
                                  processor_name(), device);
    }
    verdict.text += fmt::format("\n  weights  {}", weights);
    return verdict;
  }

 private:
  const std::string& run_dir_;
  const RunRecord& record_;
  const ReplayOutcome& outcome_;
};

// Advice for job files would be no help to whoever named no run.
Status check_is_run(const std::string& run_dir) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::exists(run_dir + "/job.toml", error)) return {};
  const char* reason = fs::is_directory(run_dir, error) ? "there is no job.toml in it"
                       : fs::exists(run_dir, error)     ? "is no folder"
                                                        : "no such folder";
  return Error{Cause::kData,
               fmt::format("{}: {}; name the folder of a run that was recorded (train --record)", run_dir, reason)};
}

}  // namespace

Result<ReplayVerdict> replay(const std::string& run_dir, const std::function<void(const std::string&)>& say) {
  RUBATO_TRY(check_is_run(run_dir));
  RUBATO_ASSIGN(const Job job, load_job(run_dir + "/job.toml"));
  RUBATO_ASSIGN(auto workload, TrainerWorkload::open(job, run_dir, TrainerWorkload::Trainers::kOneEach));
  const protocol::Manifest manifest = workload->manifest();
  const protocol::RoutingTable routing = routing_of(job, manifest);
  RUBATO_ASSIGN(const RunRecord record, read_run_record(run_dir + "/record", recorded_job(job, routing)));
  if (record.data_fingerprint != workload->data_fingerprint())
    return Error{Cause::kData, fmt::format("the training data is not what {} was trained on", run_dir)};
  say(fmt::format("{}: {}", run_dir, described(job, record)));
  for (const std::string& note : record.notes) say("  " + note);

  TimeNs said = steady_now();
  Replayer replayer(job, manifest, routing, *workload, record);
  RUBATO_ASSIGN(const ReplayOutcome outcome, replayer.run([&](std::uint64_t done, std::uint64_t all) {
    if (steady_now() - said < kSayEvery) return;
    said = steady_now();
    say(fmt::format("  step {} of {}", done, all));
  }));
  if (!outcome.unfinished.empty() && !recorded_hash(run_dir).empty())
    return Error{Cause::kData, fmt::format("the record of {} is not whole: {}", run_dir, outcome.unfinished)};
  if (!outcome.unfinished.empty()) say("  the record ends before the run did: " + outcome.unfinished);
  RUBATO_ASSIGN(const std::string hash, write(run_dir + "/replay", manifest, routing, workload->data_size(), outcome));
  return Judge(run_dir, record, outcome).verdict(hash, manifest, routing, workload->device_description());
}

}  // namespace rubato::sim
