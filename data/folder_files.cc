#include "data/folder_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace rubato::data {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

Error unreadable(const fs::path& folder, const std::error_code& failed) {
  return {Cause::kData, fmt::format("{}: {}", folder.string(), failed.message())};
}

}  // namespace

Result<std::vector<fs::path>> files_below(const fs::path& folder, Links links) {
  const bool follow = links == Links::kFollow;
  const auto options = follow ? fs::directory_options::follow_directory_symlink : fs::directory_options::none;
  std::vector<fs::path> files;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(folder, options, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code other;  // of a link to nothing, which is no file
    const fs::file_status status = follow ? at->status(other) : at->symlink_status(other);
    if (is_hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (fs::is_regular_file(status)) {
      files.push_back(at->path());
    }
  }
  if (failed) return unreadable(folder, failed);
  std::ranges::sort(files, {}, [](const fs::path& path) -> const std::string& { return path.native(); });
  return files;
}

Result<std::vector<std::string>> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code other;
    if (fs::is_directory(at->path(), other) && !is_hidden(at->path())) names.push_back(at->path().filename().string());
  }
  if (failed) return unreadable(folder, failed);
  std::ranges::sort(names);
  return names;
}

}  // namespace rubato::data
