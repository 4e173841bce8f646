// Writes a file whole or not at all.
//
// What is written goes to PATH.partial; commit() forces it to the disk and renames it over PATH. Until
// then, and after any error, an older PATH is untouched. Without commit() the partial file is removed.
//
// One writer a path: two would write into the same partial file.
// Thread-safety: belongs to one thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace rubato {

enum class Readers { kEveryone, kOwner };  // as far as the umask lets them; kOwner is for secrets

class AtomicFile {
 public:
  // Errors: kStorage, here and below, saying which file, what the system said, and that PATH is as it was.
  [[nodiscard]] static Result<AtomicFile> create(const std::string& path, Readers readers = Readers::kEveryone);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  [[nodiscard]] Status write(std::span<const std::byte> bytes);
  [[nodiscard]] Status commit();

 private:
  AtomicFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  [[nodiscard]] std::string partial() const { return path_ + ".partial"; }

  std::string path_;
  int descriptor_ = -1;  // -1: moved from, or committed
};

// The whole of it in one call.
[[nodiscard]] Status write_file(const std::string& path, std::span<const std::byte> bytes,
                                Readers readers = Readers::kEveryone);

}  // namespace rubato
