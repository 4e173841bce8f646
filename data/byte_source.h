// Bytes that are read once, from front to back: of a file, or of a member of an archive.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rubato::data {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills `target`, or as much of it as there is: less only at the end. Errors: kData, starting with name():
  // unreadable, damaged, cut off. Whoever wants to know that the end is sound reads until less than asked for comes.
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::uint8_t> target) = 0;
  // What messages call it.
  [[nodiscard]] virtual const std::string& name() const = 0;
  // No more bytes than this can come, so no more is worth allocating for.
  [[nodiscard]] virtual std::uint64_t bytes_max() const = 0;

  [[nodiscard]] Error error(std::string_view what) const { return {Cause::kData, name() + ": " + std::string(what)}; }
};

}  // namespace rubato::data
