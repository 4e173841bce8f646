#include "data/idx_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/image_dataset.h"
#include "data/labelled_samples.h"

namespace rubato::data {
namespace {

Status check_labels(const IdxNames& paths, const IdxFile& inputs, const IdxFile& labels, const DataConfig& config) {
  if (labels.extents.size() != 1) {
    return Error{Cause::kData, fmt::format("{}: expected labels, one extent, found {}: is this the file of inputs?",
                                           paths.labels, extents_text(labels.extents))};
  }
  if (labels.extents[0] != inputs.extents[0]) {
    return Error{Cause::kData, fmt::format("{}: expected {} labels, as many as {} has inputs, found {}", paths.labels,
                                           inputs.extents[0], paths.inputs, labels.extents[0])};
  }
  const auto wrong = std::ranges::find_if(
      labels.values, [&](std::uint8_t label) { return label >= config.classes && !is_ignored(config, label); });
  if (wrong != labels.values.end()) {
    return Error{Cause::kData,
                 fmt::format("{}: expected labels from 0 to {} (data.classes = {}), found {} for sample {}",
                             paths.labels, config.classes - 1, config.classes, *wrong, wrong - labels.values.begin())};
  }
  return {};
}

}  // namespace

Result<DatasetSize> size_of_idx_dataset(const std::string& inputs) {
  RUBATO_ASSIGN(const std::vector<std::int64_t> extents, read_idx_extents(inputs));
  DatasetSize size;
  RUBATO_ASSIGN(size.shape, image_shape(inputs, extents));
  size.samples = static_cast<std::uint64_t>(extents.front());
  size.bytes = size.samples * (static_cast<std::uint64_t>(size.shape.floats()) + sizeof(std::int32_t));
  return size;
}

Result<std::unique_ptr<Dataset>> open_idx_dataset(const IdxNames& paths, const DataConfig& config) {
  RUBATO_ASSIGN(IdxFile inputs, read_idx(paths.inputs));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(paths.inputs, inputs.extents));
  RUBATO_ASSIGN(const IdxFile labels, read_idx(paths.labels));
  RUBATO_TRY(check_labels(paths, inputs, labels, config));
  images.pixels = std::move(inputs.values);
  for (const std::uint8_t label : labels.values)
    images.labels.push_back(is_ignored(config, label) ? kNoLabel : std::int32_t{label});
  return make_image_dataset(std::move(images), config,
                            fmt::format("idx {} {}", extents_text(inputs.extents), config.classes), paths.inputs);
}

Result<std::unique_ptr<Dataset>> open_idx_inputs(const Job& job, const std::string& path) {
  RUBATO_ASSIGN(IdxFile inputs, read_idx(path));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(path, inputs.extents));
  images.labels.assign(static_cast<std::size_t>(inputs.extents[0]), 0);
  images.pixels = std::move(inputs.values);
  return make_image_dataset(std::move(images), job.data, "idx " + extents_text(inputs.extents), path);
}

}  // namespace rubato::data
