#include "data/class_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/nearest.h"
#include "base/no_label.h"
#include "data/text_lines.h"

namespace rubato::data {
namespace {

// 3, +3, and 3.0, as pandas writes whole numbers once a column has had a gap.
std::optional<std::int64_t> class_number(const std::string& text) {
  const std::optional<double> number = field_number(text);
  if (!number || *number != std::floor(*number) || std::abs(*number) > 1e15) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::string names_text(const std::set<std::string>& names) {
  constexpr std::size_t kShown = 10;
  std::string text;
  std::size_t count = 0;
  for (const std::string& name : names) {
    if (count++ == kShown) return text + ", ...";
    text += (text.empty() ? "" : ", ") + shown(name);
  }
  return text;
}

}  // namespace

Result<ClassNames> ClassNames::make(const std::vector<std::string>& texts, const DataConfig& config,
                                    const std::string& file) {
  ClassNames made;
  made.classes_ = config.classes;
  made.first_ = config.first_label;
  made.ignored_ = config.ignored_labels;
  const auto is_number = [](const std::string& text) { return class_number(text).has_value(); };
  if (std::ranges::all_of(texts, is_number)) return made;
  std::set<std::string> names(texts.begin(), texts.end());
  std::erase_if(names, [&](const std::string& name) { return made.ignores(name); });
  if (static_cast<std::int64_t>(names.size()) != config.classes)
    return Error{Cause::kData,
                 fmt::format("{}: column \"{}\" has {} different names of classes ({}), and data.classes "
                             "is {}",
                             file, config.target.front(), names.size(), names_text(names), config.classes)};
  for (const std::string& name : names) made.names_.emplace(name, static_cast<std::int32_t>(made.names_.size()));
  return made;
}

std::vector<std::string> ClassNames::names() const {
  std::vector<std::string> known;
  for (const auto& [name, number] : names_) known.push_back(name);
  return known;
}

bool ClassNames::ignores(const std::string& text) const {
  const std::optional<std::int64_t> value = class_number(text);
  return value && std::ranges::count(ignored_, *value) > 0;
}

Result<std::int32_t> ClassNames::number(const std::string& text) const {
  if (ignores(text)) return kNoLabel;
  if (names_.empty()) {
    const std::optional<std::int64_t> value = class_number(text);
    const std::int64_t last = first_ + classes_ - 1;
    if (value && *value >= first_ && *value <= last) return static_cast<std::int32_t>(*value - first_);
    return Error{Cause::kData, fmt::format("expected a class from {} to {} (data.classes = {}), found {}", first_, last,
                                           classes_, shown(text))};
  }
  const auto found = names_.find(text);
  if (found != names_.end()) return found->second;
  return Error{Cause::kData, fmt::format("no class of the training table is called {}{}", shown(text),
                                         did_you_mean(nearest(text, names())))};
}

}  // namespace rubato::data
