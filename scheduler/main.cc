// rubato-scheduler: resolves a job file, or runs the scheduler of a job.
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <random>

#include "base/atomic_file.h"
#include "base/job_files.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "protocol/job_options.h"
#include "protocol/process.h"
#include "scheduler/http.h"
#include "scheduler/json_text.h"
#include "scheduler/run_files.h"
#include "scheduler/scheduler_core.h"

namespace rubato::scheduler {
namespace {

using protocol::Outbox;

// After the end of a job members get so long to say goodbye, and people to read the last status.
constexpr TimeNs kGoodbye = 500 * kMillisecond;
constexpr const char* kAborted = "told to stop a second time, so the job ends as it stands";

struct Options {
  std::string job_file, resolve_file, run_dir, log_level = "info";
  protocol::JobOptions job_options;
  int lifeline = -1;
  bool keys = false, data_here = false;
};

std::uint64_t random_u64() {
  std::random_device random;
  return static_cast<std::uint64_t>(random()) << 32 | random();
}

// Reads a job file, checks it, says what a person should know of it, and writes every key of it to RUN/job.toml.
Status resolve(const Options& options) {
  RUBATO_ASSIGN(const Overrides overrides, options.job_options.overrides());
  RUBATO_ASSIGN(const Job job, options.data_here ? load_job_and_see_data(options.resolve_file, overrides)
                                                 : load_job(options.resolve_file, overrides));
  std::error_code error;
  std::filesystem::create_directories(options.run_dir, error);
  if (error)
    return Error{Cause::kStorage,
                 fmt::format("cannot make the run directory {}: {}", options.run_dir, error.message())};
  for (const std::string& note : job_notes(job)) fmt::print("{}\n", note);
  if (options.data_here)
    for (const std::string& note : data_notes(job)) fmt::print("{}\n", note);
  const std::string text = write_job(job);
  return write_file(options.run_dir + "/job.toml", std::as_bytes(std::span(text)));
}

// The core, with the files, sockets and HTTP around it.
class Scheduler {
 public:
  static Result<int> run(const Options& options) {
    RUBATO_ASSIGN(const Job job, load_job(options.job_file));
    Scheduler scheduler(job, options);
    RUBATO_TRY(scheduler.open());
    const int exit_code = scheduler.process_->run();
    scheduler.process_->write_timeline();
    return exit_code;
  }

 private:
  Scheduler(const Job& job, const Options& options)
      : job_(job), options_(options), job_id_(random_u64()), core_(job, protocol::timing_of(job)) {}

  Status open() {
    RUBATO_ASSIGN(process_,
                  protocol::Process::open(job_, {kSchedulerNode, job_id_, options_.run_dir, options_.lifeline}));
    RUBATO_ASSIGN(RunFiles files, RunFiles::open(options_.run_dir));
    files_.emplace(std::move(files));
    RUBATO_ASSIGN(const std::string address,
                  process_->endpoint().listen(protocol::listen_address(job_, job_id_, kSchedulerNode)));
    const std::string token = fmt::format("{:016x}{:016x}", random_u64(), random_u64());
    RUBATO_ASSIGN(http_, HttpServer::listen(process_->loop(), job_.cluster.bind,
                                            static_cast<std::uint16_t>(job_.cluster.http_port), token, handlers()));
    process_->node().host(core_, [this](TimeNs) { after_call(); });
    process_->on_stop_signal([this](bool again) {
      if (again)
        abort(Cause::kInterrupted, kAborted);
      else
        drain();
    });
    process_->on_orphaned([this] { abort(Cause::kPeerLost, "the launcher is gone, so the job ends"); });
    process_->before_end([this] { return linger(); });
    const auto started = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    return files_->announce({{"endpoint", protocol::SchedulerAddress{address, job_id_}.text()},
                             {"http", http_->url()},
                             {"pid", ::getpid()},
                             {"job_id", fmt::format("{:016x}", job_id_)},
                             {"token", token},
                             {"run_dir", std::filesystem::absolute(options_.run_dir).string()},
                             {"started", started}});
  }

