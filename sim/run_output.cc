#include "sim/run_output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "base/atomic_file.h"

namespace rubato::sim {
namespace {

namespace fs = std::filesystem;

Error cannot_make(const std::string& path, const std::string& why) {
  return {Cause::kStorage, fmt::format("cannot make the run directory {}: {}", path, why)};
}

Error cannot_write(const std::string& path) {
  return {Cause::kStorage, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
}

Result<std::string> claim(const std::string& asked) {
  std::error_code error;
  fs::create_directories(asked, error);
  if (error) return cannot_make(asked, error.message());
  if (!fs::is_empty(asked, error) || error)
    return Error{Cause::kUsage,
                 fmt::format("the run directory {} is not empty; name another one, or remove it", asked)};
  return asked;
}

Result<std::string> claim_new(const std::string& job_file) {
  const std::time_t now = std::time(nullptr);
  const std::string stem =
      fmt::format("runs/{}-{:%Y%m%d-%H%M%S}", fs::path(job_file).stem().string(), fmt::localtime(now));
  std::error_code error;
  fs::create_directories("runs", error);
  std::string path = stem;
  for (int number = 2; !fs::create_directory(path, error); ++number) {  // several in one second
    if (error) return cannot_make(path, error.message());
    path = fmt::format("{}-{}", stem, number);
  }
  return path;
}

}  // namespace

Result<RunOutput> RunOutput::open(const std::string& asked, const std::string& job_file, const Job& job) {
  RUBATO_ASSIGN(std::string path, asked.empty() ? claim_new(job_file) : claim(asked));
  const std::string text = write_job(job);
  RUBATO_TRY(write_file(path + "/job.toml", std::as_bytes(std::span(text))));
  for (const char* folder : {"/logs", "/trace"}) {
    if (folder == std::string("/trace") && !job.debug.trace) continue;
    std::error_code error;
    fs::create_directory(path + folder, error);
    if (error) return cannot_make(path + folder, error.message());
  }
  RUBATO_ASSIGN(auto files, scheduler::RunFiles::open(path));
  const std::string log_path = path + "/logs/simulation.log";
  File log(std::fopen(log_path.c_str(), "w"));
  if (!log) return cannot_write(log_path);
  return RunOutput(std::move(path), std::move(files), std::move(log));
}

void RunOutput::metric(const nlohmann::ordered_json& line) {
  if (Status written = files_.write(line); status_.ok()) status_ = std::move(written);
}

void RunOutput::note(const SimNote& note) {
  fmt::print(log_.get(), "{:.6f} {} {}: {}\n", seconds(note.at), note.node.name(), protocol::level_name(note.level),
             note.text);
}

void RunOutput::trace(NodeId node, const std::string& line) {
  File& file = traces_[node];
  if (!file) {
    const std::string path = fmt::format("{}/trace/{}.jsonl", path_, node.name());
    file.reset(std::fopen(path.c_str(), "w"));
    if (!file && status_.ok()) status_ = cannot_write(path);
  }
  if (file) fmt::print(file.get(), "{}\n", line);
}

}  // namespace rubato::sim
