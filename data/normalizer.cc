#include "data/normalizer.h"

#include <fmt/format.h>

namespace rubato::data {
namespace {

constexpr std::size_t kStretch = 256;  // numbers, at least: 2 KiB of scale and shift, which stay in the first cache

Status check_count(const char* key, const std::vector<double>& list, std::int64_t channels, const std::string& file) {
  if (list.size() == 1 || static_cast<std::int64_t>(list.size()) == channels) return {};
  return Error{Cause::kData,
               fmt::format("{}: expected {} channels, as {} has numbers, found {}", file, list.size(), key, channels)};
}

}  // namespace

Result<Normalizer> Normalizer::make(const DataConfig& config, std::int64_t channels, double greatest,
                                    const std::string& file) {
  RUBATO_TRY(check_count("data.mean", config.mean, channels, file));
  RUBATO_TRY(check_count("data.stddev", config.stddev, channels, file));
  Normalizer made;
  made.same_ = config.mean.size() == 1 && config.stddev.size() == 1;
  const std::size_t pixel = made.same_ ? 1 : static_cast<std::size_t>(channels);
  const auto number_of = [](const std::vector<double>& list, std::size_t channel) {
    return list.size() == 1 ? list.front() : list[channel];
  };
  while (made.scale_.size() < kStretch)
    for (std::size_t channel = 0; channel < pixel; ++channel) {
      const double mean = number_of(config.mean, channel), stddev = number_of(config.stddev, channel);
      made.scale_.push_back(static_cast<float>(1.0 / (greatest * stddev)));
      made.shift_.push_back(static_cast<float>(-mean / stddev));
    }
  return made;
}

}  // namespace rubato::data
