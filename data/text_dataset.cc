#include "data/text_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/hash.h"
#include "data/gzip_source.h"
#include "data/row_split.h"

namespace rubato::data {
namespace {

using Bytes = std::vector<std::uint8_t>;
namespace fs = std::filesystem;

class TextDataset : public Dataset {
 public:
  // Of so many bytes at least: window + 1.
  TextDataset(Bytes text, std::size_t window, std::size_t stride)
      : text_(std::move(text)), window_(window), stride_(stride) {
    Sha256 hash;
    const std::string kind = fmt::format("text {} {}", window_, stride_);
    hash.update(std::as_bytes(std::span(kind)));
    hash.update(std::as_bytes(std::span(text_)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return (text_.size() - 1 - window_) / stride_ + 1; }
  SampleShape shape() const override { return {static_cast<std::int64_t>(window_), 1, 1}; }
  std::int64_t target_floats() const override { return 0; }
  const std::string& fingerprint() const override { return fingerprint_; }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * window_);
    batch.labels.resize(ids.size() * window_);
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    auto input = batch.inputs.begin();
    auto label = batch.labels.begin();
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < size(), "sample {} of {}", id, size());
      const std::span<const std::uint8_t> seen = std::span(text_).subspan(id * stride_, window_ + 1);
      input = std::ranges::copy(seen.first(window_), input).out;
      label = std::ranges::copy(seen.last(window_), label).out;
    }
    return {};
  }

 private:
  const Bytes text_;
  const std::size_t window_, stride_;
  std::string fingerprint_;
};

Error unreadable(const std::string& path, const std::error_code& why) {
  return {Cause::kData, fmt::format("{}: cannot be read: {}", path, why.message())};
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

Result<std::vector<std::string>> files_behind(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector{path};  // what is not there is said by who reads it
  std::vector<std::string> files;
  fs::recursive_directory_iterator entry(path, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status(error);
    if (error) break;
    if (is_hidden(entry->path())) {
      entry.disable_recursion_pending();
    } else if (fs::is_regular_file(status)) {
      files.push_back(entry->path().string());
    }
  }
  if (error) return unreadable(path, error);
  if (files.empty()) return Error{Cause::kData, fmt::format("{}: expected files of text, found none", path)};
  std::ranges::sort(files);
  return files;
}

Status append(const std::string& file, Bytes& text) {
  constexpr std::size_t kPiece = 1 << 16;
  RUBATO_ASSIGN(const std::unique_ptr<ByteSource> source, open_file(file));
  for (;;) {
    const std::size_t before = text.size();
    text.resize(before + kPiece);
    RUBATO_ASSIGN(const std::size_t read, source->read(std::span(text).subspan(before)));
    text.resize(before + read);
    if (read < kPiece) return {};
  }
}

const char* name_of(Split split) {
  return split == Split::kTrain ? "training" : split == Split::kValidation ? "validation" : "test";
}

Result<Bytes> read_part(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const std::vector<std::string> files, files_behind(config.path));
  Bytes text;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0) text.push_back(0);
    RUBATO_TRY(append(files[i], text));
  }
  const std::uint64_t size = text.size(), test = part_size(size, config.test_fraction);
  const std::uint64_t validation = part_size(size, config.validation_fraction);
  const std::uint64_t train = size - std::min(size, test + validation);
  const std::uint64_t first = split == Split::kTrain ? 0 : split == Split::kValidation ? train : size - test;
  const std::uint64_t count = split == Split::kTrain ? train : split == Split::kValidation ? validation : test;
  if (count <= static_cast<std::uint64_t>(config.window)) {
    return Error{Cause::kData, fmt::format("{}: of its {} bytes the {} part has {}, and a window of data.window = {} "
                                           "and the byte behind it are not in it",
                                           config.path, size, name_of(split), std::min(count, size), config.window)};
  }
  const auto from = text.begin() + static_cast<std::ptrdiff_t>(first);
  return Bytes(from, from + static_cast<std::ptrdiff_t>(count));
}

}  // namespace

Result<DatasetSize> size_of_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const std::unique_ptr<Dataset> dataset, open_text_dataset(config, split));
  DatasetSize size{.samples = dataset->size(), .shape = dataset->shape()};
  const std::int64_t stride = split == Split::kTrain ? config.stride : config.window;
  size.bytes = size.samples * static_cast<std::uint64_t>(stride) + static_cast<std::uint64_t>(config.window);
  return size;
}

Result<std::unique_ptr<Dataset>> open_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(Bytes text, read_part(config, split));
  const std::int64_t stride = split == Split::kTrain ? config.stride : config.window;
  return std::unique_ptr<Dataset>(
      new TextDataset(std::move(text), static_cast<std::size_t>(config.window), static_cast<std::size_t>(stride)));
}

}  // namespace rubato::data
