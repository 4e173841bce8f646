#include "data/idx_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"

namespace rubato::data {
namespace {

// Takes its numbers by value: as members they might alias `out`, and the loop would not be a vector loop.
void normalize(std::span<const std::uint8_t> values, float scale, float shift, float* out) {
  for (std::size_t i = 0; i < values.size(); ++i) out[i] = static_cast<float>(values[i]) * scale + shift;
}

class IdxDataset : public Dataset {
 public:
  IdxDataset(SampleShape shape, IdxFile inputs, IdxFile labels, const DataConfig& config)
      : shape_(shape),
        scale_(static_cast<float>(1.0 / (255.0 * config.stddev))),
        shift_(static_cast<float>(-config.mean / config.stddev)),
        inputs_(std::move(inputs.values)),
        labels_(std::move(labels.values)) {
    Sha256 hash;
    const std::string kind = fmt::format("idx {} {}", extents_text(inputs.extents), config.classes);
    hash.update(std::as_bytes(std::span(kind)));
    hash.update(std::as_bytes(std::span(inputs_)));
    hash.update(std::as_bytes(std::span(labels_)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return labels_.size(); }
  SampleShape shape() const override { return shape_; }
  std::int64_t target_floats() const override { return 0; }
  const std::string& fingerprint() const override { return fingerprint_; }

  void gather(std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    const std::size_t width = static_cast<std::size_t>(shape_.floats());
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * width);
    batch.labels.resize(ids.size());
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    float* out = batch.inputs.data();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      RUBATO_CHECK(ids[i] < size(), "sample {} of {}", ids[i], size());
      normalize(std::span(inputs_).subspan(ids[i] * width, width), scale_, shift_, out);
      out += width;
      batch.labels[i] = labels_[ids[i]];
    }
  }

 private:
  const SampleShape shape_;
  const float scale_, shift_;
  std::vector<std::uint8_t> inputs_, labels_;
  std::string fingerprint_;
};

Result<SampleShape> shape_of(const std::string& path, const std::vector<std::int64_t>& extents) {
  switch (extents.size()) {
    case 2:
      return SampleShape{1, 1, extents[1]};
    case 3:
      return SampleShape{extents[1], extents[2], 1};
    case 4:
      return SampleShape{extents[1], extents[2], extents[3]};
    default:
      return Error{Cause::kData, fmt::format("{}: expected inputs, N x features or N x height x width, found one "
                                             "extent, {}: is this the file of labels?",
                                             path, extents[0])};
  }
}

Status check_labels(const IdxNames& paths, const IdxFile& inputs, const IdxFile& labels, std::int64_t classes) {
  if (labels.extents.size() != 1) {
    return Error{Cause::kData, fmt::format("{}: expected labels, one extent, found {}: is this the file of inputs?",
                                           paths.labels, extents_text(labels.extents))};
  }
  if (labels.extents[0] != inputs.extents[0]) {
    return Error{Cause::kData, fmt::format("{}: expected {} labels, as many as {} has inputs, found {}", paths.labels,
                                           inputs.extents[0], paths.inputs, labels.extents[0])};
  }
  const auto wrong = std::ranges::find_if(labels.values, [&](std::uint8_t label) { return label >= classes; });
  if (wrong != labels.values.end()) {
    return Error{Cause::kData,
                 fmt::format("{}: expected labels from 0 to {} (data.classes = {}), found {} for sample {}",
                             paths.labels, classes - 1, classes, *wrong, wrong - labels.values.begin())};
  }
  return {};
}

}  // namespace

Result<DatasetSize> size_of_idx_dataset(const std::string& inputs) {
  RUBATO_ASSIGN(const std::vector<std::int64_t> extents, read_idx_extents(inputs));
  DatasetSize size;
  RUBATO_ASSIGN(size.shape, shape_of(inputs, extents));
  size.samples = static_cast<std::uint64_t>(extents.front());
  size.bytes = size.samples * (static_cast<std::uint64_t>(size.shape.floats()) + 1);  // a byte each, and the label
  return size;
}

Result<std::unique_ptr<Dataset>> open_idx_dataset(const IdxNames& paths, const DataConfig& config) {
  RUBATO_ASSIGN(IdxFile inputs, read_idx(paths.inputs));
  RUBATO_ASSIGN(const SampleShape shape, shape_of(paths.inputs, inputs.extents));
  RUBATO_ASSIGN(IdxFile labels, read_idx(paths.labels));
  RUBATO_TRY(check_labels(paths, inputs, labels, config.classes));
  return std::unique_ptr<Dataset>(new IdxDataset(shape, std::move(inputs), std::move(labels), config));
}

}  // namespace rubato::data
