#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace rubato {
namespace {

Error failure(const std::string& path, const char* action) {
  return {Cause::kStorage,
          fmt::format("{}: cannot {}: {}; what was there before is unchanged", path, action, std::strerror(errno))};
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& path, Readers readers) {
  AtomicFile file(path, -1);
  const mode_t mode = readers == Readers::kOwner ? 0600 : 0644;
  file.descriptor_ = ::open(file.partial().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file.descriptor_ < 0) return failure(path, "create");
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial().c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  RUBATO_CHECK(descriptor_ >= 0, "write after commit");
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure(path_, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status AtomicFile::commit() {
  RUBATO_CHECK(descriptor_ >= 0, "commit twice");
  if (::fsync(descriptor_) != 0) return failure(path_, "force to disk");
  if (::rename(partial().c_str(), path_.c_str()) != 0) return failure(path_, "rename into place");
  ::close(std::exchange(descriptor_, -1));
  // The rename itself reaches the disk with its directory. Some file systems cannot; the file is there.
  const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
  const int directory = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return {};
  ::fsync(directory);
  ::close(directory);
  return {};
}

Status write_file(const std::string& path, std::span<const std::byte> bytes, Readers readers) {
  RUBATO_ASSIGN(AtomicFile file, AtomicFile::create(path, readers));
  RUBATO_TRY(file.write(bytes));
  return file.commit();
}

}  // namespace rubato
