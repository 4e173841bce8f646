// What a zip archive is, for a message to whoever expected another kind of file: numpy, torch.save and others all write
// such, and only their members tell them apart.
//
// Thread-safety: pure functions; contents_of_zip reads a file.
#pragma once

#include <string>
#include <vector>

namespace rubato::data {

struct ZipContents {
  enum class Kind { kUnreadable, kNumpy, kTorch, kOther };
  Kind kind = Kind::kUnreadable;  // damaged, or cut off: the directory is at the end
  std::string names;              // of its members, of numpy's its arrays; the first of them, for people
};

[[nodiscard]] ZipContents contents_of_zip(const std::string& path);

// "a, b, c, ...", or `none`.
[[nodiscard]] std::string listed_names(const std::vector<std::string>& names, const std::string& none);

}  // namespace rubato::data
