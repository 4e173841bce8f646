#include "sim/summary.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "base/counted.h"
#include "base/result.h"
#include "sim/progress.h"

namespace rubato::sim {
namespace {

// What the last figures are of: with evaluation.holdout the test part too, and then that counts.
std::string ended_part(const nlohmann::json& final) { return final.contains("test_accuracy") ? "test" : "validation"; }

// Of gradients that were dropped, also where the loss is still a number; empty where none were.
std::string dropped_text(const nlohmann::json& final) {
  const auto dropped = final.value("nonfinite", std::uint64_t{0});
  const std::string loss = ended_part(final) + "_loss";
  if (dropped == 0) return "";
  const bool lost = final.contains(loss) && final[loss].is_null();
  const nlohmann::json first = final.value("first_nonfinite", nlohmann::json());
  std::string text = fmt::format("warning: {}{} of slices {} not finite and dropped", lost ? "it diverged: " : "",
                                 counted(dropped, "gradient"), dropped == 1 ? "was" : "were");
  if (first.is_object())
    text += fmt::format(", {} of {} at clock {} of {}, after {}", dropped == 1 ? "that" : "the first",
                        first.value("parameter", ""), first.value("clock", Clock{0}), first.value("worker", ""),
                        duration_text(first.value("time_s", 0.0)));
  if (lost) text += "; the loss is no number any more";
  return text + "; a smaller optimizer.rate, a warm-up or optimizer.clip_norm may help\n";
}

// Of a text; empty where no loss is a number.
std::string bytes_text(const nlohmann::json& final, const std::string& run_dir) {
  const std::string part = ended_part(final);
  const auto loss = final.find(part + "_loss"), accuracy = final.find(part + "_accuracy");
  if (loss == final.end() || accuracy == final.end() || !loss->is_number() || !accuracy->is_number()) return "";
  const auto nats = loss->get<double>();
  return fmt::format(
      "\n{} loss {} nats, {} bits a byte, accuracy {:.2f}%; {}/evaluation.txt has a table of its bytes\n\n", part,
      loss_text(nats), loss_text(nats / std::numbers::ln2), 100.0 * accuracy->get<double>(), run_dir);
}

// Which weights the test was of, where they are not simply the last ones.
std::string tested_text(const nlohmann::json& final) {
  const bool best = final.contains("best_epoch") && final["best_epoch"].is_number(),
             average = final.contains("average");
  const char* weights = average ? "moving average of the weights" : "weights";
  if (best) return fmt::format(" of the best {}, of epoch {}", weights, final["best_epoch"].get<std::uint64_t>());
  return average ? fmt::format(" of the {}", weights) : "";
}

}  // namespace

std::string summary_text(const SimResult& result, const Job& job, const std::string& run_dir, TimeNs real_time) {
  std::ostringstream text;
  if (std::ifstream table(run_dir + "/evaluation.txt"); table && job.data.kind != "text")
    text << '\n' << table.rdbuf() << '\n';
  else if (table && !result.metrics.empty())
    text << bytes_text(nlohmann::json::parse(result.metrics.back()), run_dir);
  const bool drained = result.exit_code == static_cast<int>(Cause::kInterrupted);
  text << fmt::format("{} after {} of virtual time, in {}", drained ? "drained" : "finished",
                      duration_text(seconds(result.time)), duration_text(seconds(real_time)));
  std::string dropped;
  if (!result.metrics.empty()) {
    const auto final = nlohmann::json::parse(result.metrics.back());
    if (final.value("event", "") == "final") {
      text << fmt::format(", {} samples/s of virtual time", count_text(final["samples_per_s"].get<double>()));
      const std::string part = ended_part(final);
      if (const auto accuracy = final.find(part + "_accuracy"); accuracy != final.end() && accuracy->is_number())
        text << fmt::format(", {} accuracy {:.2f}%{}", part, 100.0 * accuracy->get<double>(), tested_text(final));
      dropped = dropped_text(final);
    }
  }
  text << '\n' << dropped;
  text << fmt::format("  run      {}\n", run_dir);
  for (const auto& [name, file] : {std::pair("best   ", "best.safetensors"), std::pair("weights", "final.safetensors"),
                                   std::pair("metrics", "metrics.jsonl")})
    if (std::filesystem::exists(run_dir + "/" + file)) text << fmt::format("  {}  {}/{}\n", name, run_dir, file);
  return text.str();
}

std::string profile_text(const Profile& profile, const SimResult& result) {
  using Activity = Profile::Activity;
  constexpr std::array<std::pair<Activity, const char*>, Profile::kActivities> kRows{
      {{Activity::kGradients, "gradients"},
       {Activity::kEvaluation, "evaluation"},
       {Activity::kApplying, "applying"},
       {Activity::kCopying, "copying"},
       {Activity::kRest, "cores, network and bookkeeping"}}};
  const double total = seconds(profile.total());
  std::string text = fmt::format("profile of {:.3f} s: {} events, {} events/s\n", total,
                                 count_text(static_cast<double>(result.network.events)),
                                 count_text(static_cast<double>(result.network.events) / total));
  for (const auto& [activity, name] : kRows) {
    const double spent = seconds(profile.spent(activity));
    text += fmt::format("  {:<30}  {:>8.3f} s  {:>5.1f} %\n", name, spent, 100.0 * spent / total);
  }
  return text;
}

}  // namespace rubato::sim
