// Hashes: SHA-256 (OpenSSL's) where equality is a promise to people (weights, jobs, data), XXH3 where
// it only guards against accident (frames).
//
// Thread-safety: a Sha256 belongs to one owner; the functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rubato {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  // 64 lower-case hex digits. The object is spent afterwards.
  [[nodiscard]] std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string sha256_hex(std::string_view text);
// Of what a file holds. Errors: kData, naming it.
[[nodiscard]] Result<std::string> sha256_of_file(const std::string& path);

// XXH3, 64 bits.
[[nodiscard]] std::uint64_t xxh3(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace rubato
