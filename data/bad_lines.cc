#include "data/bad_lines.h"

#include <fmt/format.h>

#include <cstddef>

namespace rubato::data {

Status BadLines::add(const std::string& message) {
  constexpr std::size_t kTold = 10;
  ++count_;
  if (first_.size() < kTold) first_.push_back(message);
  if (count_ <= skip_max_) return {};
  if (skip_max_ == 0) return Error{Cause::kData, message};
  return Error{Cause::kData, fmt::format("{} (bad {} number {}, and data.skip_max = {}; the first was {})", message,
                                         what_, count_, skip_max_, first_.front())};
}

std::string BadLines::text(std::uint64_t all) const {
  if (count_ == 0) return "";
  const bool more = static_cast<std::size_t>(count_) > first_.size();
  return fmt::format("{} of {} {}s left out{}: {}", count_, all, what_, more ? ", the first" : "",
                     fmt::join(first_, "; "));
}

}  // namespace rubato::data
