// The canonical text of a job, its hash, and the list of keys for --help.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/job.h"
#include "base/job_schema.h"

namespace rubato {
namespace {

// `[table]` before the first key of each table, after a blank line; nothing before the others.
std::string table_heading(const JobKey& key, std::string& table) {
  if (key.table() == table) return "";
  const char* blank = table.empty() ? "" : "\n";
  table = key.table();
  return fmt::format("{}[{}]\n", blank, table);
}

}  // namespace

std::string write_job(const Job& job) {
  Job copy = job;
  std::string text, table;
  for (const JobKey& key : job_keys(copy)) {
    text += table_heading(key, table);
    text += fmt::format("{} = {}\n", key.name(), value_text(key.slot));
  }
  return text;
}

std::string job_hash(const Job& job) {
  Job copy = job;
  std::string text;
  for (const JobKey& key : job_keys(copy)) {
    if (key.hashed) text += fmt::format("{} = {}\n", key.path, value_text(key.slot));
  }
  return sha256_hex(text);
}

std::string describe_job_keys() {
  Job defaults;
  const std::vector<JobKey> keys = job_keys(defaults);
  std::size_t name_width = 0;
  for (const JobKey& key : keys) name_width = std::max(name_width, key.name().size());
  std::string text, table;
  for (const JobKey& key : keys) {
    text += table_heading(key, table);
    const std::string allowed = allowed_text(key.allowed);
    const std::string type = type_text(key.slot, key.allowed) + (allowed.empty() ? "" : ": " + allowed);
    text += fmt::format("  {:<{}}  {}\n  {:<{}}  {}; default {}\n", key.name(), name_width, key.help, "", name_width,
                        type, value_text(key.slot));
  }
  return text;
}

}  // namespace rubato
