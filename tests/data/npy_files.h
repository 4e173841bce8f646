// Numpy's arrays and archives of them for tests, byte by byte, right and wrong.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rubato::data::test {

// `shape` as Python writes it: "(3, 2)". The values as they are, whether they fit or not.
[[nodiscard]] std::string npy_bytes(const std::string& descr, const std::string& shape, const std::string& values,
                                    const std::string& fortran_order = "False");
// Values as they lie in memory, or turned round.
template <class Value>
std::string value_bytes(const std::vector<Value>& values, bool swapped = false) {
  std::string bytes;
  for (const Value value : values) {
    std::string one(reinterpret_cast<const char*>(&value), sizeof value);
    bytes += swapped ? std::string(one.rbegin(), one.rend()) : one;
  }
  return bytes;
}

using ZipMembers = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] std::string zip_bytes(const ZipMembers& members, bool deflated);

}  // namespace rubato::data::test
