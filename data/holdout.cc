#include "data/holdout.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "base/hash.h"
#include "base/rng.h"
#include "data/row_split.h"

namespace rubato::data {
namespace {

class View : public Dataset {
 public:
  View(std::shared_ptr<const Dataset> all, std::vector<std::uint64_t> ids)
      : all_(std::move(all)), ids_(std::move(ids)) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(all_->fingerprint())));
    hash.update(std::as_bytes(std::span(ids_)));
    fingerprint_ = hash.hex();
  }

  std::uint64_t size() const override { return ids_.size(); }
  SampleShape shape() const override { return all_->shape(); }
  std::int64_t target_floats() const override { return all_->target_floats(); }
  TargetScale target_scale(std::size_t target) const override { return all_->target_scale(target); }
  std::span<const std::string> class_names() const override { return all_->class_names(); }
  const std::string& fingerprint() const override { return fingerprint_; }

  void append_labels(std::uint64_t id, std::vector<std::int32_t>& labels) const override {
    all_->append_labels(ids_.at(id), labels);
  }

  Status gather(std::uint64_t epoch, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    std::vector<std::uint64_t> there;
    there.reserve(ids.size());
    for (const std::uint64_t id : ids) {
      RUBATO_CHECK(id < ids_.size(), "sample {} of {}", id, ids_.size());
      there.push_back(ids_[id]);
    }
    return all_->gather(epoch, there, batch);
  }

 private:
  const std::shared_ptr<const Dataset> all_;
  const std::vector<std::uint64_t> ids_;
  std::string fingerprint_;
};

// Its parts for training, validation and test come of one file by fractions.
bool is_split(const DataConfig& data) {
  const bool table = data.kind == "csv" || data.kind == "libsvm";
  return data.kind == "series" || data.kind == "text" || (table && !data.path.empty());
}

}  // namespace

bool holds_out_samples(const Job& job) { return job.evaluation.holdout > 0.0 && !is_split(job.data); }

Job without_holdout(const Job& job) {
  Job read = job;
  if (job.evaluation.holdout > 0.0 && is_split(job.data))
    read.data.validation_fraction = job.evaluation.holdout * (1.0 - job.data.test_fraction);
  read.evaluation.holdout = 0.0;
  return read;
}

Result<HeldOut> hold_out(const Job& job, std::uint64_t samples) {
  const std::uint64_t held = part_size(samples, job.evaluation.holdout);
  if (held >= samples)
    return Error{Cause::kData, fmt::format("evaluation.holdout = {} of {} training samples leaves none to train on",
                                           job.evaluation.holdout, samples)};
  std::vector<std::uint64_t> order(samples);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  RandomStream random(stream_key(job.data.split_seed, "holdout"));
  for (std::uint64_t last = samples; last > 1; --last) std::swap(order[last - 1], order[random.below(last)]);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(held);
  HeldOut parts{.train = {end, order.end()}, .held_out = {order.begin(), end}};
  std::ranges::sort(parts.train);
  std::ranges::sort(parts.held_out);
  return parts;
}

std::unique_ptr<Dataset> view_of(std::shared_ptr<const Dataset> all, std::vector<std::uint64_t> ids) {
  return std::make_unique<View>(std::move(all), std::move(ids));
}

}  // namespace rubato::data
