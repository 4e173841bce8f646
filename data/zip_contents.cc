#include "data/zip_contents.h"

#include <algorithm>

#include "base/file_kind.h"
#include "data/text_lines.h"

namespace rubato::data {
namespace {

constexpr std::string_view kArrayEnding = ".npy";

bool is_array(const std::string& name) { return name.ends_with(kArrayEnding); }

// As they come in messages: without what only a terminal would make something of.
std::string plain(const std::string& name) {
  const std::string quoted = shown(name);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

std::string listed_names(const std::vector<std::string>& names, const std::string& none) {
  constexpr std::size_t kShown = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i)
    text += (i > 0 ? ", " : "") + plain(is_array(names[i]) ? names[i].substr(0, names[i].size() - 4) : names[i]);
  if (names.size() > kShown) text += ", ...";
  return text.empty() ? none : text;
}

std::string ZipContents::text() const {
  switch (kind) {
    case Kind::kTorch:
      return std::string(kTorchPickle);
    case Kind::kNumpy:
      return "a numpy archive of " + names;
    case Kind::kOther:
      return "a zip archive of " + names;
    case Kind::kUnreadable:
      break;
  }
  return "a zip archive that is damaged or cut off";
}

ZipContents contents_of_zip(const std::string& path) {
  const Result<ZipFile> zip = ZipFile::open(path);
  return zip.ok() ? contents_of_zip(*zip) : ZipContents();
}

ZipContents contents_of_zip(const ZipFile& zip) {
  ZipContents contents;
  std::vector<std::string> names;
  for (const ZipFile::Member& member : zip.members()) names.push_back(member.name);
  contents.names = listed_names(names, "nothing");
  contents.kind = std::ranges::any_of(names, is_pickle_of_torch)           ? ZipContents::Kind::kTorch
                  : !names.empty() && std::ranges::all_of(names, is_array) ? ZipContents::Kind::kNumpy
                                                                           : ZipContents::Kind::kOther;
  return contents;
}

std::string file_found(const std::string& path, std::string_view begin) {
  return begins_as_zip(begin) ? contents_of_zip(path).text() : file_of_bytes(begin);
}

}  // namespace rubato::data
