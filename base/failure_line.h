// The last line of a command of scripts/rubato that fails, as its launcher writes them: `rubato: error: text`, on
// standard error and without what log lines begin with.
//
// Thread-safety: a pure function but for the line.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

namespace rubato {

inline void print_failure(std::string_view text) { fmt::print(stderr, "rubato: error: {}\n", text); }

}  // namespace rubato
