// Patterns of names, as fnmatch knows them: * ? [abc], and no escapes.
//
// Thread-safety: a pure function.
#pragma once

#include <fnmatch.h>

#include <string>

namespace rubato {

[[nodiscard]] inline bool fits(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

}  // namespace rubato
