#include "data/text_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "base/hash.h"
#include "data/folder_files.h"
#include "data/gzip_source.h"
#include "data/labelled_samples.h"
#include "data/row_split.h"

namespace rubato::data {
namespace {

using Bytes = std::vector<std::uint8_t>;
namespace fs = std::filesystem;

// From window to window.
std::int64_t stride_of(const DataConfig& config, Split split) {
  return split == Split::kTrain ? config.stride : config.window;
}

std::uint64_t windows_in(std::uint64_t bytes, std::uint64_t window, std::uint64_t stride) {
  return (bytes - 1 - window) / stride + 1;
}

class TextDataset : public Dataset {
 public:
  // Of so many bytes at least: window + 1.
  TextDataset(Bytes text, const DataConfig& config, std::size_t stride)
      : text_(std::move(text)), window_(static_cast<std::size_t>(config.window)), stride_(stride) {
    for (std::size_t byte = 0; byte < labels_.size(); ++byte) {
      const auto label = static_cast<std::int32_t>(byte);
      labels_[byte] = is_ignored(config, label) ? kNoLabel : label;
    }
    Sha256 hash;
    const std::string kind = fmt::format("text {} {}", window_, stride_);
    hash.update(std::as_bytes(std::span(kind)));
    hash.update(std::as_bytes(std::span(text_)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return windows_in(text_.size(), window_, stride_); }
  SampleShape shape() const override { return {static_cast<std::int64_t>(window_), 1, 1}; }
  std::int64_t target_floats() const override { return 0; }
  const std::string& fingerprint() const override { return fingerprint_; }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    for (const std::uint8_t byte : std::span(text_).subspan(id * stride_ + 1, window_)) labels.push_back(labels_[byte]);
  }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * window_);
    batch.labels.clear();
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    auto input = batch.inputs.begin();
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < size(), "sample {} of {}", id, size());
      const std::span<const std::uint8_t> seen = std::span(text_).subspan(id * stride_, window_ + 1);
      input = std::ranges::copy(seen.first(window_), input).out;
      append_labels(id, batch.labels);
    }
    return {};
  }

 private:
  const Bytes text_;
  const std::size_t window_, stride_;
  std::array<std::int32_t, 256> labels_{};  // of each byte
  std::string fingerprint_;
};

Result<std::vector<fs::path>> files_behind(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<fs::path>{path};  // what is not there is said by who reads it
  RUBATO_ASSIGN(std::vector<fs::path> files, files_below(path, Links::kPassOver));
  if (files.empty()) return Error{Cause::kData, fmt::format("{}: expected files of text, found none", path)};
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

Result<Bytes> read_part(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const std::vector<fs::path> files, files_behind(config.path));
  Bytes text;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0) text.push_back(0);
    RUBATO_TRY(append(files[i].string(), text));
  }
  const RowRange part = range_by_time(text.size(), config, split);
  if (part.count <= static_cast<std::uint64_t>(config.window)) {
    return Error{Cause::kData, fmt::format("{}: of its {} bytes the {} part has {}, and a window of data.window = {} "
                                           "and the byte behind it are not in it",
                                           config.path, text.size(), name_of(split), part.count, config.window)};
  }
  const auto from = text.begin() + static_cast<std::ptrdiff_t>(part.first);
  return Bytes(from, from + static_cast<std::ptrdiff_t>(part.count));
}

}  // namespace

Result<DatasetSize> size_of_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Bytes text, read_part(config, split));
  const auto window = static_cast<std::uint64_t>(config.window);
  const auto stride = static_cast<std::uint64_t>(stride_of(config, split));
  return DatasetSize{.samples = windows_in(text.size(), window, stride),
                     .shape = {config.window, 1, 1},
                     .target_floats = 0,
                     .bytes = text.size()};
}

Result<std::unique_ptr<Dataset>> open_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(Bytes text, read_part(config, split));
  return std::unique_ptr<Dataset>(
      new TextDataset(std::move(text), config, static_cast<std::size_t>(stride_of(config, split))));
}

}  // namespace rubato::data
