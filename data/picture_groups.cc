#include "data/picture_groups.h"

#include <fmt/format.h>

namespace rubato::data {

Result<std::string> PictureGroups::of(const PictureList& list, const PictureEntry& entry) const {
  const std::string below = entry.name.substr(entry.name.find('/') + 1);  // of its class's folder
  std::smatch found;
  if (std::regex_search(below, found, expression_) && found[1].length() > 0) return found[1].str();
  return Error{
      Cause::kData,
      fmt::format("{}: data.group = \"{}\" finds no group in \"{}\", and the image takes part in a split: write "
                  "an expression whose parentheses match in every path below a class's folder, or rename the "
                  "image, or take it away",
                  list.path(entry), text_, below)};
}

}  // namespace rubato::data
