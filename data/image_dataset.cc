#include "data/image_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "base/log.h"
#include "data/fitted.h"
#include "data/idx_file.h"
#include "data/normalizer.h"

namespace rubato::data {
namespace {

class ImageDataset : public Dataset {
 public:
  ImageDataset(Images images, Normalizer normalizer, const std::string& kind, std::string file)
      : images_(std::move(images)), normalizer_(std::move(normalizer)), file_(std::move(file)) {
    const auto width = static_cast<std::size_t>(images_.shape.floats());
    Sha256 hash;
    hash.update(std::as_bytes(std::span(kind)));
    std::visit(
        [&](const auto& pixels) {
          samples_ = pixels.size() / width;
          hash.update(std::as_bytes(std::span(pixels)));
        },
        images_.pixels);
    hash.update(std::as_bytes(std::span(images_.labels)));
    hash.update(std::as_bytes(std::span(images_.targets)));
    hash.update(std::as_bytes(std::span(images_.lengths)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return samples_; }
  SampleShape shape() const override { return images_.shape; }
  std::int64_t target_floats() const override { return images_.target_floats; }
  bool has_lengths() const override { return !images_.lengths.empty(); }
  const std::string& fingerprint() const override { return fingerprint_; }
  TargetScale target_scale(std::size_t target) const override {
    return images_.fitted == nullptr ? TargetScale() : images_.fitted->target_scaling.of_column(target);
  }
  std::span<const std::string> class_names() const override {
    return images_.fitted == nullptr ? std::span<const std::string>() : images_.fitted->classes;
  }
  const Fitted* fitted() const override { return images_.fitted.get(); }
  std::string file() const override { return file_; }
  std::string sample_name(std::uint64_t id) const override {
    return images_.lines.empty() ? "" : fmt::format("{}:{}", images_.lines_of, images_.lines.at(id));
  }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    if (!images_.labels.empty()) labels.push_back(images_.labels.at(id));
  }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    const auto width = static_cast<std::size_t>(images_.shape.floats());
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * width);
    batch.labels.resize(images_.labels.empty() ? 0 : ids.size());
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < samples_, "sample {} of {}", id, samples_);
      add_targets(id, batch.targets);
    }
    for (std::size_t i = 0; i < batch.labels.size(); ++i) batch.labels[i] = images_.labels[ids[i]];
    std::visit(
        [&](const auto& pixels) {
          float* out = batch.inputs.data();
          for (std::size_t i = 0; i < ids.size(); ++i, out += width)
            normalizer_.run(std::span(pixels).subspan(ids[i] * width, width), out);
        },
        images_.pixels);
    add_lengths(ids, batch);
    return {};
  }

 private:
  void add_lengths(std::span<const std::uint64_t> ids, BatchBuffer& batch) const {
    batch.lengths.resize(images_.lengths.empty() ? 0 : ids.size());
    const auto width = static_cast<std::size_t>(images_.shape.floats());
    const std::size_t row = width / static_cast<std::size_t>(images_.shape.height);
    for (std::size_t i = 0; i < batch.lengths.size(); ++i) {
      batch.lengths[i] = images_.lengths[ids[i]];
      const std::span<float> sample = std::span(batch.inputs).subspan(i * width, width);
      std::ranges::fill(sample.subspan(static_cast<std::size_t>(batch.lengths[i]) * row), 0.0f);
    }
  }
  void add_targets(std::uint64_t id, std::vector<float>& targets) const {
    if (images_.targets.empty()) return;
    const auto width = static_cast<std::size_t>(images_.target_floats);
    const std::span<const float> of_sample = std::span(images_.targets).subspan(id * width, width);
    targets.insert(targets.end(), of_sample.begin(), of_sample.end());
  }

  const Images images_;
  const Normalizer normalizer_;
  const std::string file_;
  std::uint64_t samples_ = 0;
  std::string fingerprint_;
};

double greatest(const Pixels& pixels) {
  if (std::holds_alternative<std::vector<std::uint8_t>>(pixels)) return 255.0;
  return std::holds_alternative<std::vector<std::uint16_t>>(pixels) ? 65535.0 : 1.0;
}

// Floats are taken as they are: pictures whose bytes were made floats would be 255 times as large as others.
bool look_like_bytes(const Images& images) {
  const auto* const floats = std::get_if<std::vector<float>>(&images.pixels);
  if (floats == nullptr || images.shape.height == 1 || images.shape.width == 1) return false;
  float most = 0.0f;
  for (const float value : *floats) {
    if (!(value >= 0.0f && value <= 255.0f) || value != std::floor(value)) return false;
    most = std::max(most, value);
  }
  return most > 127.0f;
}

bool is_given(const DataConfig& config) {
  const DataConfig untouched;
  return config.mean != untouched.mean || config.stddev != untouched.stddev;
}

}  // namespace

Result<std::unique_ptr<Dataset>> make_image_dataset(Images images, const DataConfig& config, const std::string& kind,
                                                    const std::string& file) {
  RUBATO_ASSIGN(Normalizer normalizer, Normalizer::make(config, images.shape.channels, greatest(images.pixels), file));
  if (!is_given(config) && look_like_bytes(images))
    log::warn(
        "{}: pixels are floats, all of them whole numbers up to 255, and are inputs as they are; if that is not meant, "
        "say data.stddev = 255, or save them as uint8",
        file);
  return std::unique_ptr<Dataset>(new ImageDataset(std::move(images), std::move(normalizer), kind, file));
}

Result<SampleShape> image_shape(const std::string& file, const std::vector<std::int64_t>& extents) {
  switch (extents.size()) {
    case 2:
      return SampleShape{1, 1, extents[1]};
    case 3:
      return SampleShape{extents[1], extents[2], 1};
    case 4:
      if (extents[1] <= 4 && extents[2] > 4 && extents[3] > 4)
        log::warn(
            "{}: samples of {} x {} x {} are read as height x width x channels; if channels come first, as PyTorch has "
            "them, save N x height x width x channels",
            file, extents[1], extents[2], extents[3]);
      return SampleShape{extents[1], extents[2], extents[3]};
    case 1:
      return Error{Cause::kData, fmt::format("{}: expected inputs, N x features or N x height x width, found one "
                                             "extent, {}: is this the file of labels?",
                                             file, extents[0])};
    default:
      return Error{Cause::kData, fmt::format("{}: expected images, N x height x width or N x height x width x "
                                             "channels, found {}: volumes are not read",
                                             file, extents_text(extents))};
  }
}

}  // namespace rubato::data
