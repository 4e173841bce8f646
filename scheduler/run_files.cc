#include "scheduler/run_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/atomic_file.h"
#include "base/log.h"
#include "scheduler/json_text.h"

namespace rubato::scheduler {
namespace {

Error cannot_write(const std::string& path) {
  return {Cause::kStorage, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
}

// With the token in it: whoever reads this may end the job.
Status write_contact(const std::string& path, const nlohmann::ordered_json& contact) {
  const std::string text = json_text(contact, 2) + "\n";
  return write_file(path, std::as_bytes(std::span(text)), Readers::kOwner);
}

// Makes `dir`, if it is not there, for this user alone.
Status claim(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return cannot_write(dir);
  struct stat info {};
  if (::lstat(dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::getuid())
    return Error{Cause::kStorage, fmt::format("{} is not a directory of this user", dir)};
  return {};
}

}  // namespace

Result<std::string> running_jobs_dir() {
  const std::string in_tmp = fmt::format("/tmp/rubato-{}", ::getuid());
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");  // where the user's programs meet; no setting of ours
  if (runtime != nullptr && *runtime != '\0') {
    const std::string dir = std::string(runtime) + "/rubato";
    const Status status = claim(dir);
    if (status.ok()) return dir;
    log::warn("the job is listed in {}, for XDG_RUNTIME_DIR does not do: {}", in_tmp, status.error().message);
  }
  RUBATO_TRY(claim(in_tmp));
  return in_tmp;
}

Result<RunFiles> RunFiles::open(const std::string& run_dir) {
  RunFiles files(run_dir);
  const std::string path = run_dir + "/metrics.jsonl";
  files.metrics_.reset(std::fopen(path.c_str(), "w"));
  if (!files.metrics_) return cannot_write(path);
  return files;
}

RunFiles::~RunFiles() {
  if (!entry_.empty()) ::unlink(entry_.c_str());
}

Status RunFiles::announce(const nlohmann::ordered_json& contact) {
  RUBATO_TRY(write_contact(run_dir_ + "/scheduler.json", contact));
  RUBATO_ASSIGN(const std::string dir, running_jobs_dir());
  const std::string entry = dir + "/" + contact.at("job_id").get<std::string>() + ".json";
  RUBATO_TRY(write_contact(entry, contact));
  entry_ = entry;
  return {};
}

Status RunFiles::write(const nlohmann::ordered_json& line) {
  const std::string text = json_text(line) + "\n";
  // Flushed at once: people follow this file, and a full disk should be heard of now.
  if (std::fwrite(text.data(), 1, text.size(), metrics_.get()) != text.size() || std::fflush(metrics_.get()) != 0)
    return cannot_write(run_dir_ + "/metrics.jsonl");
  return {};
}

}  // namespace rubato::scheduler
