// Why a text is no TOML, for who writes a job: what was expected, what was found, and what to write. toml++ says where
// it stopped; what it says in terms of its grammar ("expected 'inf', saw 'id'") is kept only where nothing here knows
// better.
//
// Internal to base/, as is base/job_schema.h.
//
// Thread-safety: a plain value, and a pure function.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rubato {

struct TomlFault {
  std::size_t line = 0, column = 0;  // from 1; a column is a letter, of however many bytes
  std::string text;
};

// `line` and `column`: where toml++ stopped reading `text`, `said` its description of why.
[[nodiscard]] TomlFault toml_fault(std::string_view text, std::size_t line, std::size_t column, std::string_view said);

}  // namespace rubato
