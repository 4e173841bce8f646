#include "base/mode.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <vector>

#include "base/lower_case.h"
#include "base/nearest.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

using Kind = Mode::Kind;

constexpr std::int64_t kMost = 1'000'000;
constexpr std::string_view kSynchronous = "backup:0";  // what local:H is without more words
constexpr std::int64_t kMostDynamic = 10'000;          // every bound up to it is tried (scheduler/dssp_policy.h)

std::optional<std::int64_t> number(std::string_view text, std::int64_t least, std::int64_t most = kMost) {
  const auto value = whole_number(text);
  return value && *value >= least && *value <= most ? value : std::nullopt;
}

Result<Mode> parse_dssp(std::string_view range) {
  const std::size_t dots = range.find("..");
  const auto low = number(range.substr(0, dots), 0, kMostDynamic);
  const auto high = dots == std::string_view::npos ? std::nullopt : number(range.substr(dots + 2), 0, kMostDynamic);
  if (low && high && *low <= *high) return Mode{.kind = Kind::kDssp, .bound = *high, .least = *low};
  return Error{Cause::kUsage,
               "the bounds of dssp must be two whole numbers, 0 to 10,000, the lower first, as in dssp:1..8"};
}

Result<Mode> parse_local(std::string_view text) {
  const std::size_t plus = text.find('+');
  const auto steps = number(text.substr(0, plus), 1);
  if (!steps)
    return Error{
        Cause::kUsage,
        "local needs the number of steps between two pushes, a whole number, 1 to 1,000,000, as in local:16 or "
        "local:16+ssp:2"};
  const std::string_view updates = plus == std::string_view::npos ? kSynchronous : text.substr(plus + 1);
  RUBATO_ASSIGN(Mode mode, parse_mode(std::string(updates)));
  if (mode.local() || mode.kind == Kind::kBsp)
    return Error{Cause::kUsage,
                 "behind local:H+ goes backup:B, softsync:N, ssp:S, dssp:LO..HI or asp; local:H alone waits for all"};
  mode.local_steps = *steps;
  return mode;
}

}  // namespace

Mode::Apply Mode::apply() const {
  switch (kind) {
    case Kind::kBsp:
      return Apply::kAggregate;
    case Kind::kBackup:
    case Kind::kSoftsync:
      return Apply::kCommitted;
    case Kind::kSsp:
    case Kind::kDssp:
    case Kind::kAsp:
      return Apply::kOnArrival;
  }
  return Apply::kOnArrival;
}

Result<Mode> parse_mode(const std::string& text) {
  const std::string_view view = text;
  const std::size_t colon = view.find(':');
  const std::string_view name = view.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? std::string_view() : view.substr(colon + 1);
  if (view == "bsp") return Mode{};
  if (view == "asp") return Mode{.kind = Kind::kAsp, .bound = Mode::kUnbounded};
  if (view == "ssp") return Error{Cause::kUsage, "ssp needs its bound, as in ssp:3"};
  if (name == "ssp") {
    if (const auto bound = number(rest, 0)) return Mode{.kind = Kind::kSsp, .bound = *bound};
    return Error{Cause::kUsage, "the bound of ssp must be a whole number, 0 to 1,000,000, as in ssp:3"};
  }
  if (name == "dssp") return parse_dssp(rest);
  if (name == "backup") {
    if (const auto backups = number(rest, 0)) return Mode{.kind = Kind::kBackup, .backups = *backups};
    return Error{Cause::kUsage,
                 "backup needs the number of workers that nobody waits for, a whole number below cluster.workers, as "
                 "in backup:1"};
  }
  if (name == "softsync") {
    if (const auto splits = number(rest, 1))
      return Mode{.kind = Kind::kSoftsync, .bound = Mode::kUnbounded, .splits = *splits};
    return Error{Cause::kUsage,
                 "softsync needs the number of updates from one push of every worker, 1 to cluster.workers, as in "
                 "softsync:2"};
  }
  if (name == "local") return parse_local(rest);
  static const std::vector<std::string> kNames = {"bsp", "backup", "softsync", "ssp", "dssp", "asp", "local"};
  return Error{Cause::kUsage,
               "must be bsp, backup:B, softsync:N, ssp:S, dssp:LO..HI, asp, local:H or local:H+MODE, where S is the "
               "staleness bound, as in ssp:3" +
                   did_you_mean(nearest(lower_case(std::string(name)), kNames))};
}

std::string mode_name(const Mode& mode) {
  if (mode.local()) {
    Mode updates = mode;
    updates.local_steps = 0;
    const std::string name = mode_name(updates);
    return fmt::format("local:{}{}", mode.local_steps, name == kSynchronous ? "" : "+" + name);
  }
  switch (mode.kind) {
    case Kind::kBsp:
      return "bsp";
    case Kind::kBackup:
      return fmt::format("backup:{}", mode.backups);
    case Kind::kSoftsync:
      return fmt::format("softsync:{}", mode.splits);
    case Kind::kSsp:
      return fmt::format("ssp:{}", mode.bound);
    case Kind::kDssp:
      return fmt::format("dssp:{}..{}", mode.least, mode.bound);
    case Kind::kAsp:
      return "asp";
  }
  return "unknown";
}

}  // namespace rubato
