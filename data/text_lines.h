// The lines of a text file (plain or compressed by gzip), one at a time, and their fields.
//
// Thread-safety: a LineReader belongs to one thread; the functions are pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/byte_source.h"

namespace rubato::data {

class LineReader {
 public:
  // Errors: kData, starting with the path.
  static Result<LineReader> open(const std::string& path);

  // The next line, without its end (LF, or CR and LF) and without the mark that some programs put before UTF-8;
  // nothing at the end of the file. It is valid until the next call. Errors: kData: unreadable, or a line longer than
  // any that people write.
  [[nodiscard]] Result<std::optional<std::string_view>> next();
  // Of the line that next() gave last, from 1.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const std::string& path() const { return source_->name(); }
  // "FILE:17"
  [[nodiscard]] std::string place() const { return path() + ":" + std::to_string(number_); }

 private:
  explicit LineReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t at_ = 0;  // where the next line begins
  bool ended_ = false;
  std::uint64_t number_ = 0;
};

// Whether nothing but blanks is on it.
[[nodiscard]] bool is_blank(std::string_view line);

// Fields between separators, without blanks around them. A field in double quotes may have separators, and a quote
// that is doubled; a line break it may not have. Returns what is wrong, or nothing.
[[nodiscard]] std::optional<std::string> split_fields(std::string_view line, char separator,
                                                      std::vector<std::string>& fields);

// A field for a message: in quotes, no longer than a person wants to read, and without bytes that are no text.
[[nodiscard]] std::string shown(std::string_view field);

// A whole field as a number: with or without a sign, finite. Nothing where there is something else.
[[nodiscard]] std::optional<double> field_number(std::string_view field);
// What stands for a value that is not there: nothing, NA, N/A, NaN, null, ?
[[nodiscard]] bool is_missing(std::string_view field);

}  // namespace rubato::data
