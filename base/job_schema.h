// Every key of the job file, once: where it lies in the Job, what it may be, what it is for. Reading,
// overriding, writing, hashing and the list in `--help` all walk this one table (base/job_*.cc), so a
// key added here is known everywhere.
//
// Internal to base/: everybody else includes base/job.h.
//
// Thread-safety: pure functions; a JobKey borrows the Job that it was made for.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/job.h"
#include "base/result.h"

namespace rubato {

using JobSlot = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::int64_t>*,
                             std::vector<double>*, std::vector<std::string>*>;

// What a key may be, beyond its type.
struct Anything {};
struct Range {  // of a number, or of each number of a list
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;  // the end itself is not allowed
  const char* each_of = "";                  // what there is a number for, in a list: "class"
};
struct OneOf {
  std::vector<std::string> names;
};
struct Form {  // text with a syntax of its own, or each of a list of such texts
  const char* description;
  Status (*check)(const std::string& text);
};
using Allowed = std::variant<Anything, Range, OneOf, Form>;

struct JobKey {
  std::string path;  // "optimizer.schedule.name"
  JobSlot slot;
  Allowed allowed;
  std::string help;
  bool hashed = true;    // job_hash covers it
  bool is_path = false;  // a file; load_job makes it absolute
  // Texts that begin so name a file behind it, which load_job makes absolute.
  std::string path_prefix = "";

  [[nodiscard]] std::string table() const { return path.substr(0, path.rfind('.')); }
  [[nodiscard]] std::string name() const { return path.substr(path.rfind('.') + 1); }
};

// In the order in which write_job writes them; the keys of a table stand together.
[[nodiscard]] std::vector<JobKey> job_keys(Job& job);

// "an integer", "a list of integers": what a message asks for.
[[nodiscard]] std::string type_text(const JobSlot& slot, const Allowed& allowed);
// Whether a text alone is a list of it, as the one column to be predicted. Not where texts have a syntax of their own:
// there it is as likely what was left of a list.
[[nodiscard]] bool is_list_alone(const JobSlot& slot, const Allowed& allowed);
// "number 2 of 3 (class 1, counted from 0)": who in a list is wrong.
[[nodiscard]] std::string place_text(std::size_t at, std::size_t count, const Range& range);
// "above 0", "at least 1", "0 to 65,535", `one of "bsp", "asp"`; empty for Anything.
[[nodiscard]] std::string allowed_text(const Allowed& allowed);
// Whether what lies in the slot is allowed. The error says only what is: the caller knows where.
[[nodiscard]] Status check_allowed(const JobSlot& slot, const Allowed& allowed);

// A value as TOML.
[[nodiscard]] std::string value_text(const JobSlot& slot);

// An item of a list, as `where` knows it, of a key whose texts have a syntax of their own.
[[nodiscard]] inline std::string item_path(const std::string& path, std::size_t item) {
  return path + "[" + std::to_string(item) + "]";
}

// What no key can know alone. `where` says which file and line, or which override, set a key.
using Where = std::function<std::string(std::string_view path)>;
[[nodiscard]] Status check_job(const Job& job, const Where& where);
// The part of it that is about data sets.
[[nodiscard]] Status check_data(const Job& job, const Where& where);
// load_job, and then a look that needs to know who set what.
using FurtherCheck = std::function<Status(const Job& job, const Where& where)>;
[[nodiscard]] Result<Job> load_job(const std::string& path, const Overrides& overrides, const FurtherCheck& check);

// Checks the form of worker.device: auto, cpu, cuda or cuda:N.
[[nodiscard]] Status check_device(const std::string& text);
// Of server.device: the same but auto.
[[nodiscard]] Status check_server_device(const std::string& text);
[[nodiscard]] Status check_plan(const std::string& text);

}  // namespace rubato
