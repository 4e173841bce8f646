#include "data/bad_lines.h"

#include <fmt/format.h>

namespace rubato::data {

Status BadLines::add(const std::string& message) {
  if (count_++ == 0) first_ = message;
  if (count_ <= skip_max_) return {};
  if (skip_max_ == 0) return Error{Cause::kData, message};
  return Error{Cause::kData, fmt::format("{} (bad {} number {}, and data.skip_max = {}; the first was {})", message,
                                         what_, count_, skip_max_, first_)};
}

std::string BadLines::text(std::uint64_t all) const {
  if (count_ == 0) return "";
  return fmt::format("{} of {} {}s left out, the first: {}", count_, all, what_, first_);
}

}  // namespace rubato::data
