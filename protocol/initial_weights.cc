#include "protocol/initial_weights.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"

namespace rubato::protocol {
namespace {

static_assert(std::endian::native == std::endian::little, "values go to the file as they lie in memory");

constexpr std::size_t kHashBytes = 64;

Error wrong(const std::string& path, std::string_view what) {
  return {Cause::kData, fmt::format("{}: {}; `rubato-weights begin --run-dir DIR` writes it", path, what)};
}

}  // namespace

std::string initial_weights_path(const std::string& run_dir) { return run_dir + "/initial.weights"; }

Status write_initial_weights(const std::string& run_dir, const std::string& job_hash, std::span<const float> values) {
  RUBATO_CHECK(job_hash.size() == kHashBytes, "a hash of {} digits", job_hash.size());
  RUBATO_ASSIGN(AtomicFile file, AtomicFile::create(initial_weights_path(run_dir)));
  RUBATO_TRY(file.write(std::as_bytes(std::span(job_hash))));
  RUBATO_TRY(file.write(std::as_bytes(values)));
  return file.commit();
}

InitialWeights InitialWeights::of(std::vector<float> values) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  InitialWeights weights;
  weights.values_ = *owner;
  weights.owner_ = std::move(owner);
  return weights;
}

Result<InitialWeights> InitialWeights::open(const std::string& run_dir, const std::string& job_hash) {
  const std::string path = initial_weights_path(run_dir);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return wrong(path, std::strerror(errno));
  struct stat status {};
  const bool known = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const auto bytes = static_cast<std::size_t>(known ? status.st_size : 0);
  void* memory = bytes > kHashBytes ? ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0) : MAP_FAILED;
  ::close(descriptor);
  if (memory == MAP_FAILED || bytes % sizeof(float) != 0) {
    if (memory != MAP_FAILED) ::munmap(memory, bytes);
    return wrong(path, fmt::format("expected a hash and numbers of 4 bytes, found {} bytes", bytes));
  }
  InitialWeights weights;
  weights.owner_ =
      std::shared_ptr<const void>(memory, [bytes](const void* mapped) { ::munmap(const_cast<void*>(mapped), bytes); });
  if (std::string_view(static_cast<const char*>(memory), kHashBytes) != job_hash)
    return wrong(path, "it is of another job");
  weights.values_ = {reinterpret_cast<const float*>(static_cast<const char*>(memory) + kHashBytes),
                     (bytes - kHashBytes) / sizeof(float)};
  return weights;
}

}  // namespace rubato::protocol
