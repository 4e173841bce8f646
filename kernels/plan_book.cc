#include "kernels/plan_book.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace rubato::kernels {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;

Result<PlanEntry> parse_entry(const Json& json) {
  const auto wrong = [](const char* what) { return Error{Cause::kUsage, what}; };
  const auto text = [&](const Json& of, const char* key) -> std::string {
    const auto found = of.find(key);
    return found != of.end() && found->is_string() ? found->get<std::string>() : "";
  };
  if (!json.is_object()) return wrong("is no table");
  PlanEntry entry{.operation = text(json, "operation"), .call = text(json, "call"), .ways = {}};
  if (entry.operation.empty() || entry.call.empty()) return wrong("has no \"operation\" and \"call\"");
  const auto ways = json.find("ways");
  if (ways == json.end() || !ways->is_array() || ways->empty()) return wrong("has no \"ways\"");
  for (const Json& way : *ways) {
    const std::string name = way.is_object() ? text(way, "way") : "";
    if (name.empty()) return wrong("has a way without a \"way\"");
    const auto ms = way.find("ms");
    entry.ways.push_back({name, ms != way.end() && ms->is_number() ? ms->get<double>() : std::nan("")});
  }
  return entry;
}

}  // namespace

Result<PlanBook> PlanBook::parse(std::string_view text, const std::string& origin) {
  const auto wrong = [&](const std::string& what) {
    return Error{Cause::kUsage, fmt::format("{} is no plan: {}; a job with worker.plan = \"measure\" writes one, its "
                                            "run's plan.json",
                                            origin, what)};
  };
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return wrong("it is no JSON table");
  if (json.value("format", Json()) != kFormat) return wrong(fmt::format("it has no \"format\": {}", kFormat));
  const auto choices = json.find("choices");
  if (choices == json.end() || !choices->is_array()) return wrong("it has no list of \"choices\"");
  const auto device = json.find("device");
  PlanBook book(device != json.end() && device->is_string() ? device->get<std::string>() : "");
  for (const Json& choice : *choices) {
    Result<PlanEntry> entry = parse_entry(choice);
    if (!entry.ok()) return wrong(fmt::format("choice {} {}", book.size() + 1, entry.error().message));
    if (book.way_of(entry->operation, entry->call) != nullptr)
      return wrong(fmt::format("choice {} is of an operation and call that had one", book.size() + 1));
    book.add(std::move(*entry));
  }
  return book;
}

std::string PlanBook::text() const {
  Json json = {{"format", kFormat}, {"device", device_}, {"choices", Json::array()}};
  for (const PlanEntry& entry : entries_) {
    Json ways = Json::array();
    for (const TimedWay& way : entry.ways) {
      // A microsecond is finer than what is told apart.
      ways.push_back({{"way", way.way}, {"ms", std::isfinite(way.ms) ? Json(std::round(way.ms * 1e3) / 1e3) : Json()}});
    }
    json["choices"].push_back({{"operation", entry.operation}, {"call", entry.call}, {"ways", std::move(ways)}});
  }
  return json.dump(1) + "\n";
}

const std::string* PlanBook::way_of(const std::string& operation, const std::string& call) const {
  const auto found = places_.find({operation, call});
  return found == places_.end() ? nullptr : &entries_[found->second].ways.front().way;
}

void PlanBook::add(PlanEntry entry) {
  const auto [place, is_new] = places_.try_emplace({entry.operation, entry.call}, entries_.size());
  if (is_new)
    entries_.push_back(std::move(entry));
  else
    entries_[place->second] = std::move(entry);
}

}  // namespace rubato::kernels
