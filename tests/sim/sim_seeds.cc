// Many small simulated jobs with whatever a seed brings: mode, cluster, network, speeds, deaths, stops, cuts
// and drains. Each run is checked here against what its job promises; traces are left in files that
// seeds.py gives to the checker.
//
//   sim_seeds --first S --count N --out DIR              runs seeds S to S + N - 1
//   sim_seeds --first S --out DIR --simpler no-loss,...  with less trouble than the seed brings; --list names what
//                                                        there is to take away
//
// DIR gets GROUP.run.json and GROUP.trace.jsonl, a group being all runs that the checker has to know the same
// of. Exit code 1 if a run broke a promise; it is named, with the command that runs it alone. 3 if it could be made
// no simpler.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/sim_job.h"
#include "tests/sim/reference.h"
#include "tests/sim/scenario.h"
#include "tests/sim/simpler.h"

namespace rubato::sim {
namespace {

// Rates of a run that were set, by the clock from which on.
Rates rates_set(const SimResult& result) {
  Rates rates;
  for (const std::string& line : result.metrics)
    if (const auto json = nlohmann::json::parse(line); json["event"] == "set")
      rates.insert_or_assign(json["clock"].get<Clock>(), json["rate"].get<double>());
  return rates;
}

// What a run broke, if anything.
std::optional<std::string> broken(const Scenario& scenario, const QuadraticWorkload& workload,
                                  const SimResult& result) {
  if (!result.over) return fmt::format("not over after {} virtual s: {}", seconds(result.time), result.unfinished);
  std::optional<nlohmann::json> final;
  bool started = false;
  for (const std::string& line : result.metrics) {
    auto json = nlohmann::json::parse(line);
    started |= json["event"] == "start";
    if (json["event"] == "final") final = std::move(json);
  }
  if (!started) {  // whoever dies while the job gathers ends it
    const bool interrupted = scenario.drained && result.exit_code == static_cast<int>(Cause::kInterrupted);
    const bool dies = !scenario.victim.empty() || scenario.crashed;
    if (dies ? result.exit_code != 0 : interrupted) return std::nullopt;
    return fmt::format("ended with code {} before training: {}", result.exit_code, result.text);
  }
  const int expected = scenario.drained && result.exit_code != 0 ? static_cast<int>(Cause::kInterrupted) : 0;
  if (result.exit_code != expected) return fmt::format("ended with code {}: {}", result.exit_code, result.text);
  const auto too_late = [&](NodeId node, int code) {  // a server that comes back to a job that is over
    return scenario.crashed && node.role == Role::kServer && code == static_cast<int>(Cause::kRefused);
  };
  for (const auto& [node, end] : result.ends)
    if (!too_late(node, end.exit_code) && node != kSchedulerNode && node.name() != scenario.victim &&
        end.exit_code != 0)
      return fmt::format("{} ended with code {}: {}", node.name(), end.exit_code, end.text);
  if (!final) return "no final line";

  const auto clock = (*final)["clock"].get<std::size_t>();
  const auto samples = (*final)["samples"].get<std::int64_t>(),
             dropped = (*final)["samples_dropped"].get<std::int64_t>();
  const auto dealt = scenario.job.train.epochs * scenario.job.data.samples;
  if (scenario.job.consistency.mode == "bsp") {
    const auto weights = bsp_weights(scenario.job, workload, rates_set(result));
    if (result.final_weights != weights.at(clock))
      return fmt::format("the final weights are not those of clock {}", clock);
    // Those that a server held are gone with it; it takes them again, of clocks that may be past.
    for (const ReadSnapshot& snapshot : scenario.crashed ? std::vector<ReadSnapshot>() : result.snapshots)
      if (snapshot.weights != weights.at(static_cast<std::size_t>(snapshot.clock)))
        return fmt::format("the snapshot of clock {} is of another one", snapshot.clock);
  } else if (expected == 0 && samples + dropped != dealt) {
    return fmt::format("{} samples consumed, {} dropped, {} dealt", samples, dropped, dealt);
  }
  return std::nullopt;
}

class Groups {
 public:
  explicit Groups(std::string folder) : folder_(std::move(folder)) {}

  void write(const Scenario& scenario, const std::vector<std::string>& trace) {
    auto& file = files_[scenario.group];
    if (!file) {
      std::ofstream(fmt::format("{}/{}.run.json", folder_, scenario.group)) << scenario.setting;
      file = std::make_unique<std::ofstream>(fmt::format("{}/{}.trace.jsonl", folder_, scenario.group));
    }
    for (const std::string& line : trace) *file << line << '\n';
  }

 private:
  std::string folder_;
  std::map<std::string, std::unique_ptr<std::ofstream>> files_;
};

constexpr int kNotSimpler = 3;

// A run that goes round in circles would fill the memory. The longest that does not has a few thousand.
constexpr std::size_t kLinesMax = 50'000;
struct GoesOn {};

int run_seeds(std::uint64_t first, std::uint64_t count, const std::string& folder,
              const std::vector<std::string>& simpler) {
  Groups groups(folder);
  std::uint64_t bad = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Scenario scenario = make_scenario(seed);
    for (const std::string& name : simpler)
      if (!simplify(scenario, name)) return kNotSimpler;
    std::vector<std::string> trace;
    bool granted = false;
    scenario.options.trace = [&](NodeId, const std::string& line) {
      trace.push_back(fmt::format(R"({{"seed":{},{})", seed, std::string_view(line).substr(1)));
      granted = granted || line.find(R"("grant")") != std::string::npos;
    };
    QuadraticWorkload workload(scenario.job);
    scenario.options.between_events = [&] {
      if (trace.size() > kLinesMax) throw GoesOn();
    };
    SimResult result;
    std::optional<std::string> fault;
    try {
      result = SimJob::open(scenario.job, scenario.options, workload).value()->run(60 * kSecond);
      fault = broken(scenario, workload, result);
    } catch (const GoesOn&) {
      fault = fmt::format("more than {} lines of trace", kLinesMax);
    }
    if (granted) groups.write(scenario, trace);  // of a job that never began there is nothing to check
    if (!fault) continue;
    ++bad;
    fmt::print("seed {} ({}): {}\n    alone: sim_seeds --first {} --count 1 --out DIR\n", seed, scenario.what, *fault,
               seed);
    if (count == 1)
      for (const SimNote& note : result.notes)
        fmt::print("    {:.4f} {}: {}\n", seconds(note.at), note.node.name(), note.text);
  }
  fmt::print("{} seeds, {} of them bad\n", count, bad);
  return bad == 0 ? 0 : 1;
}

}  // namespace
}  // namespace rubato::sim

int main(int argc, char** argv) {
  CLI::App app("Many small simulated jobs with whatever a seed brings.");
  std::uint64_t first = 1, count = 1;
  std::string folder;
  app.add_option("--first", first, "the first seed");
  app.add_option("--count", count, "how many seeds");
  const auto known = rubato::sim::simplifications();
  std::vector<std::string> simpler;
  bool list = false;
  app.add_option("--out", folder, "a folder for traces");
  app.add_option("--simpler", simpler, "what to take away from what a seed brings")
      ->delimiter(',')
      ->check(CLI::IsMember(std::set<std::string>(known.begin(), known.end())));
  app.add_flag("--list", list, "what there is to take away");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const std::string_view name : known) fmt::print("{}\n", name);
    return 0;
  }
  return rubato::sim::run_seeds(first, count, folder, simpler);
}
