// rubato-sim: a whole job in one process and in virtual time, with real gradients.
#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <optional>

#include "base/counted.h"
#include "base/failure_line.h"
#include "base/job_files.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "protocol/job_options.h"
#include "sim/memory_estimate.h"
#include "sim/progress.h"
#include "sim/replay/replay.h"
#include "sim/run_output.h"
#include "sim/sim_job.h"
#include "sim/summary.h"
#include "sim/trainer_workload.h"
#include "worker/figures.h"
#include "worker/job_plan.h"

namespace rubato::sim {
namespace {

struct Options {
  std::string job_file, replay_dir, memory_file, run_dir, log_level = "info";
  protocol::JobOptions job_options;
  bool profile = false, no_progress = false;
};

constexpr int kWarningsShown = 10;

volatile std::sig_atomic_t interrupted = 0;

// The first Ctrl-C ends the job in order; the handler is gone then, and a second one kills.
void listen_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int number : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    ::sigaction(number, &action, &before);
    if (before.sa_handler == SIG_IGN) ::sigaction(number, &before, nullptr);  // SIGINT, behind the `&` of a script
  }
  std::signal(SIGPIPE, SIG_IGN);  // nobody reads the display any more: the job goes on without it
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond its limit is an error like a full disk
}

// What a metric or a note says that people should see; often nothing.
std::string line_of(const nlohmann::ordered_json& metric) {
  if (metric.at("event") == "set" || metric.at("event") == "in_force")
    return fmt::format("{}: {} at rate {:g} from clock {} on, {:.3f} s",
                       metric.at("event") == "set" ? "set" : "in force", metric.at("mode").get<std::string>(),
                       metric.at("rate").get<double>(), metric.at("clock").get<Clock>(),
                       metric.at("time_s").get<double>());
  if (metric.at("event") == "stopped_early") return metric.at("reason").get<std::string>();
  if (metric.at("event") != "evaluation") return "";
  const std::string part = metric.contains("validation_accuracy") ? "validation" : "test";
  const std::string error = part + "_reconstruction", loss = part + "_loss", accuracy = part + "_accuracy";
  if (metric.contains("machine") && metric.at(error).is_number())
    return fmt::format("epoch {}: machine {}, {} reconstruction error {:.4f}", metric.at("epoch").get<std::int64_t>(),
                       metric.at("machine").get<std::int64_t>(), part, metric.at(error).get<double>());
  if (!metric.contains(loss) || !metric.at(loss).is_number()) return "";
  std::string line = fmt::format("epoch {}: ", metric.at("epoch").get<std::int64_t>());
  if (metric.at(accuracy).is_number())
    line += fmt::format("{} accuracy {:.2f}%, ", part, 100.0 * metric.at(accuracy).get<double>());
  line += fmt::format("{} loss {}", part, loss_text(metric.at(loss).get<double>()));
  // Of a job that diverges the one may be a number for longer than the other.
  if (metric.at("train_loss").is_number())
    line += fmt::format(", training loss {}", loss_text(metric.at("train_loss").get<double>()));
  return line;
}

std::string line_of(const SimNote& note) {
  const char* level = note.level == protocol::Level::kError     ? "error"
                      : note.level == protocol::Level::kWarning ? "warning"
                                                                : nullptr;
  if (level == nullptr || note.node != kSchedulerNode) return "";
  return fmt::format("{}: {:.3f} s: {}", level, seconds(note.at), note.text);
}

Result<int> simulate(const Options& options) {
  const TimeNs began = steady_now();
  RUBATO_ASSIGN(const Overrides overrides, options.job_options.overrides());
  RUBATO_ASSIGN(const Job job, load_job_and_see_data(options.job_file, overrides));
  const Mode mode = parse_mode(job.consistency.mode).value();
  std::optional<Profile> profile;
  if (options.profile) profile.emplace();
  RUBATO_ASSIGN(RunOutput output, RunOutput::open(options.run_dir, options.job_file, job));
  if (job.worker.plan != WorkerConfig().plan) {
    RUBATO_ASSIGN(const data::DatasetSize train, data::size_of_dataset(job, data::Split::kTrain));
    RUBATO_ASSIGN(std::vector<data::DatasetSize> evaluated, worker::evaluated_parts(job));
    RUBATO_TRY(worker::write_plan(job, {train, std::move(evaluated)}, output.path()));
  }
  RUBATO_ASSIGN(auto workload, TrainerWorkload::open(job, output.path(), TrainerWorkload::Trainers::kShared,
                                                     profile ? &*profile : nullptr));

  Progress progress(!options.no_progress, stdout);
  const auto say = [&](const std::string& line) {
    if (!line.empty()) progress.say(line);
  };
  // A job that diverges warns of every slice of every step.
  int warnings = 0;
  const auto warn = [&](const std::string& line) {
    if (line.empty() || warnings > kWarningsShown) return;
    say(++warnings > kWarningsShown ? fmt::format("more of these: {}/logs/simulation.log", output.path()) : line);
  };
  std::unique_ptr<SimJob> sim;
  SimOptions sim_options = SimOptions::of(job);
  sim_options.keep_snapshots = false;
  sim_options.profile = profile ? &*profile : nullptr;
  sim_options.metric = [&](const nlohmann::ordered_json& line) {
    output.metric(line);
    say(line_of(line));
  };
  sim_options.note = [&](const SimNote& note) {
    output.note(note);
    warn(line_of(note));
  };
  if (job.train.record) sim_options.record_dir = output.path() + "/record";
  if (job.debug.trace) sim_options.trace = [&](NodeId node, const std::string& line) { output.trace(node, line); };
  sim_options.between_events = [&, drained = false]() mutable {
    if (interrupted != 0 && !std::exchange(drained, true)) sim->drain();
    if (const TimeNs now = steady_now(); progress.due(now)) progress.update(sim->status(), sim->now(), now);
  };
  RUBATO_ASSIGN(sim, SimJob::open(job, std::move(sim_options), *workload));

  progress.say(fmt::format("{}: {}, {}, {}, simulated", output.path(), job.consistency.mode,
                           counted(static_cast<std::uint64_t>(job.cluster.servers), "server"),
                           counted(static_cast<std::uint64_t>(job.cluster.workers), "worker")));
  for (const auto& notes : {job_notes(job), data_notes(job)})
    for (const std::string& note : notes) progress.say("note: " + note);
  if (mode.backups > 0 && job.worker.stragglers == "none")
    progress.say(
        fmt::format("note: workers without stragglers come at the same instant, and of those {} goes without the "
                    "highest ranks: their samples are never trained on; set worker.stragglers",
                    job.consistency.mode));
  listen_for_interrupts();
  if (profile) *profile = Profile();  // opening data and model is over
  const SimResult result = sim->run();
  if (profile) profile->close();
  progress.close();

  if (!output.status().ok()) return output.status().error();
  if (!result.over) return Error{Cause::kInternal, "nothing can happen any more: " + result.unfinished};
  const int code = result.exit_code;
  const bool drained = code == static_cast<int>(Cause::kInterrupted);
  if (drained) progress.say(result.text);
  if (code == 0 || drained) progress.say(summary_text(result, job, output.path(), steady_now() - began));
  if (profile) progress.say(profile_text(*profile, result));
  if (code != 0 && !drained) log::error("{} (run in {})", result.text, output.path());
  return code;
}

