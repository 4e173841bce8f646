#include "data/table_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/nearest.h"

namespace rubato::data {
namespace {

Result<std::size_t> find_column(const std::string& place, const std::vector<std::string>& names,
                                const std::string& wanted, const char* key) {
  const auto found = std::ranges::find(names, wanted);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  std::string guess = did_you_mean(nearest(wanted, names));
  if (guess.empty() && names.size() <= 20) {
    std::vector<std::string> there;
    for (const std::string& name : names) there.push_back(shown(name));
    guess = fmt::format("; the columns are {}", fmt::join(there, ", "));
  }
  return Error{Cause::kData, fmt::format("{}: there is no column {} ({}){}", place, shown(wanted), key, guess)};
}

Status find_one(const std::string& place, TableColumns& columns, const std::string& wanted, const char* key,
                std::optional<std::size_t>& slot) {
  if (wanted.empty()) return {};
  RUBATO_ASSIGN(slot, find_column(place, columns.names, wanted, key));
  return {};
}

Status find_all(const std::string& place, TableColumns& columns, const std::vector<std::string>& wanted,
                const char* key, std::vector<std::size_t>& slots) {
  for (const std::string& name : wanted) {
    RUBATO_ASSIGN(const std::size_t column, find_column(place, columns.names, name, key));
    slots.push_back(column);
  }
  return {};
}

void take_the_others(TableColumns& columns, bool targets_too) {
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    const bool is_target = std::ranges::find(columns.targets, i) != columns.targets.end();
    if (i == columns.label || i == columns.group || i == columns.time || (is_target && !targets_too)) continue;
    columns.inputs.push_back(i);
  }
}

}  // namespace

Result<TableColumns> read_columns(LineReader& lines, const TableNames& names, char separator) {
  RUBATO_ASSIGN(const std::optional<std::string_view> header, lines.next());
  if (!header)
    return Error{Cause::kData, lines.path() + ": expected a line with the names of the columns, found nothing"};
  TableColumns columns;
  const std::string place = lines.place();
  if (const auto wrong = split_fields(*header, separator, columns.names))
    return Error{Cause::kData, fmt::format("{}: {}", place, *wrong)};
  std::set<std::string> seen;
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    if (columns.names[i].empty())
      return Error{Cause::kData, fmt::format("{}: column {} has no name (pandas writes its index so, unless "
                                             "index=False)",
                                             place, i + 1)};
    if (!seen.insert(columns.names[i]).second)
      return Error{Cause::kData, fmt::format("{}: two columns are called {}", place, shown(columns.names[i]))};
  }
  RUBATO_TRY(find_all(place, columns, names.targets, "data.target", columns.targets));
  RUBATO_TRY(find_one(place, columns, names.label, "data.target", columns.label));
  RUBATO_TRY(find_one(place, columns, names.group, "data.group", columns.group));
  RUBATO_TRY(find_one(place, columns, names.time, "data.time", columns.time));
  RUBATO_TRY(find_all(place, columns, names.inputs, "data.columns", columns.inputs));
  if (names.inputs.empty()) take_the_others(columns, names.targets_are_inputs);
  if (columns.inputs.empty()) return Error{Cause::kData, fmt::format("{}: no column is left for inputs", place)};
  return columns;
}

}  // namespace rubato::data
