#include "base/fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <sstream>
#include <vector>

#include "base/duration.h"
#include "base/nearest.h"

namespace rubato {
namespace {

// A sentence: a verb, so many members, `at` a time, and, of some, `for` a time.
struct Sentence {
  const char* verb;
  Fault::Kind kind;
  std::size_t members;
  bool may_end;
  const char* example;
};
constexpr std::array<Sentence, 6> kSentences{{
    {"kill", Fault::Kind::kKill, 1, false, "kill worker-1 at 3s"},
    {"crash", Fault::Kind::kCrash, 1, true, "crash server-0 at 2s for 0.5s"},
    {"return", Fault::Kind::kReturn, 1, false, "return worker-1 at 5s"},
    {"pause", Fault::Kind::kPause, 1, true, "pause worker-2 at 1s for 0.5s"},
    {"cut", Fault::Kind::kCut, 2, true, "cut worker-1 server-0 at 2s for 1s"},
    {"drain", Fault::Kind::kDrain, 0, false, "drain at 5s"},
}};

Error unknown_verb(const std::string& verb) {
  std::string examples;
  std::vector<std::string> verbs;
  for (const Sentence& sentence : kSentences) {
    examples += fmt::format("{}\"{}\"", examples.empty() ? "" : ", ", sentence.example);
    verbs.emplace_back(sentence.verb);
  }
  return {Cause::kUsage, fmt::format("must be like {}{}", examples, did_you_mean(nearest(verb, verbs)))};
}

// What stands behind the verb; nothing, if it is not the sentence.
std::optional<Fault> read(const Sentence& sentence, std::span<const std::string> words) {
  Fault fault{.kind = sentence.kind};
  if (words.size() < sentence.members + 2 || words[sentence.members] != "at") return std::nullopt;
  fault.member = sentence.members > 0 ? words[0] : "scheduler";
  if (sentence.members > 1) fault.other = words[1];
  const auto at = duration_of(words[sentence.members + 1]);
  if (!at) return std::nullopt;
  fault.at = *at;
  words = words.subspan(sentence.members + 2);
  if (words.empty()) return fault;
  const auto length = words.size() == 2 && words[0] == "for" && sentence.may_end ? duration_of(words[1]) : std::nullopt;
  if (!length) return std::nullopt;
  fault.end = fault.at + *length;
  return fault;
}

}  // namespace

Result<Fault> parse_fault(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  const std::string verb = words.empty() ? "" : words.front();
  const auto sentence =
      std::ranges::find(kSentences, verb, [](const Sentence& entry) { return std::string(entry.verb); });
  if (sentence == kSentences.end()) return unknown_verb(verb);
  const auto fault = read(*sentence, std::span<const std::string>(words).subspan(1));
  if (!fault)
    return Error{Cause::kUsage,
                 fmt::format("\"{}\" must be like \"{}\": times are like 3s, 250ms, 80us", text, sentence->example)};
  return *fault;
}

}  // namespace rubato
