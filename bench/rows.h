// What a benchmark has measured: rows of a figure and the limit it is held against, as a table and as JSON.
//
// Thread-safety: one owner.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace rubato::bench {

[[nodiscard]] inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

class Rows {
 public:
  // Prints the row, too. A limit of 0 has no ratio.
  void add(const std::string& name, double value, const std::string& unit, double limit) {
    const std::string ratio = limit == 0.0 ? "" : fmt::format("{:.3f}", value / limit);
    fmt::print("{:<72} {:>9.2f} {:<6} {:>9.2f} {:>7}\n", name, value, unit, limit, ratio);
    rows_.push_back({{"name", name}, {"value", value}, {"unit", unit}, {"limit", limit}, {"ratio", value / limit}});
    if (limit == 0.0) rows_.back()["ratio"] = nullptr;
  }
  static void print_heading() {
    fmt::print("{:<72} {:>9} {:<6} {:>9} {:>7}\n", "name", "value", "unit", "limit", "ratio");
  }

  // Nowhere, if `path` is empty.
  [[nodiscard]] Status write(const std::string& path) const {
    if (path.empty()) return {};
    std::ofstream file(path);
    file << rows_.dump(2) << '\n';
    if (!file.flush()) return Error{Cause::kStorage, fmt::format("cannot write {}", path)};
    return {};
  }

 private:
  nlohmann::json rows_ = nlohmann::json::array();
};

}  // namespace rubato::bench
