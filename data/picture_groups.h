// Which images belong together (data.group of a folder): those of one patient, say, in whose paths below their classes'
// folders an expression finds the same text. They stay in one part.
//
// Thread-safety: a pure function.
#pragma once

#include "base/job.h"
#include "base/result.h"
#include "data/picture_folder.h"

namespace rubato::data {

// Gives each entry its group: what the first parentheses of the expression (ECMAScript's) match in it. Errors: kData,
// naming an image in which it finds nothing.
[[nodiscard]] Status find_groups(PictureList& list, const DataConfig& config);

}  // namespace rubato::data
