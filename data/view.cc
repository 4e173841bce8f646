#include "data/view.h"

#include <span>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

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
  const Fitted* fitted() const override { return all_->fitted(); }
  Result<std::string> group_of(std::uint64_t id) const override { return all_->group_of(ids_.at(id)); }
  std::string file() const override { return all_->file(); }
  std::string sample_name(std::uint64_t id) const override { return all_->sample_name(ids_.at(id)); }
  bool has_lengths() const override { return all_->has_lengths(); }
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

}  // namespace

std::unique_ptr<Dataset> view_of(std::shared_ptr<const Dataset> all, std::vector<std::uint64_t> ids) {
  return std::make_unique<View>(std::move(all), std::move(ids));
}

}  // namespace rubato::data
