// JSON as text, whatever is in it: names of files and what others say of themselves may be no UTF-8, and are shown with
// U+FFFD in those places. nlohmann's own dump() throws there.
//
// Thread-safety: a pure function.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace rubato::scheduler {

// On one line, or, of things in things, `indent` further in.
template <typename Json>
[[nodiscard]] std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace rubato::scheduler
