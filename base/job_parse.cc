// Reads job files and overrides. The only file that sees toml++, whose exceptions end here.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/hash.h"
#include "base/job.h"
#include "base/job_schema.h"
#include "base/key_guess.h"
#include "base/list_text.h"
#include "base/nearest.h"
#include "base/toml_fault.h"

namespace rubato {
namespace {

constexpr std::uintmax_t kFileBytesMax = 1 << 20;

constexpr const char* found_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// ` = 5`, as it stands in the file; nothing for lists and tables, which may be long.
std::string equals_text(const toml::node& node) {
  if (auto text = node.value_exact<std::string>()) return " = " + value_text(&*text);
  if (!node.is_value()) return "";
  if (auto number = node.value_exact<double>()) return " = " + value_text(&*number);  // toml++ writes 17 digits
  std::ostringstream text;
  node.visit([&](const auto& value) { text << " = " << value; });
  return text.str();
}

template <typename Number>
bool overflows(const std::string& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc::result_out_of_range && end == text.data() + text.size();
}

// What is wrong with a number that 64 bits do not hold, and for which TOML has no word; empty for any other text.
std::string overflow_text(const JobSlot& slot, const std::string& text) {
  if (std::holds_alternative<std::string*>(slot)) return "";
  if (std::holds_alternative<double*>(slot) || std::holds_alternative<std::vector<double>*>(slot))
    return overflows<double>(text) ? "expected a number of at most 1.8e308 and, unless 0, at least 2.2e-308 in size"
                                   : "";
  if (!overflows<std::int64_t>(text) || text.front() == '-') return "";
  return "too large: an integer is at most 9,223,372,036,854,775,807";
}

// What is there where `slot` wants something else.
std::string mismatch_text(const JobSlot& slot, const toml::node& node) {
  const toml::array* array = node.as_array();
  const bool texts = std::holds_alternative<std::vector<std::string>*>(slot);
  const bool numbers = std::holds_alternative<std::vector<double>*>(slot);
  if (array == nullptr || !(texts || numbers || std::holds_alternative<std::vector<std::int64_t>*>(slot)))
    return found_text(node.type());
  const auto odd = std::find_if(array->begin(), array->end(), [&](const toml::node& e) {
    return texts ? !e.is_string() : numbers ? !e.is_number() : !e.is_integer();
  });
  return fmt::format("{} in the list", found_text(odd->type()));
}

// False if the node is of another type. An integer is a fine number; a number is no fine integer. `alone`: a text is a
// list of one, too.
bool assign(const JobSlot& slot, const toml::node& node, bool alone) {
  const auto take = [&node](auto* target) {
    using Target = std::remove_reference_t<decltype(*target)>;
    const auto value = node.value_exact<Target>();
    if (value) *target = *value;
    return value.has_value();
  };
  if (auto* const* slot_double = std::get_if<double*>(&slot)) {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (value) **slot_double = *value;
    return value.has_value();
  }
  if (auto* const* slot_seed = std::get_if<std::uint64_t*>(&slot)) {
    const auto value = node.value_exact<std::int64_t>();
    if (value) **slot_seed = static_cast<std::uint64_t>(*value);
    return value.has_value();
  }
  if (auto* const* slot_list = std::get_if<std::vector<std::int64_t>*>(&slot)) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return false;
    std::vector<std::int64_t> list;
    for (const toml::node& element : *array) {
      const auto value = element.value_exact<std::int64_t>();
      if (!value) return false;
      list.push_back(*value);
    }
    **slot_list = std::move(list);
    return true;
  }
  if (auto* const* slot_numbers = std::get_if<std::vector<double>*>(&slot)) {
    std::vector<double> list;
    const auto take_number = [&list](const toml::node& element) {
      if (!element.is_number()) return false;
      list.push_back(*element.value<double>());
      return true;
    };
    if (const toml::array* array = node.as_array()) {  // else a list of one
      for (const toml::node& element : *array)
        if (!take_number(element)) return false;
    } else if (!take_number(node)) {
      return false;
    }
    **slot_numbers = std::move(list);
    return true;
  }
  if (auto* const* slot_texts = std::get_if<std::vector<std::string>*>(&slot)) {
    std::vector<std::string> list;
    if (const auto text = node.value_exact<std::string>(); text && alone) {
      list.push_back(*text);
    } else if (!node.is_array()) {
      return false;
    } else {
      for (const toml::node& element : *node.as_array()) {
        const auto value = element.value_exact<std::string>();
        if (!value) return false;
        list.push_back(*value);
      }
    }
    **slot_texts = std::move(list);
    return true;
  }
  if (auto* const* slot_bool = std::get_if<bool*>(&slot)) return take(*slot_bool);
  if (auto* const* slot_integer = std::get_if<std::int64_t*>(&slot)) return take(*slot_integer);
  return take(std::get<std::string*>(slot));
}

// `: write [32]`, where what is there was meant as a list.
std::string list_instead_of(const toml::node& node, const JobSlot& slot) {
  if (const auto text = node.value_exact<std::string>()) return list_instead(slot, *text);
  const auto number = node.value_exact<std::int64_t>();
  return number ? list_instead(slot, *number) : "";
}

// Whether quotes were meant to say where a value ends, or the texts of a list.
bool is_quoted(const std::string& text) {
  constexpr const char* kQuotes = "\"'";
  const std::size_t first = text.find_first_of(kQuotes);
  return first != std::string::npos &&
         (first == 0 || text.front() == '[' || text.find_last_of(kQuotes) + 1 == text.size());
}

class Reader {
 public:
  Reader(Job& job, std::string origin) : origin_(std::move(origin)), keys_(job_keys(job)) {
    for (JobKey& key : keys_) {
      paths_.push_back(key.path);
      for (std::string table = key.table();; table = table.substr(0, table.rfind('.'))) {
        tables_.insert(table);
        if (table.find('.') == std::string::npos) break;
      }
    }
  }

