// The key of a job file that was meant by one that is none: mistyped, in another table, shortened, or called what other
// programs call it (lr, batch_size).
//
// Thread-safety: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rubato {

// Among `keys`, full names such as "train.batch", the one that `path` most likely meant; none, where nothing is near.
[[nodiscard]] std::optional<std::string> guess_key(std::string_view path, std::span<const std::string> keys);

// The same among tables.
[[nodiscard]] std::optional<std::string> guess_table(std::string_view path, std::span<const std::string> tables);

// What others call a key, and the keys that it may be, the likeliest first: where one is in the table that was asked
// for, it is that one.
struct OtherName {
  std::string_view name;
  std::vector<std::string_view> keys;
};
[[nodiscard]] std::span<const OtherName> other_names();

}  // namespace rubato
