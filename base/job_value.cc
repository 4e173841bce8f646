// One value of the job file: its type, what is allowed, its text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/job_schema.h"
#include "base/nearest.h"

namespace rubato {
namespace {

template <class... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overload(Cases...) -> Overload<Cases...>;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// The shortest text that reads back as the same double, and as a double.
std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

// 1,000,000 for people; whole numbers only get their commas.
std::string number_text(double value) {
  if (value != std::floor(value) || std::abs(value) >= 1e15) return fmt::format("{}", value);
  const std::string digits = fmt::format("{}", static_cast<std::int64_t>(value));
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool group = i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-';
    if (group) text += ',';
    text += digits[i];
  }
  return text;
}

template <class Items, class TextOf>
std::string comma_list(const Items& items, TextOf text_of) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + text_of(item);
  return text;
}

std::string range_text(const Range& range) {
  const bool has_low = std::isfinite(range.low), has_high = std::isfinite(range.high);
  if (has_low && has_high && !range.low_open && !range.high_open) {
    return number_text(range.low) + " to " + number_text(range.high);
  }
  std::string text;
  if (has_low) text = (range.low_open ? "above " : "at least ") + number_text(range.low);
  if (has_high) {
    if (has_low) text += " and ";
    text += (range.high_open ? "below " : "at most ") + number_text(range.high);
  }
  return text.empty() ? "finite" : text;
}

bool inside(const Range& range, double value) {
  return std::isfinite(value) && (range.low_open ? value > range.low : value >= range.low) &&
         (range.high_open ? value < range.high : value <= range.high);
}

Error refusal(const Allowed& allowed) { return {Cause::kUsage, "must be " + allowed_text(allowed)}; }

Status check_text(const std::string& text, const Allowed& allowed) {
  if (const auto* form = std::get_if<Form>(&allowed)) return form->check(text);
  const auto* names = std::get_if<OneOf>(&allowed);
  if (names == nullptr || std::ranges::find(names->names, text) != names->names.end()) return {};
  return Error{Cause::kUsage, "must be " + allowed_text(allowed) + did_you_mean(nearest(text, names->names))};
}

}  // namespace

bool is_list_alone(const JobSlot& slot, const Allowed& allowed) {
  return std::holds_alternative<std::vector<std::string>*>(slot) && !std::holds_alternative<Form>(allowed);
}

std::string place_text(std::size_t at, std::size_t count, const Range& range) {
  const std::string each_of = range.each_of;
  return fmt::format("number {} of {}{}", at + 1, count,
                     each_of.empty() ? "" : fmt::format(" ({} {}, counted from 0)", each_of, at));
}

std::string type_text(const JobSlot& slot, const Allowed& allowed) {
  if (is_list_alone(slot, allowed)) return "a string or a list of strings";
  return std::visit(
      Overload{[](bool*) { return "true or false"; }, [](std::int64_t*) { return "an integer"; },
               [](std::uint64_t*) { return "an integer"; }, [](double*) { return "a number"; },
               [](std::string*) { return "a string"; }, [](std::vector<std::int64_t>*) { return "a list of integers"; },
               [](std::vector<double>*) { return "a number or a list of numbers"; },
               [](std::vector<std::string>*) { return "a list of strings"; }},
      slot);
}

std::string allowed_text(const Allowed& allowed) {
  return std::visit(
      Overload{[](const Anything&) { return std::string(); }, [](const Range& range) { return range_text(range); },
               [](const OneOf& one) {
                 const std::string names = comma_list(one.names, quoted);
                 return one.names.size() > 1 ? "one of " + names : names;
               },
               [](const Form& form) { return std::string(form.description); }},
      allowed);
}

Status check_allowed(const JobSlot& slot, const Allowed& allowed) {
  const auto number = [&](double value) -> Status {
    const auto* range = std::get_if<Range>(&allowed);
    if (range == nullptr || inside(*range, value)) return {};
    if (!std::isfinite(value)) return Error{Cause::kUsage, fmt::format("must be finite, found {}", value)};
    return refusal(allowed);
  };
  const auto numbers = [&](const auto& list) -> Status {
    const auto* range = std::get_if<Range>(&allowed);
    for (std::size_t at = 0; range != nullptr && at < list.size(); ++at) {
      const auto value = static_cast<double>(list[at]);
      if (inside(*range, value)) continue;
      return Error{Cause::kUsage,
                   fmt::format("each must be {}, and {} is {}", std::isfinite(value) ? range_text(*range) : "finite",
                               place_text(at, list.size(), *range), list[at])};
    }
    return {};
  };
  return std::visit(Overload{[](const bool*) -> Status { return {}; },
                             [&](const std::int64_t* value) { return number(static_cast<double>(*value)); },
                             [&](const std::uint64_t* value) { return number(static_cast<double>(*value)); },
                             [&](const double* value) { return number(*value); },
                             [&](const std::string* value) { return check_text(*value, allowed); },
                             [&](const std::vector<std::int64_t>* list) { return numbers(*list); },
                             [&](const std::vector<double>* list) -> Status {
                               return list->size() == 1 ? number(list->front()) : numbers(*list);
                             },
                             [&](const std::vector<std::string>* list) -> Status {
                               for (const std::string& text : *list) RUBATO_TRY(check_text(text, allowed));
                               return {};
                             }},
                    slot);
}

std::string value_text(const JobSlot& slot) {
  return std::visit(
      Overload{[](const bool* value) { return std::string(*value ? "true" : "false"); },
               [](const std::int64_t* value) { return fmt::format("{}", *value); },
               [](const std::uint64_t* value) { return fmt::format("{}", *value); },
               [](const double* value) { return float_text(*value); },
               [](const std::string* value) { return quoted(*value); },
               [](const std::vector<std::int64_t>* list) {
                 return fmt::format("[{}]", comma_list(*list, [](std::int64_t v) { return std::to_string(v); }));
               },
               [](const std::vector<double>* list) {
                 return list->size() == 1 ? float_text(list->front())
                                          : fmt::format("[{}]", comma_list(*list, float_text));
               },
               [](const std::vector<std::string>* list) { return fmt::format("[{}]", comma_list(*list, quoted)); }},
      slot);
}

}  // namespace rubato
