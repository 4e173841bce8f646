#include "data/picture_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/lower_case.h"
#include "base/nearest.h"
#include "data/folder_files.h"

namespace rubato::data {
namespace {

namespace fs = std::filesystem;

// Some of these are not read, and are listed so that somebody hears of it.
bool is_named_like_an_image(const fs::path& path) {
  const std::string ending = lower_case(path.extension().string());
  constexpr std::array kEndings = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"};
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

bool is_folder(const fs::path& path) {
  std::error_code failed;
  return fs::is_directory(path, failed);
}

// Of classes: train/, or what is to be split.
fs::path training_folder(const fs::path& path) { return is_folder(path / "train") ? path / "train" : path; }

// Those in `within` and below, by their names below `folder`.
Status list_images(const fs::path& folder, const fs::path& within, std::int32_t label,
                   std::vector<PictureEntry>& entries) {
  RUBATO_ASSIGN(const std::vector<fs::path> files, files_below(within, Links::kFollow));
  for (const fs::path& file : files)
    if (is_named_like_an_image(file)) entries.push_back({file.lexically_relative(folder).string(), label});
  return {};
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i > 0 ? ", " : "") + names[i];
  return names.size() > kShown ? text + ", ..." : text;
}

Result<std::vector<std::string>> classes_in(const fs::path& folder, const DataConfig& config) {
  RUBATO_ASSIGN(std::vector<std::string> classes, folders_in(folder));
  if (static_cast<std::int64_t>(classes.size()) == config.classes) return classes;
  return Error{Cause::kData, fmt::format("{}: has {} folders of classes ({}), and data.classes is {}", folder.string(),
                                         classes.size(), listed(classes), config.classes)};
}

Result<fs::path> folder_of(const fs::path& path, Split split) {
  if (split == Split::kTrain) return path / "train";
  if (split == Split::kTest) {
    if (is_folder(path / "test")) return path / "test";
    const auto validation = folder_of(path, Split::kValidation);
    return Error{
        Cause::kData,
        fmt::format("{}: has a folder train and none called test: {}", path.string(),
                    validation.ok() ? fmt::format("set evaluation.part = \"validation\" to evaluate on {}",
                                                  validation->filename().string())
                                    : "make one, or, to train without a test, set evaluation.enabled = false")};
  }
  for (const char* const name : {"val", "validation", "valid"})
    if (is_folder(path / name)) return path / name;
  return Error{Cause::kData, fmt::format("{}: has a folder train and none called val", path.string())};
}

// The images of each class that has a folder there, all of them if `whole`.
Result<PictureList> list_parts(const fs::path& folder, std::vector<std::string> classes, bool whole) {
  PictureList list;
  list.folder = folder.string();
  list.classes = std::move(classes);
  RUBATO_ASSIGN(const std::vector<std::string> found, folders_in(folder));
  for (const std::string& name : found) {
    const auto known = std::ranges::lower_bound(list.classes, name);
    if (known == list.classes.end() || *known != name)
      return Error{Cause::kData, fmt::format("{}: no class of the training part is called {}{}", list.folder, name,
                                             did_you_mean(nearest(name, list.classes)))};
    const std::size_t before = list.entries.size();
    const auto label = static_cast<std::int32_t>(known - list.classes.begin());
    RUBATO_TRY(list_images(folder, folder / name, label, list.entries));
    if (whole && list.entries.size() == before)
      return Error{Cause::kData, fmt::format("{}: has no image", (folder / name).string())};
  }
  if (list.entries.empty()) return Error{Cause::kData, fmt::format("{}: has no image", list.folder)};
  return list;
}

}  // namespace

Result<std::vector<std::string>> list_classes(const DataConfig& config) {
  return classes_in(training_folder(config.path), config);
}

bool has_picture_part(const DataConfig& config, Split split) {
  if (is_folder(fs::path(config.path) / "train")) return folder_of(config.path, split).ok();
  if (split == Split::kTrain || !is_folder(config.path)) return true;
  return (split == Split::kTest ? config.test_fraction : config.validation_fraction) > 0.0;
}

Result<PictureList> list_pictures(const DataConfig& config, Split split) {
  const fs::path path = config.path;
  const bool to_be_split = !is_folder(path / "train");
  fs::path folder = path;
  if (!to_be_split) {
    RUBATO_ASSIGN(folder, folder_of(path, split));
  }
  RUBATO_ASSIGN(std::vector<std::string> classes, list_classes(config));
  RUBATO_ASSIGN(PictureList list, list_parts(folder, std::move(classes), to_be_split || split == Split::kTrain));
  list.to_be_split = to_be_split;
  return list;
}

Result<PictureList> list_pictures_of(const std::string& path, std::vector<std::string> classes) {
  fs::path folder = path;
  if (is_folder(folder / "train")) {
    if (!folder_of(folder, Split::kTest).ok())
      return Error{Cause::kData, fmt::format("{}: has a folder train and none called test: name the folder whose "
                                             "folders are the classes, as {}",
                                             path, (folder / "train").string())};
    folder /= "test";
  }
  return list_parts(folder, std::move(classes), false);
}

Result<PictureList> list_pictures_alone(const std::string& path, std::vector<std::string> classes) {
  PictureList list;
  list.classes = std::move(classes);
  if (!is_folder(path)) {
    const fs::path file = path;
    list.folder = file.has_parent_path() ? file.parent_path().string() : ".";
    list.entries.push_back({file.filename().string(), 0});
    return list;
  }
  list.folder = path;
  RUBATO_TRY(list_images(path, path, 0, list.entries));
  if (list.entries.empty()) return Error{Cause::kData, fmt::format("{}: has no image", path)};
  return list;
}

}  // namespace rubato::data
