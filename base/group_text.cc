#include "base/group_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "base/nearest.h"
#include "base/real_number.h"

namespace rubato {
namespace {

struct NumberOption {
  std::string_view name;
  double GroupText::*value;
  double least, most;
};
constexpr std::array<NumberOption, 2> kNumbers{
    {{"rate", &GroupText::rate, 1e-30, 1e30}, {"decay", &GroupText::decay, 0.0, 1e30}}};

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Result<GroupText> run() {
    std::istringstream words(text_);
    words >> group_.pattern;
    if (group_.pattern.empty() || group_.pattern.find('=') != std::string::npos || is_option(group_.pattern))
      return wrong("a group begins with a pattern of parameters' names, as in \"fc.* rate=10\"{}",
                   group_.pattern.empty() ? "" : fmt::format(", found \"{}\"", group_.pattern));
    for (std::string word; words >> word;) RUBATO_TRY(read_option(word));
    if (given_.empty()) return wrong("nothing behind the pattern: say frozen, rate=FACTOR or decay=VALUE");
    if (group_.frozen && given_.size() > 1)
      return wrong("frozen and {} contradict each other: what is frozen has no rate and no decay",
                   given_.front() == "frozen" ? given_[1] : given_.front());
    return group_;
  }

 private:
  template <class... Arguments>
  Error wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kUsage,
            fmt::format("\"{}\": {}", text_, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  static bool is_option(const std::string& word) { return std::ranges::count(names(), word) > 0; }
  static const std::vector<std::string>& names() {
    static const std::vector<std::string> all{"frozen", "rate", "decay"};
    return all;
  }

  Status read_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (!is_option(name))
      return wrong("unknown word \"{}\"{}; a group may have {}", name, did_you_mean(nearest(name, names())),
                   fmt::join(names(), ", "));
    if (std::ranges::count(given_, name) > 0) return wrong("\"{}\" is there twice", name);
    given_.push_back(name);
    if (name == "frozen") {
      group_.frozen = true;
      return equals == std::string::npos ? Status() : Status(wrong("frozen has no value"));
    }
    const NumberOption& option = *std::ranges::find(kNumbers, name, &NumberOption::name);
    if (equals == std::string::npos) return wrong("{} has no value: write {}=...", name, name);
    const auto value = real_number(word.substr(equals + 1));
    if (!value || !(*value >= option.least && *value <= option.most))
      return wrong("{} must be {} to {}, found \"{}\"{}", name, option.least, option.most, word.substr(equals + 1),
                   name == "rate" && value && *value == 0.0 ? "; for no rate at all say frozen" : "");
    group_.*(option.value) = *value;
    return {};
  }

  const std::string& text_;
  std::vector<std::string> given_;
  GroupText group_;
};

}  // namespace

Result<GroupText> parse_group(const std::string& text) { return Reader(text).run(); }

}  // namespace rubato