Result<int> replay_run(const std::string& run_dir) {
  const auto say = [](const std::string& line) {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  };
  RUBATO_ASSIGN(const ReplayVerdict verdict, replay(run_dir, say));
  say(verdict.text);
  return verdict.identical ? 0 : static_cast<int>(Cause::kDiffers);
}

// A line for each thing: its bytes, what is true of them, and what it is. scripts/rubato_cli/memory.py reads it.
Result<int> print_memory(const Options& options) {
  RUBATO_ASSIGN(const Overrides overrides, options.job_options.overrides());
  RUBATO_ASSIGN(const Job job, load_job(options.memory_file, overrides));
  RUBATO_ASSIGN(const std::vector<MemoryRow> rows,
                estimate_memory(job, std::filesystem::path(options.memory_file).parent_path().string()));
  for (const MemoryRow& row : rows) fmt::print("{} {} {}\n", row.bytes, name_of(row.kind), row.what);
  return 0;
}

Result<int> start(const Options& options) {
  if (!options.memory_file.empty()) return print_memory(options);
  if (options.job_file.empty() == options.replay_dir.empty())
    return Error{Cause::kUsage, "give JOB.toml to simulate it, or --replay RUN to repeat a recorded run; see --help"};
  return options.job_file.empty() ? replay_run(options.replay_dir) : simulate(options);
}

}  // namespace
}  // namespace rubato::sim

int main(int argc, char** argv) {
  CLI::App app(
      "Runs a whole job in one process and in virtual time: real gradients of the real model on the real data,\n"
      "simulated workers, servers and network. The same seed gives the same metrics and weights, byte for byte.\n"
      "  rubato-sim jobs/fashion_mlp.toml --workers 32 --mode ssp:4 --seed 7\n"
      "  rubato-sim jobs/fashion_mlp.toml --workers 8 --set worker.stragglers=persistent:4x\n"
      "  rubato-sim jobs/quadratic.toml --workers 4 --set 'simulation.faults=kill worker-1 at 50ms'\n"
      "  rubato-sim --replay runs/a    repeats a real run that was recorded (docs/replay.md)\n"
      "  rubato-sim --memory jobs/fashion_mlp.toml    says what its processes would take, in bytes, and runs nothing\n"
      "Keys of [simulation], and how virtual time passes: docs/simulator.md.");
  app.footer(
      "exit codes: 0 ok (also where a worker died and the others finished), 1 internal, 2 usage or job file,\n"
      "  3 data, 5 peer lost, 6 diverged, 7 device, 8 storage, 12 a replay differs, 13 memory,\n"
      "  130 interrupted");
  rubato::sim::Options options;
  app.add_option("job", options.job_file, "the job file; jobs/ has examples")->type_name("JOB.toml");
  rubato::protocol::add_job_options(app, options.job_options);
  app.add_option("--replay", options.replay_dir, "a recorded run to repeat, instead of a job")->type_name("RUN");
  app.add_option("--memory", options.memory_file, "a job of which only the memory is estimated")->type_name("JOB.toml");
  app.add_option("--run-dir", options.run_dir, "new or empty; default: runs/NAME-DATE-TIME")->type_name("DIR");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")->capture_default_str();
  app.add_flag("--profile", options.profile, "say at the end where the real time went");
  app.add_flag("--no-progress", options.no_progress, "no display; warnings and the end only");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    rubato::print_failure(fmt::format("{} (try rubato simulate --help)", error.what()));
    return static_cast<int>(rubato::Cause::kUsage);
  }
  rubato::log::open("rubato-sim", options.log_level);
  rubato::end_where_memory_ends();
  const rubato::Result<int> exit_code = rubato::sim::start(options);
  if (exit_code.ok()) return *exit_code;
  rubato::print_failure(exit_code.error().message);
  return exit_code.error().exit_code();
}
