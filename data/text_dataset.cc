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

// Of a text, with the byte behind its last window: so many bytes at least as data.window + 1.
struct Stretch {
  Bytes bytes;
  std::string path;
  std::uint64_t first = 0;  // of the text's bytes
};

class TextDataset : public Dataset {
 public:
  TextDataset(Stretch stretch, const DataConfig& config, std::size_t stride, std::uint64_t windows)
      : text_(std::move(stretch.bytes)),
        path_(std::move(stretch.path)),
        offset_(stretch.first),
        window_(static_cast<std::size_t>(config.window)),
        stride_(stride),
        windows_(windows) {
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

  std::uint64_t size() const override { return windows_; }
  SampleShape shape() const override { return {static_cast<std::int64_t>(window_), 1, 1}; }
  std::int64_t target_floats() const override { return 0; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::string file() const override { return path_; }
  std::string sample_name(std::uint64_t id) const override {
    const std::uint64_t first = offset_ + begin_of(id);
    return fmt::format("{} bytes {}-{}", path_, first, first + window_ - 1);
  }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    for (const std::uint8_t byte : std::span(text_).subspan(begin_of(id) + 1, window_)) labels.push_back(labels_[byte]);
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
      const std::span<const std::uint8_t> seen = std::span(text_).subspan(begin_of(id), window_ + 1);
      input = std::ranges::copy(seen.first(window_), input).out;
      append_labels(id, batch.labels);
    }
    return {};
  }

 private:
  // The last window may be moved back, to end where the text does.
  [[nodiscard]] std::size_t begin_of(std::uint64_t id) const {
    return std::min(id * stride_, text_.size() - 1 - window_);
  }

  const Bytes text_;
  const std::string path_;
  const std::uint64_t offset_;
  const std::size_t window_, stride_;
  const std::uint64_t windows_;
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

Result<Bytes> read_text(const std::string& path) {
  RUBATO_ASSIGN(const std::vector<fs::path> files, files_behind(path));
  Bytes text;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0) text.push_back(0);
    RUBATO_TRY(append(files[i].string(), text));
  }
  return text;
}

Result<Stretch> read_part(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Bytes text, read_text(config.path));
  const RowRange part = range_by_time(text.size(), config, split);
  if (part.count <= static_cast<std::uint64_t>(config.window)) {
    return Error{Cause::kData, fmt::format("{}: of its {} bytes the {} part has {}, and a window of data.window = {} "
                                           "and the byte behind it are not in it",
                                           config.path, text.size(), name_of(split), part.count, config.window)};
  }
  const auto from = text.begin() + static_cast<std::ptrdiff_t>(part.first);
  return Stretch{Bytes(from, from + static_cast<std::ptrdiff_t>(part.count)), config.path, part.first};
}

}  // namespace

Result<DatasetSize> size_of_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Stretch text, read_part(config, split));
  const auto window = static_cast<std::uint64_t>(config.window);
  const auto stride = static_cast<std::uint64_t>(stride_of(config, split));
  return DatasetSize{.samples = windows_in(text.bytes.size(), window, stride),
                     .shape = {config.window, 1, 1},
                     .target_floats = 0,
                     .bytes = text.bytes.size()};
}

Result<std::unique_ptr<Dataset>> open_text_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(Stretch text, read_part(config, split));
  const auto stride = static_cast<std::size_t>(stride_of(config, split));
  const std::uint64_t windows = windows_in(text.bytes.size(), static_cast<std::uint64_t>(config.window), stride);
  return std::unique_ptr<Dataset>(new TextDataset(std::move(text), config, stride, windows));
}

Result<std::unique_ptr<Dataset>> open_text_file(const DataConfig& config, const std::string& path, Answers answers) {
  RUBATO_ASSIGN(Bytes text, read_text(path));
  const bool read = answers == Answers::kRead;
  const auto window = static_cast<std::size_t>(config.window);
  const std::size_t expected = read ? window + 1 : window;
  if (text.size() < expected)
    return Error{Cause::kData, fmt::format("{}: expected {} bytes at least, a window of data.window = {}{}, found {}",
                                           path, expected, window, read ? " and the byte behind it" : "", text.size())};
  if (!read) text.push_back(0);
  const std::uint64_t windows = windows_in(text.size() + (read ? 0 : window - 1), window, window);
  return std::unique_ptr<Dataset>(new TextDataset({std::move(text), path, 0}, config, window, windows));
}

}  // namespace rubato::data
