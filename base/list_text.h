// Values that were meant as lists and are none: how to write them.
//
// Internal to base/, as is base/job_schema.h.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "base/job_schema.h"

namespace rubato {

// `: write [128, 64]` for "128,64", "128 64" or "(128; 64)" where `slot` is a list of numbers, and `: write ["a"]` for
// "a" where it is one of texts; nothing, where that is not sure.
[[nodiscard]] std::string list_instead(const JobSlot& slot, const std::string& text);
[[nodiscard]] std::string list_instead(const JobSlot& slot, std::int64_t number);

// What is wrong with path=text of a command line, whose text begins as a list and which TOML does not know as one: an
// open bracket, texts without quotes. Empty, where that is not sure, and where `slot` is no list.
[[nodiscard]] std::string broken_list_text(const JobSlot& slot, const std::string& path, const std::string& text);

}  // namespace rubato