  Status read_file(const std::string& text) {
    toml::table root;
    try {
      root = toml::parse(text, origin_);
    } catch (const toml::parse_error& error) {
      const toml::source_position& at = error.source().begin;
      const TomlFault fault = toml_fault(text, at.line, at.column, error.description());
      return Error{Cause::kUsage, fmt::format("{}:{}: {}", at_line(fault.line), fault.column, fault.text)};
    }
    return read_table(root, "");
  }

  Status read_override(const Override& override) {
    const auto& [path, text, where] = override;
    const JobKey* key = find(path);
    if (key == nullptr) {
      if (tables_.contains(path)) {
        return Error{Cause::kUsage, fmt::format("{} {}={}: this is a table; set one of its keys, as in {}=...", where,
                                                path, text, some_key_of(path))};
      }
      return Error{Cause::kUsage, where + ": " + unknown("key", path)};
    }
    if (const std::string wrong = overflow_text(key->slot, text); !wrong.empty())
      return Error{Cause::kUsage, fmt::format("{}: {} = {}: {}", where, path, text, wrong)};
    // Parsed as the value of a document, so that a value is written here as in the file; what TOML
    // does not know is a bare word, unless it has quotes: those say that it is none.
    toml::table document;
    try {
      document = toml::parse("value = " + text);
    } catch (const toml::parse_error& error) {
      document.clear();
      if (const std::string wrong = broken_list_text(key->slot, path, text); !wrong.empty())
        return Error{Cause::kUsage, fmt::format("{}: {}={}: {}", where, path, text, wrong)};
      if (is_quoted(text))
        return Error{Cause::kUsage,
                     fmt::format("{}: {}={}: expected a value as in a job file, or a word without quotes, "
                                 "found quotes around what is neither ({}): close them, or leave them out",
                                 where, path, text, error.description())};
    }
    const toml::node* node = document.size() == 1 ? document.get("value") : nullptr;
    const toml::value<std::string> bare_word(text);
    const bool wants_text = std::holds_alternative<std::string*>(key->slot);
    if (node == nullptr || (wants_text && !node->is_string())) node = &bare_word;
    overridden_.insert(path);
    return set(*key, *node, where, node == &bare_word);
  }

