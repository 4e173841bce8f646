#include "tests/data/damage.h"

#include <gtest/gtest.h>

#include "tests/data/idx_files.h"

namespace rubato::data::test {

std::size_t expect_damage_is_survived(const std::string& path, const std::string& bytes,
                                      const std::function<std::string()>& open) {
  write_bytes(path, bytes);
  EXPECT_EQ(open(), "") << "the file is good";
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    write_bytes(path, bytes.substr(0, length));
    EXPECT_NE(open(), "") << "cut off after " << length << " of " << bytes.size() << " bytes";
  }
  std::size_t noticed = 0;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ change);
      write_bytes(path, changed);
      noticed += open().empty() ? 0u : 1u;
    }
  }
  write_bytes(path, bytes);
  return noticed;
}

}  // namespace rubato::data::test
