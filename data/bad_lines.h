// The lines of a file that could not be read, and whether they are too many.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rubato::data {

class BadLines {
 public:
  explicit BadLines(std::int64_t skip_max) : skip_max_(skip_max) {}

  // `message` says file, line and what is wrong. Errors: kData: one more than data.skip_max.
  [[nodiscard]] Status add(const std::string& message);

  [[nodiscard]] std::int64_t count() const { return count_; }
  // "2 of 1,000 lines left out, the first FILE:17: ..."; empty if there are none.
  [[nodiscard]] std::string text(std::uint64_t lines) const;

 private:
  std::int64_t skip_max_, count_ = 0;
  std::string first_;
};

}  // namespace rubato::data