  [[nodiscard]] bool overridden(const std::string& path) const { return overridden_.contains(path); }
  // Where a key was set: "job.toml:12", "--set", or the file alone for a default.
  [[nodiscard]] std::string where(std::string_view path) const {
    const auto found = set_at_.find(path);
    return found == set_at_.end() ? origin_ : found->second;
  }
  [[nodiscard]] const std::vector<JobKey>& keys() const { return keys_; }

 private:
  // In the order of the file, so that the first mistake is told first (toml++ sorts by name).
  Status read_table(const toml::table& table, const std::string& prefix) {
    std::vector<std::pair<const toml::key*, const toml::node*>> entries;
    for (const auto& [key, node] : table) entries.emplace_back(&key, &node);
    std::ranges::stable_sort(entries, {}, [](const auto& entry) {
      const auto& begin = entry.first->source().begin;
      return std::pair(begin.line, begin.column);
    });
    for (const auto& [key, node] : entries) {
      RUBATO_TRY(read_entry(prefix + std::string(key->str()), *node, at_line(key->source().begin.line)));
    }
    return {};
  }

  Status read_entry(const std::string& path, const toml::node& node, const std::string& where) {
    if (const JobKey* key = find(path)) return set(*key, node, where);
    const toml::table* table = node.as_table();
    if (!tables_.contains(path)) {
      return Error{Cause::kUsage, where + ": " + unknown(table != nullptr ? "table" : "key", path)};
    }
    if (table != nullptr) return read_table(*table, path + ".");
    return Error{Cause::kUsage,
                 fmt::format("{}: {}: expected a table, found {}", where, path, found_text(node.type()))};
  }

  // `typed`: a bare word of a command line, which is a text, or a list of it.
  Status set(const JobKey& key, const toml::node& node, const std::string& where, bool typed = false) {
    const std::string what = fmt::format("{}: {}{}", where, key.path, equals_text(node));
    if (!assign(key.slot, node, typed || is_list_alone(key.slot, key.allowed))) {
      return Error{Cause::kUsage, fmt::format("{}: expected {}, found {}{}", what, type_text(key.slot, key.allowed),
                                              mismatch_text(key.slot, node), list_instead_of(node, key.slot))};
    }
    const bool below_zero = std::holds_alternative<std::uint64_t*>(key.slot) && *node.value<std::int64_t>() < 0;
    if (below_zero) return Error{Cause::kUsage, fmt::format("{}: must be {}", what, allowed_text(key.allowed))};
    RUBATO_TRY(set_items(key, node, where));
    if (auto status = check_allowed(key.slot, key.allowed); !status.ok()) return status.error().in(what);
    set_at_[key.path] = where;
    return {};
  }

  // A list of texts with a syntax of their own may be long: each has its own line.
  Status set_items(const JobKey& key, const toml::node& node, const std::string& where) {
    auto* const* texts = std::get_if<std::vector<std::string>*>(&key.slot);
    const auto* form = std::get_if<Form>(&key.allowed);
    const toml::array* array = node.as_array();
    if (texts == nullptr || form == nullptr || array == nullptr) return {};
    const bool in_file = where.starts_with(origin_ + ":");
    for (std::size_t i = 0; i < array->size(); ++i) {
      const std::string at = in_file ? at_line(array->get(i)->source().begin.line) : where;
      if (auto status = form->check((*texts)->at(i)); !status.ok())
        return status.error().in(fmt::format("{}: {}", at, key.path));
      set_at_[item_path(key.path, i)] = at;
    }
    return {};
  }

  [[nodiscard]] const JobKey* find(std::string_view path) const {
    const auto found = std::ranges::find(keys_, path, &JobKey::path);
    return found == keys_.end() ? nullptr : &*found;
  }

  [[nodiscard]] std::string some_key_of(const std::string& table) const {
    return std::ranges::find_if(keys_, [&](const JobKey& key) { return key.path.starts_with(table + "."); })->path;
  }

  [[nodiscard]] std::string unknown(const char* what, const std::string& path) const {
    const bool is_table = std::string_view(what) == "table";
    const std::optional<std::string> guess =
        is_table ? guess_table(path, std::vector<std::string>(tables_.begin(), tables_.end()))
                 : guess_key(path, paths_);
    const bool lost = !guess && path.find('.') == std::string::npos;
    return fmt::format("unknown {} \"{}\"{}{}", what, path, did_you_mean(guess), lost ? tables_text() : "");
  }

