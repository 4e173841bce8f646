#include "data/npy_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/gzip_source.h"
#include "data/idx_file.h"
#include "data/image_dataset.h"
#include "data/labelled_samples.h"
#include "data/npy_file.h"
#include "data/zip_file.h"

namespace rubato::data {
namespace {

struct Sources {
  std::unique_ptr<ByteSource> inputs, labels;
};

Result<Sources> open_sources(const Job& job, Split split) {
  const DataConfig& data = job.data;
  Sources sources;
  if (data.kind == "npy") {
    const bool train = split == Split::kTrain;
    RUBATO_ASSIGN(sources.inputs, open_file(train ? data.train_inputs : data.test_inputs));
    RUBATO_ASSIGN(sources.labels, open_file(train ? data.train_labels : data.test_labels));
    return sources;
  }
  const std::string part = split == Split::kTrain ? "train" : split == Split::kValidation ? "val" : "test";
  RUBATO_ASSIGN(const ZipFile zip, ZipFile::open(data.path));
  RUBATO_ASSIGN(sources.inputs, zip.open_member(part + "_images.npy"));
  RUBATO_ASSIGN(sources.labels, zip.open_member(part + "_labels.npy"));
  return sources;
}

bool is_float(const NpyHeader& header) { return header.kind == 'f'; }

Result<Pixels> read_pixels(ByteSource& source, const NpyHeader& header) {
  if (is_float(header)) {
    RUBATO_ASSIGN(std::vector<float> pixels, read_npy_floats(source, header));
    return Pixels(std::move(pixels));
  }
  if (header.kind == 'u' && header.item == 1) {
    RUBATO_ASSIGN(std::vector<std::uint8_t> pixels, read_npy_bytes(source, header));
    return Pixels(std::move(pixels));
  }
  if (header.kind == 'u' && header.item == 2) {
    RUBATO_ASSIGN(std::vector<std::uint16_t> pixels, read_npy_words(source, header));
    return Pixels(std::move(pixels));
  }
  return source.error(fmt::format("expected images of uint8, uint16, float32 or float64, found {}", header.text()));
}

Status read_classes(ByteSource& source, const NpyHeader& header, const DataConfig& data, Images& images) {
  if (header.extents.size() > 2 || (header.extents.size() == 2 && header.extents[1] != 1))
    return source.error(
        fmt::format("expected labels, N or N x 1, found {}: several labels of one sample are not read", header.text()));
  RUBATO_ASSIGN(const std::vector<std::int64_t> labels, read_npy_integers(source, header));
  images.labels.reserve(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (is_ignored(data, labels[i])) {
      images.labels.push_back(kNoLabel);
      continue;
    }
    const std::int64_t last = data.first_label + data.classes - 1;
    if (labels[i] < data.first_label || labels[i] > last)
      return source.error(fmt::format("expected labels from {} to {} (data.classes = {}), found {} for sample {}",
                                      data.first_label, last, data.classes, labels[i], i));
    images.labels.push_back(static_cast<std::int32_t>(labels[i] - data.first_label));
  }
  return {};
}

Status read_targets(ByteSource& source, const NpyHeader& header, Images& images) {
  if (header.extents.size() > 2)
    return source.error(fmt::format("expected targets, N or N x targets, found {}", header.text()));
  images.target_floats = header.extents.size() == 2 ? header.extents[1] : 1;
  RUBATO_ASSIGN(images.targets, read_npy_floats(source, header));
  return {};
}

Result<NpyHeader> read_label_header(const Sources& sources, const NpyHeader& inputs, const Job& job) {
  RUBATO_ASSIGN(NpyHeader labels, read_npy_header(*sources.labels));
  if (labels.extents[0] != inputs.extents[0])
    return sources.labels->error(fmt::format("expected {} labels, as many as {} has inputs, found {}",
                                             inputs.extents[0], sources.inputs->name(), labels.text()));
  if (is_float(labels) && job.model.loss != "mse")
    return sources.labels->error(
        fmt::format("expected whole numbers, the labels of classes, found {}: model.loss = "
                    "\"mse\" takes floats",
                    labels.text()));
  return labels;
}

}  // namespace

Result<DatasetSize> size_of_npy_dataset(const Job& job, Split split) {
  RUBATO_ASSIGN(const Sources sources, open_sources(job, split));
  RUBATO_ASSIGN(const NpyHeader inputs, read_npy_header(*sources.inputs));
  RUBATO_ASSIGN(const NpyHeader labels, read_label_header(sources, inputs, job));
  DatasetSize size;
  RUBATO_ASSIGN(size.shape, image_shape(sources.inputs->name(), inputs.extents));
  size.samples = static_cast<std::uint64_t>(inputs.extents[0]);
  if (is_float(labels)) size.target_floats = labels.extents.size() == 2 ? labels.extents[1] : 1;
  // Floats are kept in 32 bits, and a label too.
  size.bytes = inputs.values * std::min(inputs.item, sizeof(float)) + labels.values * sizeof(float);
  return size;
}

Result<std::unique_ptr<Dataset>> open_npy_dataset(const Job& job, Split split) {
  RUBATO_ASSIGN(const Sources sources, open_sources(job, split));
  RUBATO_ASSIGN(const NpyHeader inputs, read_npy_header(*sources.inputs));
  RUBATO_ASSIGN(const NpyHeader labels, read_label_header(sources, inputs, job));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(sources.inputs->name(), inputs.extents));
  RUBATO_ASSIGN(images.pixels, read_pixels(*sources.inputs, inputs));
  RUBATO_TRY(is_float(labels) ? read_targets(*sources.labels, labels, images)
                              : read_classes(*sources.labels, labels, job.data, images));
  // The same for npy and npz: it is the same data.
  const std::string kind = fmt::format("npy {}; {} {}", inputs.text(), extents_text(labels.extents), job.data.classes);
  return make_image_dataset(std::move(images), job.data, kind, sources.inputs->name());
}

Result<std::unique_ptr<Dataset>> open_npy_inputs(const Job& job, const std::string& path) {
  RUBATO_ASSIGN(const std::unique_ptr<ByteSource> source, open_file(path));
  RUBATO_ASSIGN(const NpyHeader header, read_npy_header(*source));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(path, header.extents));
  RUBATO_ASSIGN(images.pixels, read_pixels(*source, header));
  images.labels.assign(static_cast<std::size_t>(header.extents[0]), 0);
  return make_image_dataset(std::move(images), job.data, "npy " + header.text(), path);
}

}  // namespace rubato::data
