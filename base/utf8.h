// Which bytes are UTF-8 (RFC 3629, section 4): none that are longer than they must be, no halves of UTF-16's pairs.
//
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace rubato {

// How many bytes of the letter that `text` begins with; 0 where that is none, or cut off.
[[nodiscard]] constexpr std::size_t utf8_letter_bytes(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (text.empty()) return 0;
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  const bool too_long = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool beyond = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return too_long || beyond ? 0 : length;
}

// The length of the text up to the first byte that is not.
[[nodiscard]] constexpr std::size_t utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (const std::size_t bytes = utf8_letter_bytes(text.substr(at))) at += bytes;
  return at;
}

[[nodiscard]] constexpr bool is_utf8(std::string_view text) { return utf8_prefix(text) == text.size(); }

}  // namespace rubato
