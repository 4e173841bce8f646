#include "base/list_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/real_number.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

using Texts = std::vector<std::string>;

constexpr std::string_view kBetweenTexts = "[],", kBetweenNumbers = "[](),; \t";

bool is_texts(const JobSlot& slot) { return std::holds_alternative<Texts*>(slot); }
bool is_integers(const JobSlot& slot) { return std::holds_alternative<std::vector<std::int64_t>*>(slot); }
bool is_numbers(const JobSlot& slot) { return std::holds_alternative<std::vector<double>*>(slot); }

// What is left of a text where `between` is taken out of it, without the blanks around.
Texts items_of(std::string_view text, std::string_view between) {
  Texts items;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(between), text.size()));
    if (text.empty()) return items;
    const std::size_t end = std::min(text.find_first_of(between), text.size());
    const std::string_view item = text.substr(0, end);
    const std::size_t first = item.find_first_not_of(' ');
    if (first != std::string_view::npos) items.emplace_back(item.substr(first, item.find_last_not_of(' ') + 1 - first));
    text.remove_prefix(end);
  }
}

// None, where an item is no number.
template <class Number, class Read>
std::vector<Number> numbers_of(const std::string& text, Read read) {
  std::vector<Number> numbers;
  for (const std::string& item : items_of(text, kBetweenNumbers)) {
    const auto number = read(item);
    if (!number) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

template <class Item>
std::string written(std::vector<Item> list) {
  return list.empty() ? "" : ": write " + value_text(&list);
}

// "]" for "[1,2"; nothing where every bracket outside of quotes is closed, or a quote is not.
std::string brackets_missing(std::string_view text) {
  std::size_t open = 0;
  char quote = '\0';
  for (const char c : text) {
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '[') {
      ++open;
    } else if (c == ']' && open > 0) {
      --open;
    }
  }
  return quote == '\0' ? std::string(open, ']') : "";
}

}  // namespace

std::string list_instead(const JobSlot& slot, const std::string& text) {
  if (is_texts(slot)) return written(Texts{text});
  if (is_integers(slot)) return written(numbers_of<std::int64_t>(text, whole_number));
  return is_numbers(slot) ? written(numbers_of<double>(text, real_number)) : "";
}

std::string list_instead(const JobSlot& slot, std::int64_t number) {
  return is_integers(slot) ? written(std::vector<std::int64_t>{number}) : "";
}

std::string broken_list_text(const JobSlot& slot, const std::string& path, const std::string& text) {
  if (!(is_texts(slot) || is_integers(slot) || is_numbers(slot)) || !text.starts_with('[')) return "";
  if (const std::string missing = brackets_missing(text); !missing.empty())
    return fmt::format("the bracket of the list is not closed: write {}={}{}", path, text, missing);
  if (!is_texts(slot) || !text.ends_with(']') || text.find_first_of("\"'") != std::string::npos) return "";
  Texts items = items_of(text, kBetweenTexts);
  // A shell takes away quotes that no others are around.
  return fmt::format("expected texts in quotes, and others around all of it, for the shell: write '{}={}'", path,
                     value_text(&items));
}

}  // namespace rubato
