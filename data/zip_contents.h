// What a zip archive is, for a message to whoever expected another kind of file: numpy, torch.save and others all write
// such, and only their members tell them apart.
//
// Thread-safety: pure functions; those that are given a path read a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/zip_file.h"

namespace rubato::data {

struct ZipContents {
  enum class Kind { kUnreadable, kNumpy, kTorch, kOther };
  Kind kind = Kind::kUnreadable;  // damaged, or cut off: the directory is at the end
  std::string names;              // of its members, of numpy's its arrays; the first of them, for people

  // "a numpy archive of a, b", as it stands behind "found".
  [[nodiscard]] std::string text() const;
};

[[nodiscard]] ZipContents contents_of_zip(const std::string& path);
[[nodiscard]] ZipContents contents_of_zip(const ZipFile& zip);

// What a file is that begins so, and where it is a zip archive what is in it: "a JPEG image". `begin` as for
// file_of_bytes.
[[nodiscard]] std::string file_found(const std::string& path, std::string_view begin);

// "a, b, c, ...", or `none`.
[[nodiscard]] std::string listed_names(const std::vector<std::string>& names, const std::string& none);

}  // namespace rubato::data
