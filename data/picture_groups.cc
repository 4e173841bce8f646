#include "data/picture_groups.h"

#include <fmt/format.h>

#include <regex>

namespace rubato::data {

Status find_groups(PictureList& list, const DataConfig& config) {
  const std::regex expression(config.group);  // parse_job has tried it
  for (PictureEntry& entry : list.entries) {
    const std::string below = entry.name.substr(entry.name.find('/') + 1);  // of its class's folder
    std::smatch found;
    if (!std::regex_search(below, found, expression) || found[1].length() == 0)
      return Error{Cause::kData, fmt::format("{}: data.group = \"{}\" finds no group in \"{}\"", list.path(entry),
                                             config.group, below)};
    entry.group = found[1].str();
  }
  return {};
}

}  // namespace rubato::data
