#include "base/toml_fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/lower_case.h"
#include "base/utf8.h"

namespace rubato {
namespace {

using View = std::string_view;

constexpr View kBlanks = " \t\r", kQuotes = "\"'";

bool says(View said, View words) { return said.find(words) != View::npos; }

View trimmed(View text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

View line_at(View text, std::size_t at) { return text.substr(at, text.find('\n', at) - at); }

std::size_t line_of(View text, std::size_t at) {
  return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, at), '\n'));
}

std::size_t column_of(View text, std::size_t at) {
  const std::size_t end_before = text.substr(0, at).rfind('\n');  // none: one before 0
  const View before = text.substr(end_before + 1, at - end_before - 1);
  return 1 + static_cast<std::size_t>(std::ranges::count_if(before, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::size_t place_of(View text, std::size_t line, std::size_t column) {
  std::size_t at = 0;
  for (std::size_t i = 1; i < line && at < text.size(); ++i) at = std::min(text.find('\n', at), text.size() - 1) + 1;
  for (std::size_t i = 1; i < column && at < text.size() && text[at] != '\n'; ++i)
    at += std::max<std::size_t>(utf8_letter_bytes(text.substr(at)), 1);
  return at;
}

// Short, and nothing that only a terminal would make something of.
std::string shown(View text) {
  constexpr std::size_t kLetters = 30;
  std::string out;
  for (std::size_t letters = 0; !text.empty(); ++letters) {
    if (letters == kLetters) return out + "...";
    const std::size_t bytes = utf8_letter_bytes(text);
    const auto byte = static_cast<unsigned char>(text.front());
    if (bytes == 0 || byte < ' ' || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += text.substr(0, bytes);
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out;
}

std::string quoted(View text) {
  const char quote = text.find_first_of("\"\\") == View::npos ? '"' : '\'';
  return fmt::format("{0}{1}{0}", quote, shown(text));
}

// What has begun, and not ended, where a text that is TOML so far is cut off.
struct Open {
  enum class Part { kNothing, kKey, kTable, kValue };
  Part part = Part::kNothing;
  std::size_t begin = 0;              // of the key, or of the table's name
  std::size_t item = 0;               // of the value, or of the list's item, that came last
  std::vector<std::size_t> brackets;  // of lists, and of tables in braces
  View quotes;                        // of a text
  std::size_t text = 0;
};

class Scanner {
 public:
  explicit Scanner(View text) : text_(text) {}

  Open run() {
    while (at_ < text_.size()) step();
    return open_;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '\n' && open_.brackets.empty()) open_.part = Open::Part::kNothing;
    if (c == '#') return skip_comment();
    if (open_.part == Open::Part::kNothing && (kBlanks.find(c) == View::npos && c != '\n')) {
      open_.part = c == '[' ? Open::Part::kTable : Open::Part::kKey;
      open_.begin = at_;
    }
    if (kQuotes.find(c) != View::npos) return skip_text();
    ++at_;
    if (open_.part == Open::Part::kValue) return value(c);
    if (open_.part != Open::Part::kKey || c != '=') return;
    open_.part = Open::Part::kValue;
    open_.item = at_;
  }

  void value(char c) {
    if (c == '[' || c == '{') open_.brackets.push_back(at_ - 1);
    if ((c == ']' || c == '}') && !open_.brackets.empty()) open_.brackets.pop_back();
    if (View("[{,=").find(c) != View::npos) open_.item = at_;
  }

  void skip_comment() { at_ = std::min(text_.find('\n', at_), text_.size()); }

  void skip_text() {
    const View three = text_.substr(at_, 3);
    const bool long_one = three == "\"\"\"" || three == "'''";
    open_.quotes = three.substr(0, long_one ? 3 : 1);
    open_.text = at_;
    at_ += open_.quotes.size();
    while (at_ < text_.size()) {
      if (text_.substr(at_).starts_with(open_.quotes)) {
        at_ += open_.quotes.size();
        open_.quotes = {};
        return;
      }
      at_ += text_[at_] == '\\' && open_.quotes.front() == '"' ? 2 : 1;
    }
  }

  View text_;
  std::size_t at_ = 0;
  Open open_;
};

class Fault {
 public:
  Fault(View text, std::size_t at, View said)
      : text_(text), at_(at), said_(said), open_(Scanner(text.substr(0, at)).run()) {}

  [[nodiscard]] std::string words() const {
    if (!open_.quotes.empty()) return of_text();
    if (says(said_, "cannot redefine")) return of_repetition();
    if (open_.part == Open::Part::kTable) return of_table();
    if (open_.part == Open::Part::kValue) return of_value();
    if (open_.part == Open::Part::kKey && (says(said_, "expected '='") || at_ >= text_.size()))
      return fmt::format("expected = behind the key {}, found {}{}", before(), found(),
                         next() == ':' ? ": write = for :" : "");
    const View line = line_at(text_, at_);
    const bool comment = line.starts_with("//") || line.starts_with(';') || line.starts_with("--");
    if (says(said_, "root table"))
      return fmt::format("expected [TABLE] or KEY = VALUE, found {}{}", found(),
                         comment ? ": a comment begins with #" : "");
    return not_known();
  }

 private:
  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  [[nodiscard]] bool at_end() const { return line_left().empty(); }
  [[nodiscard]] View line_left() const { return at_ < text_.size() ? trimmed(line_at(text_, at_)) : View(); }
  [[nodiscard]] std::string before() const { return shown(trimmed(text_.substr(open_.begin, at_ - open_.begin))); }
  [[nodiscard]] std::string found() const {
    if (at_ >= text_.size()) return "the end of the file";
    return at_end() ? "the end of the line" : shown(line_left());
  }
  [[nodiscard]] std::string not_known() const { return fmt::format("expected TOML, found {} ({})", found(), detail()); }
  [[nodiscard]] View detail() const {
    constexpr View kAlways = "Error while parsing ";
    return said_.substr(said_.starts_with(kAlways) ? kAlways.size() : 0);
  }
  // As far as it may be one word.
  [[nodiscard]] View item() const {
    const std::size_t begin = std::min(text_.find_first_not_of(" \t\r\n", open_.item), text_.size());
    const View rest = text_.substr(begin);
    return trimmed(rest.substr(0, rest.find_first_of(",]}#\n")));
  }

  [[nodiscard]] std::string of_text() const {
    const bool long_one = open_.quotes.size() == 3;
    if (at_ >= text_.size() || (at_end() && !long_one))
      return fmt::format("expected {} at the end of the text that begins {} {}, found {}: close it", open_.quotes,
                         long_one ? "on line" : "in column",
                         long_one ? line_of(text_, open_.text) : column_of(text_, open_.text), found());
    if (says(said_, "control characters"))
      return fmt::format("expected letters, found the byte {:02x} in a text", static_cast<unsigned char>(next()));
    const std::size_t slash = text_.substr(0, at_ + 1).rfind('\\');
    if (slash != View::npos && (says(said_, "escape") || says(said_, "unicode scalar")))
      return fmt::format(
          "expected \\\", \\\\, \\n, \\t or another of TOML's escapes, found {}: write \\\\ for a backslash, or put "
          "the text between single quotes",
          shown(text_.substr(slash, std::max<std::size_t>(at_ + 1 - slash, 2))));
    return not_known();
  }

  [[nodiscard]] std::string of_repetition() const {
    if (open_.part == Open::Part::kNothing || open_.part == Open::Part::kTable)
      return fmt::format("expected each table once, found {} again: put its keys together", found());
    const View key = text_.substr(open_.begin, text_.find('=', open_.begin) - open_.begin);
    return fmt::format("expected each key once, found {} again: leave one of them out", shown(trimmed(key)));
  }

  [[nodiscard]] std::string of_table() const {
    const View all = text_.substr(open_.begin, at_ - open_.begin);
    View name = all.substr(std::min(all.find_first_not_of('['), all.size()));
    name = trimmed(name.substr(0, name.find(']')));
    if (says(said_, "blank bare keys")) return "expected the name of a table, as in [data], found none";
    if (says(said_, "expected a comment or whitespace"))
      return fmt::format("expected the end of the line behind {}, found {}: keys are on lines of their own", before(),
                         found());
    if (says(said_, "expected ']'"))
      return fmt::format("expected ] behind the name of a table, found {}: write [{}]", found(), shown(name));
    return not_known();
  }

  [[nodiscard]] std::string of_value() const {
    if (says(said_, "expected a comment or whitespace")) return behind_value();
    if (!open_.brackets.empty() && (says(said_, "parsing array") || says(said_, "parsing inline table")))
      return text_[open_.brackets.back()] == '[' ? of_list() : of_braces();
    if (at_end() && item().empty())
      return fmt::format("expected a value, found {}: a key without one is left out, for its default", found());
    for (const View words : {"boolean", "floating-point", "integer", "date", "time", "parsing value"})
      if (says(said_, words)) return of_word();
    return not_known();
  }

  [[nodiscard]] std::string behind_value() const {
    const char* const hint = next() == ',' ? ": numbers have no commas, and a list is between brackets"
                             : next() == ']' || next() == '}' ? ": it closes nothing"
                                                              : ": each key has a line of its own";
    return fmt::format("expected the end of the line behind a value, found {}{}", found(), hint);
  }

  [[nodiscard]] std::string of_list() const {
    if (says(said_, "saw comma")) return "expected an item or ], found a comma: leave it out";
    const std::string list = fmt::format("the list that begins on line {}", line_of(text_, open_.brackets.back()));
    const View line = line_left();
    const bool another = at_ >= text_.size() || line.front() == '[' || line.find('=') != View::npos;
    if (another) return fmt::format("expected ] at the end of {}, found {}: close it", list, found());
    return fmt::format("expected a comma or ] in {}, found {}: write commas between items", list, found());
  }

  [[nodiscard]] std::string of_braces() const {
    if (says(said_, "dangling comma")) return "expected KEY = VALUE behind a comma, found }: leave the comma out";
    if (at_end())
      return fmt::format("expected }} on the line of its {{, found {}: what is longer is a table, under its [NAME]",
                         found());
    return fmt::format("expected KEY = VALUE, a comma or }}, found {}", found());
  }

  // What is none of TOML's values, and may have been meant as one.
  [[nodiscard]] std::string of_word() const {
    const View word = item();
    const std::string lower = lower_case(std::string(word)),
                      what = fmt::format("expected a value, found {}", shown(word));
    if (lower == "true" || lower == "yes" || lower == "on") return what + ": write true";
    if (lower == "false" || lower == "no" || lower == "off") return what + ": write false";
    if (lower == "none" || lower == "null" || lower == "nil") return what + ": a key that is left out has its default";
    if (word.starts_with('(')) return what + ": a list is between brackets, as in [1, 2]";
    if (word.starts_with('=')) return what + ": write = once";
    if (says(said_, "leading zeroes")) return what + ": a number does not begin with 0";
    if (says(said_, "representable")) return what + ": an integer is at most 9,223,372,036,854,775,807";
    if (word.starts_with('.') || word.ends_with('.'))
      return what + ": a number has a digit on either side of its point, as in 0.5 and 5.0";
    if (word.find_first_not_of("+-.0123456789_eE") == View::npos) return fmt::format("{} ({})", what, detail());
    return fmt::format("{}: a text is between quotes, {}", what, quoted(without_curls(word)));
  }

  // As word processors set quotes.
  static std::string without_curls(View word) {
    std::string plain(word);
    for (const View curl : {"\u201C", "\u201D", "\u2018", "\u2019"})
      for (std::size_t at = 0; (at = plain.find(curl)) != std::string::npos;) plain.erase(at, curl.size());
    return plain;
  }

  View text_;
  std::size_t at_;
  View said_;
  Open open_;
};

TomlFault not_utf8(View text) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return {1, 1, "expected UTF-8, found a text in UTF-16: save the file as UTF-8"};
  const std::size_t at = std::min(utf8_prefix(text), text.size() - 1);
  return {line_of(text, at), column_of(text, at),
          fmt::format("expected UTF-8, found the byte {:02x}: save the file as UTF-8",
                      static_cast<unsigned char>(text[at]))};
}

}  // namespace

TomlFault toml_fault(View text, std::size_t line, std::size_t column, View said) {
  if (!is_utf8(text) && says(said, "utf-8")) return not_utf8(text);
  const std::size_t at = says(said, "end-of-file") ? text.size() : place_of(text, line, column);
  return {line, column, Fault(text, at, said).words()};
}

}  // namespace rubato
