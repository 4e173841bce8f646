#include "data/synthetic_dataset.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/rng.h"

namespace rubato::data {
namespace {

class SyntheticDataset : public Dataset {
 public:
  SyntheticDataset(std::uint64_t seed, std::uint64_t samples, std::size_t floats, Split split)
      : samples_(samples), noise_key_(stream_key(seed, split == Split::kTrain ? "train noise" : "test noise")) {
    RandomStream random(stream_key(seed, "center"));
    center_.reserve(floats);
    while (center_.size() < floats) center_.push_back(2.0f * unit_float(random.next_u32()) - 1.0f);
    fingerprint_ = sha256_hex(fmt::format("synthetic {} {} {} {}", seed, samples, floats, split == Split::kTrain));
  }

  std::uint64_t size() const override { return samples_; }
  SampleShape shape() const override { return {}; }
  std::int64_t target_floats() const override { return static_cast<std::int64_t>(center_.size()); }
  const std::string& fingerprint() const override { return fingerprint_; }

  Status gather(std::uint64_t /*epoch*/, std::span<const std::uint64_t> ids, BatchBuffer& batch) const override {
    batch.count = static_cast<std::int64_t>(ids.size());
    batch.inputs.clear();
    batch.labels.clear();
    batch.targets.resize(ids.size() * center_.size());
    batch.sample_ids.assign(ids.begin(), ids.end());
    float* out = batch.targets.data();
    for (std::uint64_t id : ids) {
      RUBATO_CHECK(id < samples_, "sample {} of {}", id, samples_);
      for (std::size_t j = 0; j < center_.size();) {
        for (std::uint32_t bits : philox4x32(noise_key_, j / 4, id)) {
          if (j == center_.size()) break;
          *out++ = center_[j++] + (unit_float(bits) - 0.5f);
        }
      }
    }
    return {};
  }

 private:
  const std::uint64_t samples_, noise_key_;
  std::vector<float> center_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<Dataset> make_synthetic_dataset(const Job& job, Split split) {
  const auto train = static_cast<std::uint64_t>(job.data.samples);
  const std::uint64_t samples = split == Split::kTrain ? train : (train + 3) / 4;
  return std::make_unique<SyntheticDataset>(job.train.seed, samples, static_cast<std::size_t>(job.model.size), split);
}

}  // namespace rubato::data
