#include "data/cifar_dataset.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "data/gzip_source.h"
#include "data/image_dataset.h"
#include "data/labelled_samples.h"

namespace rubato::data {
namespace {

constexpr std::size_t kSide = 32, kChannels = 3, kPlane = kSide * kSide, kPixels = kPlane * kChannels;

struct Layout {
  std::vector<std::string> files;
  std::size_t label_bytes = 1, label_at = 0;
  std::int64_t classes = 10;
  [[nodiscard]] std::size_t record() const { return label_bytes + kPixels; }
};

Result<Layout> find_files(const DataConfig& config, Split split) {
  const std::filesystem::path folder = config.path;
  const auto there = [&](const std::string& name) {
    std::error_code failed;
    return std::filesystem::exists(folder / name, failed);
  };
  Layout layout;
  const bool train = split == Split::kTrain;
  if (there("train.bin") || there("test.bin")) {
    const bool coarse = !config.target.empty() && config.target.front() == "coarse";
    return Layout{.files = {folder / (train ? "train.bin" : "test.bin")},
                  .label_bytes = 2,
                  .label_at = coarse ? 0u : 1u,
                  .classes = coarse ? 20 : 100};
  }
  if (!train) {
    layout.files = {folder / "test_batch.bin"};
    return layout;
  }
  for (int number = 1; there(fmt::format("data_batch_{}.bin", number)); ++number)
    layout.files.push_back(folder / fmt::format("data_batch_{}.bin", number));
  if (layout.files.empty())
    return Error{Cause::kData, fmt::format("{}: expected a folder of CIFAR's, with data_batch_1.bin or train.bin; "
                                           "found neither",
                                           config.path)};
  return layout;
}

Status check_classes(const DataConfig& config, const Layout& layout) {
  if (!config.target.empty() && layout.label_bytes == 1)
    return Error{Cause::kData, fmt::format("{}: data.target = \"{}\" is for CIFAR-100, and this is CIFAR-10",
                                           config.path, config.target.front())};
  if (config.classes == layout.classes) return {};
  return Error{Cause::kData, fmt::format("{}: has labels of {} classes, and data.classes is {}", config.path,
                                         layout.classes, config.classes)};
}

class RecordReader {
 public:
  RecordReader(const DataConfig& config, const Layout& layout, Images& images, std::vector<std::uint8_t>& pixels)
      : config_(config), layout_(layout), images_(images), pixels_(pixels), record_(layout.record()) {}

  Status read_file(const std::string& path) {
    RUBATO_ASSIGN(const std::unique_ptr<ByteSource> source, open_file(path));
    for (std::uint64_t number = 0;; ++number) {
      RUBATO_ASSIGN(const std::size_t got, source->read(record_));
      if (got == 0 && number == 0) return source->error("there is nothing in it");
      if (got == 0) return {};
      if (got < record_.size())
        return source->error(
            fmt::format("cut off: expected {} bytes of sample {}, found {}", record_.size(), number, got));
      RUBATO_TRY(take_record(*source, number));
    }
  }

 private:
  Status take_record(const ByteSource& source, std::uint64_t number) {
    const std::uint8_t label = record_[layout_.label_at];
    const bool ignored = is_ignored(config_, label);
    if (label >= layout_.classes && !ignored)
      return source.error(
          fmt::format("expected labels from 0 to {}, found {} for sample {}", layout_.classes - 1, label, number));
    images_.labels.push_back(ignored ? kNoLabel : std::int32_t{label});
    const std::uint8_t* const planes = record_.data() + layout_.label_bytes;
    for (std::size_t pixel = 0; pixel < kPlane; ++pixel)
      for (std::size_t channel = 0; channel < kChannels; ++channel) pixels_.push_back(planes[channel * kPlane + pixel]);
    return {};
  }

  const DataConfig& config_;
  const Layout& layout_;
  Images& images_;
  std::vector<std::uint8_t>& pixels_;
  std::vector<std::uint8_t> record_;
};

constexpr SampleShape kShape{kSide, kSide, kChannels};

}  // namespace

Result<DatasetSize> size_of_cifar_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Layout layout, find_files(config, split));
  RUBATO_TRY(check_classes(config, layout));
  DatasetSize size;
  size.shape = kShape;
  for (const std::string& file : layout.files) {
    std::error_code failed;
    const std::uint64_t bytes = std::filesystem::file_size(file, failed);
    if (failed) return Error{Cause::kData, fmt::format("{}: {}", file, failed.message())};
    size.samples += bytes / layout.record();
  }
  size.bytes = size.samples * (kPixels + sizeof(std::int32_t));
  return size;
}

Result<std::unique_ptr<Dataset>> open_cifar_dataset(const DataConfig& config, Split split) {
  RUBATO_ASSIGN(const Layout layout, find_files(config, split));
  RUBATO_TRY(check_classes(config, layout));
  RUBATO_ASSIGN(const DatasetSize size, size_of_cifar_dataset(config, split));
  Images images;
  images.shape = kShape;
  std::vector<std::uint8_t> pixels;
  pixels.reserve(size.samples * kPixels);
  RecordReader reader(config, layout, images, pixels);
  for (const std::string& file : layout.files) RUBATO_TRY(reader.read_file(file));
  images.pixels = std::move(pixels);
  return make_image_dataset(std::move(images), config, fmt::format("cifar {}", layout.classes), config.path);
}

}  // namespace rubato::data
