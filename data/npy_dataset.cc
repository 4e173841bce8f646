#include "data/npy_dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "data/gzip_source.h"
#include "data/idx_file.h"
#include "data/image_dataset.h"
#include "data/labelled_samples.h"
#include "data/npy_file.h"
#include "data/npz_parts.h"
#include "data/text_lines.h"
#include "data/zip_file.h"

namespace rubato::data {
namespace {

struct Sources {
  std::unique_ptr<ByteSource> inputs, labels;
  std::unique_ptr<ByteSource> lengths;  // null: samples have none
};

// Who has lengths of one part has them of each: what would be whole in another by mistake would pass unseen.
Result<bool> has_lengths(const ZipFile& zip, const std::string& path) {
  const std::vector<std::string> known = {"train_lengths.npy", "val_lengths.npy", "test_lengths.npy"};
  for (const ZipFile::Member& member : zip.members())
    if (member.name.find("length") != std::string::npos && std::ranges::find(known, member.name) == known.end())
      return Error{Cause::kData, fmt::format("{}: expected lengths of sequences to be called {}, found {}", path,
                                             fmt::join(known, ", "), shown(member.name))};
  return std::ranges::any_of(known, [&](const std::string& name) { return zip.has(name); });
}

Result<Sources> open_sources(const Job& job, Split split) {
  const DataConfig& data = job.data;
  Sources sources;
  if (data.kind == "npy") {
    const bool train = split == Split::kTrain;
    RUBATO_ASSIGN(sources.inputs, open_file(train ? data.train_inputs : data.test_inputs));
    RUBATO_ASSIGN(sources.labels, open_file(train ? data.train_labels : data.test_labels));
    const std::string& lengths = train ? data.train_lengths : data.test_lengths;
    if (lengths.empty()) return sources;
    RUBATO_ASSIGN(sources.lengths, open_file(lengths));
    return sources;
  }
  const std::string part = npz_part(split);
  RUBATO_ASSIGN(const ZipFile zip, ZipFile::open(data.path));
  RUBATO_TRY(check_npz_part(zip, data.path, split));
  RUBATO_ASSIGN(sources.inputs, zip.open_member(part + "_images.npy"));
  RUBATO_ASSIGN(sources.labels, zip.open_member(part + "_labels.npy"));
  RUBATO_ASSIGN(const bool lengths, has_lengths(zip, data.path));
  if (!lengths) return sources;
  if (!zip.has(part + "_lengths.npy"))
    return sources.inputs->error(
        fmt::format("there is no {}_lengths.npy for them, and another part has lengths: give "
                    "those of each part that is read",
                    part));
  RUBATO_ASSIGN(sources.lengths, zip.open_member(part + "_lengths.npy"));
  return sources;
}

bool is_float(const NpyHeader& header) { return header.kind == 'f'; }

// Checks it against the inputs.
Result<NpyHeader> read_lengths_header(const Sources& sources, const NpyHeader& inputs) {
  RUBATO_ASSIGN(NpyHeader lengths, read_npy_header(*sources.lengths));
  const bool single = lengths.extents.size() == 1 || (lengths.extents.size() == 2 && lengths.extents[1] == 1);
  if (is_float(lengths) || !single || lengths.extents[0] != inputs.extents[0])
    return sources.lengths->error(fmt::format("expected {} lengths, whole numbers, one for each sample of {}, found {}",
                                              inputs.extents[0], sources.inputs->name(), lengths.text()));
  if (inputs.extents.size() < 3)
    return sources.inputs->error(
        fmt::format("expected sequences, N x positions x features, since {} says how long they are, found {}",
                    sources.lengths->name(), inputs.text()));
  return lengths;
}

// None where samples have none.
Result<std::vector<std::int32_t>> read_lengths(const Sources& sources, const NpyHeader& inputs) {
  std::vector<std::int32_t> lengths;
  if (sources.lengths == nullptr) return lengths;
  RUBATO_ASSIGN(const NpyHeader header, read_lengths_header(sources, inputs));
  RUBATO_ASSIGN(const std::vector<std::int64_t> values, read_npy_integers(*sources.lengths, header));
  const std::int64_t positions = inputs.extents[1];
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 1 || values[i] > positions)
      return sources.lengths->error(
          fmt::format("expected lengths from 1 to {}, the positions in {}, found {} for sample {}", positions,
                      sources.inputs->name(), values[i], i));
    lengths.push_back(static_cast<std::int32_t>(values[i]));
  }
  return lengths;
}

Result<Pixels> read_pixels(ByteSource& source, const NpyHeader& header, std::span<const std::int32_t> lengths) {
  if (is_float(header)) {
    RUBATO_ASSIGN(std::vector<float> pixels, read_npy_floats(source, header, lengths));
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
  size.lengths = sources.lengths != nullptr;
  if (size.lengths) {
    RUBATO_TRY(read_lengths_header(sources, inputs));
    size.bytes += size.samples * sizeof(std::int32_t);
  }
  return size;
}

Result<std::unique_ptr<Dataset>> open_npy_dataset(const Job& job, Split split) {
  RUBATO_ASSIGN(const Sources sources, open_sources(job, split));
  RUBATO_ASSIGN(const NpyHeader inputs, read_npy_header(*sources.inputs));
  RUBATO_ASSIGN(const NpyHeader labels, read_label_header(sources, inputs, job));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(sources.inputs->name(), inputs.extents));
  RUBATO_ASSIGN(images.lengths, read_lengths(sources, inputs));
  RUBATO_ASSIGN(images.pixels, read_pixels(*sources.inputs, inputs, images.lengths));
  if (!is_float(labels) && job.model.loss == "mse" && split == Split::kTrain)
    log::warn(
        "{}: labels are whole numbers, so they are classes: model.loss = \"mse\" is over {} outputs, to be 1 of the "
        "class and 0 of the others; to predict numbers, save them as floats",
        sources.labels->name(), job.data.classes);
  RUBATO_TRY(is_float(labels) ? read_targets(*sources.labels, labels, images)
                              : read_classes(*sources.labels, labels, job.data, images));
  // The same for npy and npz: it is the same data.
  const std::string kind = fmt::format("npy {}; {} {}", inputs.text(), extents_text(labels.extents), job.data.classes);
  return make_image_dataset(std::move(images), job.data, kind, sources.inputs->name());
}

Result<std::unique_ptr<Dataset>> open_npy_inputs(const Job& job, const std::string& path, const std::string& lengths) {
  Sources sources;
  RUBATO_ASSIGN(sources.inputs, open_file(path));
  if (!lengths.empty()) {
    RUBATO_ASSIGN(sources.lengths, open_file(lengths));
  }
  RUBATO_ASSIGN(const NpyHeader header, read_npy_header(*sources.inputs));
  Images images;
  RUBATO_ASSIGN(images.shape, image_shape(path, header.extents));
  RUBATO_ASSIGN(images.lengths, read_lengths(sources, header));
  RUBATO_ASSIGN(images.pixels, read_pixels(*sources.inputs, header, images.lengths));
  images.labels.assign(static_cast<std::size_t>(header.extents[0]), 0);
  return make_image_dataset(std::move(images), job.data, "npy " + header.text(), path);
}

}  // namespace rubato::data
