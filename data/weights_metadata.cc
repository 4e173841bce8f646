#include "data/weights_metadata.h"

#include <fmt/format.h>

#include <charconv>
#include <vector>

namespace rubato::data {
namespace {

// So many whole numbers, none below 0, with blanks between them.
std::optional<std::vector<std::int64_t>> whole_numbers(const Metadata& metadata, const char* key, std::size_t count) {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) return std::nullopt;
  std::vector<std::int64_t> numbers;
  const char *at = entry->second.data(), *const end = at + entry->second.size();
  for (;; ++at) {  // over a blank
    std::int64_t number = 0;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) return std::nullopt;
    numbers.push_back(number);
    at = behind;
    if (at == end) break;
    if (*at != ' ') return std::nullopt;
  }
  if (numbers.size() != count) return std::nullopt;
  return numbers;
}

}  // namespace

void describe_samples(const DatasetSize& size, Metadata& metadata) {
  metadata[kInputKey] = fmt::format("{} {} {}", size.shape.height, size.shape.width, size.shape.channels);
  metadata[kTargetsKey] = fmt::format("{}", size.target_floats);
  if (size.lengths) metadata[kLengthsKey] = "true";
}

std::optional<DatasetSize> described_samples(const Metadata& metadata) {
  constexpr std::int64_t kExtentMax = 1 << 24;
  const auto input = whole_numbers(metadata, kInputKey, 3);
  const auto targets = whole_numbers(metadata, kTargetsKey, 1);
  if (!input || !targets) return std::nullopt;
  for (const std::int64_t extent : {(*input)[0], (*input)[1], (*input)[2], (*targets)[0]})
    if (extent > kExtentMax) return std::nullopt;
  DatasetSize size;
  size.shape = {(*input)[0], (*input)[1], (*input)[2]};
  size.target_floats = (*targets)[0];
  size.lengths = metadata.contains(kLengthsKey);
  return size;
}

}  // namespace rubato::data
