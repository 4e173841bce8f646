#include "base/rule_change.h"

#include <fmt/format.h>

#include <array>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "base/nearest.h"
#include "base/real_number.h"

namespace rubato {
namespace {

constexpr const char* kExample = "mode=ssp:8 rate=0.01";

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

Error unknown_word(const std::string& word, const std::string& key) {
  static constexpr std::array kKeys{"mode", "rate"};
  const std::vector<std::string> keys(kKeys.begin(), kKeys.end());
  const std::string hint =
      key == "bound" ? "; the bound is part of the mode, as in mode=ssp:8" : did_you_mean(nearest(key, keys));
  return {Cause::kUsage, fmt::format("\"{}\" is neither a mode nor a rate, as in {}{}", word, kExample, hint)};
}

Result<RuleChange> read(std::span<const std::string> words) {
  RuleChange change;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if ((key != "mode" && key != "rate") || equals == std::string::npos) return unknown_word(word, key);
    if (key == "mode" ? change.mode.has_value() : change.rate.has_value())
      return Error{Cause::kUsage, fmt::format("{} is given twice", key)};
    if (key == "mode") {
      const Result<Mode> mode = parse_mode(value);
      if (!mode.ok()) return mode.error().in(fmt::format("mode \"{}\"", value));
      change.mode = *mode;
    } else {
      const auto rate = real_number(value);
      if (!rate || *rate <= 0.0)
        return Error{Cause::kUsage, fmt::format("rate \"{}\": must be a number above 0, as in rate=0.01", value)};
      change.rate = rate;
    }
  }
  if (!change.mode && !change.rate)
    return Error{Cause::kUsage, fmt::format("nothing to set: give a mode, a rate, or both, as in {}", kExample)};
  return change;
}

const char* family_text(Mode::Apply apply) {
  switch (apply) {
    case Mode::Apply::kAggregate:
      return "one update a clock, of batches that all workers share";
    case Mode::Apply::kCommitted:
      return "updates of several pushes";
    case Mode::Apply::kOnArrival:
      return "an update of each push";
  }
  return "";
}

}  // namespace

Result<RuleChange> parse_rule_change(const std::string& text) { return read(words_of(text)); }

Result<TimedRuleChange> parse_timed_rule_change(const std::string& text) {
  const std::vector<std::string> words = words_of(text);
  const auto at = words.size() < 4 || words.front() != "set" || words[words.size() - 2] != "at"
                      ? std::nullopt
                      : duration_of(words.back());
  if (!at)
    return Error{Cause::kUsage,
                 fmt::format("\"{}\" must be like \"set {} at 3s\": times are like 3s, 250ms, 80us", text, kExample)};
  RUBATO_ASSIGN(RuleChange change, read(std::span(words).subspan(1, words.size() - 3)));
  return TimedRuleChange{change, *at};
}

Status check_mode_change(const Mode& from, const Mode& to) {
  // Shards and workers are made for gradients or for deltas, and clocks for so many samples.
  if (from.local_steps != to.local_steps)
    return Error{Cause::kRefused,
                 fmt::format("a job in {} cannot go on in {}: local steps stay as many as they were at "
                             "its start; start a new job with mode {} instead",
                             mode_name(from), mode_name(to), mode_name(to))};
  if (from == to || (from.apply() == Mode::Apply::kOnArrival && to.apply() == Mode::Apply::kOnArrival)) return {};
  return Error{
      Cause::kRefused,
      fmt::format("a job in {} ({}) cannot go on in {} ({}): ssp, dssp and asp change into each other, and the "
                  "rate changes in every mode; start a new job with mode {} instead",
                  mode_name(from), family_text(from.apply()), mode_name(to), family_text(to.apply()), mode_name(to))};
}

std::string rules_text(const Mode& mode, double rate) { return fmt::format("{} at rate {:g}", mode_name(mode), rate); }

}  // namespace rubato