  HttpHandlers handlers() {
    return {[this] {
              auto status = core_.status(steady_now());
              status["run_dir"] = std::filesystem::absolute(options_.run_dir).string();
              status["job_id"] = fmt::format("{:016x}", job_id_);
              return json_text(status);
            },
            [this](const MemberExit& exit) {
              if (!core_.has_place_for(exit.node)) return false;
              enter([=, this](TimeNs now, Outbox& out) { core_.member_exited(now, exit, out); });
              return true;
            },
            [this] { drain(); }, [this] { abort(Cause::kInterrupted, kAborted); },
            [this](const std::string& words, bool dry_run) { return set(words, dry_run); }};
  }

  Result<std::string> set(const std::string& words, bool dry_run) {
    RUBATO_ASSIGN(const RuleChange change, parse_rule_change(words));
    std::optional<Result<nlohmann::ordered_json>> answer;
    enter([&](TimeNs now, Outbox& out) { answer = core_.change_rules(now, change, dry_run, out); });
    if (!answer->ok()) return answer->error();
    return json_text(**answer);
  }

  void drain() {
    enter([this](TimeNs now, Outbox& out) { core_.drain(now, out); });
  }
  void abort(Cause cause, const std::string& why) {
    enter([&](TimeNs now, Outbox& out) { core_.abort(now, cause, why, out); });
  }

  void enter(const std::function<void(TimeNs, Outbox&)>& call) { process_->node().enter(core_, call); }

  void after_call() {
    core_.set_refused_frames(process_->node().refused() + http_->refused());
    for (const auto& line : core_.take_metrics())
      if (Status status = files_->write(line); !status.ok())
        process_->end(status.error().exit_code(), status.error().message);
  }

  // The job is over: its last lines are written, and the members hear of it before this process ends.
  bool linger() {
    goodbye_.emplace(process_->loop(), [this] { process_->end(core_.exit_code(), ""); });
    goodbye_->arm(steady_now() + kGoodbye);
    return true;
  }

  const Job job_;
  const Options options_;
  const std::uint64_t job_id_;
  std::unique_ptr<protocol::Process> process_;
  std::optional<RunFiles> files_;
  std::unique_ptr<HttpServer> http_;
  SchedulerCore core_;
  std::optional<transport::Timer> goodbye_;
};

Result<int> start(const Options& options) {
  log::open("scheduler", options.log_level);
  end_where_memory_ends();
  if (options.keys) {
    fmt::print("{}", describe_job_keys());
    return 0;
  }
  if (options.run_dir.empty() || options.job_file.empty() == options.resolve_file.empty())
    return Error{Cause::kUsage, "give --run-dir, and either --resolve JOB.toml or --job RUN/job.toml; see --help"};
  if (!options.resolve_file.empty()) {
    RUBATO_TRY(resolve(options));
    return 0;
  }
  return Scheduler::run(options);
}

}  // namespace
}  // namespace rubato::scheduler

int main(int argc, char** argv) {
  CLI::App app(
      "The Rubato scheduler. scripts/rubato starts it by itself; by hand:\n"
      "  rubato-scheduler --resolve jobs/fashion_mlp.toml --set train.epochs=2 --run-dir runs/a\n"
      "      checks a job file, fills in every key, and writes runs/a/job.toml\n"
      "  rubato-scheduler --job runs/a/job.toml --run-dir runs/a\n"
      "      runs the job's scheduler; runs/a/scheduler.json says how servers and workers reach it\n"
      "  rubato-scheduler --keys\n"
      "      lists every key of a job file");
  rubato::scheduler::Options options;
  app.add_option("--resolve", options.resolve_file, "a job file to check and resolve");
  app.add_flag("--data-here", options.data_here,
               "with --resolve: this host has the data, so look whether its files are there and of their kind");
  rubato::protocol::add_job_options(app, options.job_options);
  app.add_option("--job", options.job_file, "a resolved job file to run");
  app.add_option("--run-dir", options.run_dir, "where job.toml, metrics and weights go");
  app.add_option("--lifeline", options.lifeline, "a pipe's read end; this process ends when the other end closes");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")->capture_default_str();
  app.add_flag("--keys", options.keys, "list the keys of a job file, with types, ranges and defaults");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(rubato::Cause::kUsage);
  }
  const rubato::Result<int> exit_code = rubato::scheduler::start(options);
  if (exit_code.ok()) return *exit_code;
  rubato::log::error("{}", exit_code.error().message);
  return exit_code.error().exit_code();
}
