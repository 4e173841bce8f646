// A file that each life of a process writes for itself: NAME.EXT; or, where a life before it has written that,
// NAME.2.EXT, and so on. Whoever reads them takes the longer names later.
//
// Thread-safety: pure, but for the file system.
#pragma once

#include <string>

#include "base/result.h"

namespace rubato {

struct LifeFile {
  std::string path;
  int descriptor = -1;  // the caller's, open for writing
};

// Makes DIR, if it is not there (but no folder above it), and a new file in it. Errors: kStorage, with the path and
// what the system said.
[[nodiscard]] Result<LifeFile> create_life_file(const std::string& dir, const std::string& name,
                                                const std::string& extension);

}  // namespace rubato
