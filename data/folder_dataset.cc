#include "data/folder_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>
#include <span>

#include "base/hash.h"
#include "base/log.h"
#include "data/bad_lines.h"
#include "data/crop.h"
#include "data/fitted.h"
#include "data/labelled_samples.h"
#include "data/normalizer.h"
#include "data/picture_cache.h"
#include "data/picture_file.h"
#include "data/picture_folder.h"
#include "data/picture_groups.h"
#include "data/resample.h"
#include "data/row_split.h"
#include "data/thread_team.h"

namespace rubato::data {
namespace {

// The part of the images that can be read, with what is known of each.
struct Pictures {
  PictureList list;
  std::vector<PictureFacts> facts;
  BadLines bad;  // those left out
};

// A JPEG is decoded no smaller than this, so that a random part of half its side still has a pixel for each of the
// input's, and the whole of it still is averaged by us, over two pixels, and not by the JPEG's blocks alone.
DecodeWish wish_of(const DataConfig& config) {
  return {.channels = config.channels, .least_side = std::max(2 * config.image_size, resized_side(config))};
}

// All of a list that can be read.
Result<Pictures> examine(PictureList listed, const DataConfig& config, ThreadTeam& team) {
  Pictures pictures{.list = std::move(listed), .facts = {}, .bad = BadLines(config.skip_max, "image")};
  PictureList& list = pictures.list;
  BadLines& bad = pictures.bad;
  std::vector<std::optional<Result<PictureFacts>>> found(list.entries.size());
  team.run(found.size(),
           [&](std::size_t i) { found[i] = examine_picture(list.path(list.entries[i]), wish_of(config)); });

  std::vector<PictureEntry> good;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!(*found[i]).ok()) {
      RUBATO_TRY(bad.add((*found[i]).error().message));
      continue;
    }
    good.push_back(std::move(list.entries[i]));
    pictures.facts.push_back(**found[i]);
  }
  if (bad.count() > 0) log::warn("{}: {}", list.folder, bad.text(found.size()));
  list.entries = std::move(good);
  return pictures;
}

Result<RowSplit> split_pictures(const PictureList& list, const DataConfig& config) {
  const bool whole = config.test_fraction == 0.0 && config.validation_fraction == 0.0;
  if (config.group.empty() || whole) return split_rows(list.entries.size(), config, list.folder, "image");
  const PictureGroups groups(config.group);
  std::vector<std::string> of_picture;
  for (const PictureEntry& entry : list.entries) {
    RUBATO_ASSIGN(of_picture.emplace_back(), groups.of(list, entry));
  }
  return split_groups(of_picture, config, list.folder, "image");
}

Result<Pictures> examine_part(const Job& job, Split split, ThreadTeam& team) {
  const DataConfig& config = job.data;
  RUBATO_ASSIGN(PictureList listed, list_pictures(config, split));
  RUBATO_ASSIGN(Pictures pictures, examine(std::move(listed), config, team));
  PictureList& list = pictures.list;
  if (!list.to_be_split) return pictures;

  RUBATO_ASSIGN(const RowSplit parts, split_pictures(list, config));
  if (parts.of(split).empty()) return Error{Cause::kData, no_part_text(list.folder, split)};
  std::vector<PictureEntry> entries;
  std::vector<PictureFacts> facts;
  for (const std::uint64_t row : parts.of(split)) {
    entries.push_back(std::move(list.entries[row]));
    facts.push_back(pictures.facts[row]);
  }
  list.entries = std::move(entries);
  pictures.facts = std::move(facts);
  return pictures;
}

std::string fingerprint_of(const Pictures& pictures, const DataConfig& config) {
  Sha256 hash;
  const auto add = [&](const std::string& text) { hash.update(std::as_bytes(std::span(text))); };
  add(fmt::format("folder {} {}\n", config.classes, config.channels));
  for (const std::string& name : pictures.list.classes) add(name + "\n");
  for (std::size_t i = 0; i < pictures.facts.size(); ++i) {
    const PictureFacts& facts = pictures.facts[i];
    add(fmt::format("{}\n{} {}\n", pictures.list.entries[i].name, facts.file_bytes, facts.begin_hash));
  }
  return hash.hex();
}

// What torchvision's own models are trained with.
DataConfig with_normalization(DataConfig config) {
  if (config.normalization == "imagenet") {
    config.mean = {0.485, 0.456, 0.406};
    config.stddev = {0.229, 0.224, 0.225};
  }
  return config;
}

SampleShape shape_of(const DataConfig& config) { return {config.image_size, config.image_size, config.channels}; }

