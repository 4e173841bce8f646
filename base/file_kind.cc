#include "base/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace rubato {
namespace {

using namespace std::string_view_literals;

constexpr std::array kKinds = {kGzipFile,
                               kIdxFile,
                               kNumpyFile,
                               kZipFile,
                               kEmptyZipFile,
                               FileKind{"\x89PNG"sv, "a PNG image"},
                               FileKind{"\xFF\xD8\xFF"sv, "a JPEG image"},
                               FileKind{"\x89HDF"sv, "an HDF5 file"},
                               FileKind{"PAR1\x15"sv, "a Parquet table"},
                               FileKind{"SQLite format 3\0"sv, "an SQLite database"},
                               kPickle,
                               FileKind{"\x80\x04"sv, "a pickle"},
                               FileKind{"\x80\x05"sv, "a pickle"},
                               FileKind{"\xFF\xFE"sv, "a text in UTF-16"},
                               FileKind{"\xFE\xFF"sv, "a text in UTF-16"}};
static_assert(std::ranges::all_of(kKinds, [](const FileKind& k) { return k.signature.size() <= kFileKindBytes; }));

bool is_letter(char c) { return c >= ' ' && c <= '~'; }

// Of ASCII, as far as it is seen.
bool is_text(std::string_view begin) {
  return std::ranges::all_of(begin, [](char c) { return is_letter(c) || c == '\n' || c == '\r' || c == '\t'; });
}

}  // namespace

const FileKind* kind_of_file(std::string_view begin) {
  const auto* const found = std::ranges::find_if(kKinds, [&](const FileKind& kind) { return begins_as(begin, kind); });
  return found == kKinds.end() ? nullptr : found;
}

std::string file_of_bytes(std::string_view begin) {
  if (begin.empty()) return "an empty file";
  if (const FileKind* kind = kind_of_file(begin)) return std::string(kind->what);
  if (is_text(begin)) {
    const auto end = std::ranges::find_if_not(begin, is_letter);
    const std::string_view line = begin.substr(0, static_cast<std::size_t>(end - begin.begin()));
    return line.empty() ? "a text" : fmt::format("a text that begins with \"{}\"", line);
  }
  std::string bytes;
  for (const char byte : begin.substr(0, 4)) bytes += fmt::format(" {:02x}", static_cast<unsigned char>(byte));
  return "a file that begins with" + bytes;
}

}  // namespace rubato
