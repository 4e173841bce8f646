// A zip archive, read by its directory at the end (APPNOTE.TXT of PKWARE; with its 64-bit sizes): what numpy.savez
// writes. Members are stored or deflated; encrypted ones and archives in several files are refused.
//
// Nothing that the archive says about itself is believed: offsets and sizes are held to the file's, and a member's
// checksum and length are compared when its end is reached.
//
// Thread-safety: a ZipFile and its members belong to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/byte_source.h"

namespace rubato::data {

class ZipFile {
 public:
  struct Member {
    std::string name;
    std::uint16_t method = 0, flags = 0;
    std::uint32_t crc = 0;
    std::uint64_t packed = 0, unpacked = 0, offset = 0;
  };

  // Errors: kData, starting with the path.
  static Result<ZipFile> open(const std::string& path);

  [[nodiscard]] const std::vector<Member>& members() const { return members_; }
  [[nodiscard]] bool has(const std::string& name) const { return find(name) != nullptr; }
  // Errors: kData: no such member (with the nearest name), or one that cannot be read.
  [[nodiscard]] Result<std::unique_ptr<ByteSource>> open_member(const std::string& name) const;

 private:
  explicit ZipFile(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] const Member* find(const std::string& name) const;

  std::string path_;
  std::uint64_t bytes_ = 0;
  std::vector<Member> members_;
};

}  // namespace rubato::data