class FolderDataset : public Dataset {
 public:
  FolderDataset(const Job& job, Split split, PictureList list, BadLines bad, std::string fingerprint,
                std::unique_ptr<ThreadTeam> team, Normalizer of_bytes, Normalizer of_words)
      : config_(job.data),
        seed_(job.train.seed),
        training_(split == Split::kTrain),
        list_(std::move(list)),
        groups_(config_.group.empty() ? std::nullopt : std::optional<PictureGroups>(config_.group)),
        fitted_{.inputs = {}, .input_scaling = {}, .target_scaling = {}, .classes = list_.classes, .naive_errors = {}},
        fingerprint_(std::move(fingerprint)),
        of_bytes_(std::move(of_bytes)),
        of_words_(std::move(of_words)),
        bad_(std::move(bad)),
        cache_(list_.entries.size(), static_cast<std::uint64_t>(config_.cache_mb) << 20),
        desks_(2 * static_cast<std::size_t>(config_.readers)),
        team_(std::move(team)) {}

  std::uint64_t size() const override { return list_.entries.size(); }
  SampleShape shape() const override { return shape_of(config_); }
  std::int64_t target_floats() const override { return 0; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::span<const std::string> class_names() const override { return list_.classes; }
  std::string file() const override { return list_.folder; }
  std::string sample_name(std::uint64_t id) const override { return list_.entries.at(id).name; }
  const Fitted* fitted() const override { return &fitted_; }
  Result<std::string> group_of(std::uint64_t id) const override {
    return groups_ ? groups_->of(list_, list_.entries.at(id)) : std::string();
  }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    const std::int32_t label = list_.entries.at(id).label;
    labels.push_back(is_ignored(config_, label) ? kNoLabel : label);
  }

  Status gather(std::uint64_t epoch, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    const auto width = static_cast<std::size_t>(shape().floats());
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.resize(ids.size() * width);
    batch.labels.clear();
    batch.targets.clear();
    batch.sample_ids.assign(ids.begin(), ids.end());
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < size(), "sample {} of {}", id, size());
      append_labels(id, batch.labels);
    }
    std::vector<Status> read(ids.size());
    team_->run(ids.size(), [&](std::size_t i) {
      read[i] = read_sample(epoch, ids[i], std::span(batch.inputs).subspan(i * width, width));
    });
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (read[i].ok()) continue;
      RUBATO_TRY(leave_out(ids[i], read[i].error()));
      fill_in(read, i, batch.inputs);
      batch.labels[i] = kNoLabel;
    }
    return {};
  }

 private:
  // What one reader works with.
  struct Desk {
    std::vector<std::uint8_t> file;
    Picture picture;
    Resampler resampler;
  };

  // What is damaged where only decoding shows it counts for nothing, if data.skip_max allows it: a sample is one of its
  // batch whatever is in it, so that batches are the same for whoever has read it and whoever has not.
  Status leave_out(std::uint64_t id, const Error& error) const {
    const std::lock_guard lock(leaving_out_);
    if (left_out_.contains(id)) return {};
    RUBATO_TRY(bad_.add(error.message));
    left_out_.insert(id);
    log::warn("{}; it is left out", error.message);
    return {};
  }

  // In the place of one that is damaged goes the one before it that is not, or the one behind it: statistics of the
  // batch are to be over images. Of the same batch, as others may belong to another part of the data.
  static void fill_in(std::span<const Status> read, std::size_t damaged, std::span<float> inputs) {
    const std::size_t width = inputs.size() / read.size();
    const std::span<float> input = inputs.subspan(damaged * width, width);
    std::size_t good = damaged;
    while (good > 0 && !read[good].ok()) --good;
    while (good < read.size() && !read[good].ok()) ++good;
    if (good < read.size())
      std::ranges::copy(inputs.subspan(good * width, width), input.begin());
    else
      std::ranges::fill(input, 0.0f);
  }

  Status read_sample(std::uint64_t epoch, std::uint64_t id, std::span<float> input) const {
    auto desk = desks_.try_pop();
    if (!desk) desk = std::make_unique<Desk>();
    Status status = read_sample(epoch, id, **desk, input);
    (void)desks_.try_push(std::move(*desk));
    return status;
  }

  Status read_sample(std::uint64_t epoch, std::uint64_t id, Desk& desk, std::span<float> input) const {
    const Picture* picture = cache_.find(id);
    if (picture == nullptr) {
      RUBATO_TRY(read_picture(list_.path(list_.entries[id]), wish_of(config_), desk.file, desk.picture));
      cache_.offer(id, desk.picture);
      picture = &desk.picture;
    }
    RandomStream random = crop_stream(seed_, epoch, id);
    const View view = training_ ? training_view(picture->height, picture->width, config_, random)
                                : center_view(picture->height, picture->width, config_);
    desk.resampler.run(*picture, view, input.data());
    (picture->wide() ? of_words_ : of_bytes_).run(std::span<const float>(input), input.data());
    return {};
  }

  const DataConfig config_;
  const std::uint64_t seed_;
  const bool training_;
  const PictureList list_;
  const std::optional<PictureGroups> groups_;
  const Fitted fitted_;
  const std::string fingerprint_;
  const Normalizer of_bytes_, of_words_;  // 8 bits, 16 bits
  mutable std::mutex leaving_out_;
  mutable BadLines bad_;                      // under leaving_out_
  mutable std::set<std::uint64_t> left_out_;  // the same: of those, whom only decoding has shown
  mutable PictureCache cache_;
  mutable BoundedQueue<std::unique_ptr<Desk>> desks_;  // that nobody sits at
  const std::unique_ptr<ThreadTeam> team_;
};

