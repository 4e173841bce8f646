#include "base/life_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace rubato {

Result<LifeFile> create_life_file(const std::string& dir, const std::string& name, const std::string& extension) {
  ::mkdir(dir.c_str(), 0777);  // others make it too; opening the file tells
  std::string path = fmt::format("{}/{}.{}", dir, name, extension);
  for (int life = 2;; ++life) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return LifeFile{std::move(path), descriptor};
    if (errno != EEXIST) return Error{Cause::kStorage, fmt::format("cannot write {}: {}", path, std::strerror(errno))};
    path = fmt::format("{}/{}.{}.{}", dir, name, life, extension);
  }
}

}  // namespace rubato