  [[nodiscard]] std::string tables_text() const {
    std::vector<std::string> outer;
    std::ranges::copy_if(tables_, std::back_inserter(outer),
                         [](const std::string& t) { return t.find('.') == std::string::npos; });
    return fmt::format("; the tables are {}", fmt::join(outer, ", "));
  }

  [[nodiscard]] std::string at_line(std::size_t line) const { return fmt::format("{}:{}", origin_, line); }

  std::string origin_;
  std::vector<JobKey> keys_;
  std::vector<std::string> paths_;
  std::set<std::string> tables_, overridden_;
  std::map<std::string, std::string, std::less<>> set_at_;
};

Status read_all(Reader& reader, const std::string& text, const Overrides& overrides) {
  RUBATO_TRY(reader.read_file(text));
  for (const Override& override : overrides) RUBATO_TRY(reader.read_override(override));
  return {};
}

// What is no regular file may have no end (/dev/zero), or never begin (a fifo that nobody writes to).
Result<std::string> read_text(const std::string& path) {
  const auto refuse = [&](const std::string& reason) {
    return Error{Cause::kUsage, fmt::format("job file {}: {}; name a .toml file (jobs/ holds examples)", path, reason)};
  };
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::status(path, failed);
  if (std::filesystem::is_directory(status)) return refuse("is a directory");
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return refuse("is no regular file");
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  std::ifstream file(path, std::ios::binary);
  if (failed || !file) return refuse(std::strerror(failed ? failed.value() : errno));
  if (size > kFileBytesMax)
    return refuse(fmt::format("has {} bytes, and no job file more than {}", size, kFileBytesMax));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Result<Override> parse_override(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Error{Cause::kUsage, fmt::format("--set {}: expected key=value, as in --set train.steps=5", text)};
  }
  const auto trimmed = [](std::string part) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    part.erase(part.begin(), std::ranges::find_if_not(part, blank));
    while (!part.empty() && blank(part.back())) part.pop_back();
    return part;
  };
  return Override{trimmed(text.substr(0, equals)), trimmed(text.substr(equals + 1))};
}

Result<Job> parse_job(const std::string& text, const std::string& origin, const Overrides& overrides) {
  Job job;
  Reader reader(job, origin);
  RUBATO_TRY(read_all(reader, text, overrides));
  RUBATO_TRY(check_job(job, [&](std::string_view path) { return reader.where(path); }));
  return job;
}

Result<Job> load_job(const std::string& path, const Overrides& overrides, const FurtherCheck& check) {
  RUBATO_ASSIGN(const std::string text, read_text(path));
  Job job;
  Reader reader(job, path);
  const Where where = [&](std::string_view key) { return reader.where(key); };
  RUBATO_TRY(read_all(reader, text, overrides));
  RUBATO_TRY(check_job(job, where));
  // What the file says is meant from the file; what is typed, from where it was typed.
  const std::filesystem::path here = std::filesystem::current_path();
  for (const JobKey& key : reader.keys()) {
    if (!key.is_path && key.path_prefix.empty()) continue;
    std::string& file = *std::get<std::string*>(key.slot);
    if (file.size() <= key.path_prefix.size() || !file.starts_with(key.path_prefix)) continue;
    const std::filesystem::path base =
        reader.overridden(key.path) ? here : here / std::filesystem::path(path).parent_path();
    file = key.path_prefix + (base / file.substr(key.path_prefix.size())).lexically_normal().string();
  }
  ModelConfig& model = job.model;
  if (!model.pretrained.empty() && model.pretrained_sha256.empty()) {
    Result<std::string> hash = sha256_of_file(model.pretrained);
    if (!hash.ok()) return hash.error().in(reader.where("model.pretrained") + ": model.pretrained");
    model.pretrained_sha256 = std::move(*hash);
  }
  if (check) RUBATO_TRY(check(job, where));
  return job;
}

Result<Job> load_job(const std::string& path, const Overrides& overrides) { return load_job(path, overrides, {}); }

}  // namespace rubato