Result<std::unique_ptr<Dataset>> make_dataset(const Job& job, Split split, Pictures pictures,
                                              std::unique_ptr<ThreadTeam> team) {
  const DataConfig config = with_normalization(job.data);
  RUBATO_ASSIGN(Normalizer of_bytes, Normalizer::make(config, config.channels, 255.0, config.path));
  RUBATO_ASSIGN(Normalizer of_words, Normalizer::make(config, config.channels, 65535.0, config.path));
  std::string fingerprint = fingerprint_of(pictures, config);
  return std::unique_ptr<Dataset>(new FolderDataset(job, split, std::move(pictures.list), std::move(pictures.bad),
                                                    std::move(fingerprint), std::move(team), std::move(of_bytes),
                                                    std::move(of_words)));
}

// What classes are called: as was fitted, or as the job's training part has them.
Result<std::vector<std::string>> classes_of(const Job& job, const Fitted* fitted) {
  if (fitted != nullptr) return fitted->classes;
  return list_classes(job.data);
}

std::unique_ptr<ThreadTeam> team_of(const Job& job) {
  return std::make_unique<ThreadTeam>(static_cast<std::size_t>(job.data.readers));
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_folder_dataset(const Job& job, Split split) {
  auto team = team_of(job);
  RUBATO_ASSIGN(Pictures pictures, examine_part(job, split, *team));
  return make_dataset(job, split, std::move(pictures), std::move(team));
}

Result<std::unique_ptr<Dataset>> open_folder_inputs(const Job& job, const std::string& path, const Fitted* fitted) {
  auto team = team_of(job);
  Result<std::vector<std::string>> classes = classes_of(job, fitted);
  if (!classes.ok()) classes = std::vector<std::string>();  // then they are numbers
  RUBATO_ASSIGN(PictureList listed, list_pictures_alone(path, std::move(*classes)));
  DataConfig config = job.data;
  if (listed.entries.size() == 1) config.skip_max = 0;  // the one that was asked for
  RUBATO_ASSIGN(Pictures pictures, examine(std::move(listed), config, *team));
  // What only decoding shows to be damaged has a line in what is written, and would have a class in it.
  pictures.bad = BadLines(0, "image");
  return make_dataset(job, Split::kTest, std::move(pictures), std::move(team));
}

Result<std::unique_ptr<Dataset>> open_folder_file(const Job& job, const std::string& path, const Fitted* fitted) {
  auto team = team_of(job);
  RUBATO_ASSIGN(std::vector<std::string> classes, classes_of(job, fitted));
  RUBATO_ASSIGN(PictureList listed, list_pictures_of(path, std::move(classes)));
  RUBATO_ASSIGN(Pictures pictures, examine(std::move(listed), job.data, *team));
  return make_dataset(job, Split::kTest, std::move(pictures), std::move(team));
}

Result<DatasetSize> size_of_folder_dataset(const Job& job, Split split) {
  const auto team = team_of(job);
  RUBATO_ASSIGN(const Pictures pictures, examine_part(job, split, *team));
  DatasetSize size;
  size.samples = pictures.facts.size();
  size.shape = shape_of(job.data);
  std::uint64_t desk = 0;
  for (const PictureFacts& facts : pictures.facts) {
    size.gathered_bytes += facts.decoded_bytes + sizeof(Picture);
    desk = std::max(desk, facts.working_bytes);
  }
  size.gathered_bytes = std::min(size.gathered_bytes, static_cast<std::uint64_t>(job.data.cache_mb) << 20);
  for (const PictureEntry& entry : pictures.list.entries)
    size.bytes += sizeof(PictureEntry) + entry.name.capacity() + sizeof(const Picture*);
  // Who gathers is one of the readers; in a worker the loader's thread and, where it has not read ahead, the trainer's.
  size.gathering_bytes = (static_cast<std::uint64_t>(job.data.readers) + 1) * desk;
  return size;
}

}  // namespace rubato::data
