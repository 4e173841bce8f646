// "conv2d" of "Conv2d": names as people type them, to be compared. Of ASCII.
//
// Thread-safety: a pure function.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace rubato {

[[nodiscard]] inline std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace rubato
