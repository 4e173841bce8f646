// Which images belong together (data.group of a folder): those of one patient, say, in whose paths below their classes'
// folders an expression finds the same text. They stay on one side of every split.
//
// Only who splits asks: an image that is left out, or in a part that stays as it is, needs no group.
//
// Thread-safety: immutable.
#pragma once

#include <regex>
#include <string>

#include "base/result.h"
#include "data/picture_folder.h"

namespace rubato::data {

class PictureGroups {
 public:
  // ECMAScript's, with parentheses; parse_job has tried it.
  explicit PictureGroups(const std::string& expression) : text_(expression), expression_(expression) {}

  // What the first parentheses match in the path of this image of the list. Errors: kData, where they match nothing.
  [[nodiscard]] Result<std::string> of(const PictureList& list, const PictureEntry& entry) const;

 private:
  std::string text_;
  std::regex expression_;
};

}  // namespace rubato::data
