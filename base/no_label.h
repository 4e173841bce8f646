// What stands for the label of a sample, or of one of its positions, that has none: it gives no loss, and counts for
// nothing.
#pragma once

#include <cstdint>

namespace rubato {

inline constexpr std::int32_t kNoLabel = -1;

}  // namespace rubato
