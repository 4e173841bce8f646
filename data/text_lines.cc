#include "data/text_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>

#include "data/gzip_source.h"

namespace rubato::data {
namespace {

constexpr std::size_t kChunkBytes = 1 << 16;
constexpr std::size_t kLineBytesMax = 16 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool is_blank(char character) { return kBlanks.find(character) != std::string_view::npos; }

// The field in quotes that `rest` begins with; `rest` is what is behind it. False if the quotes do not end.
bool take_quoted(std::string_view& rest, std::string& field, char separator) {
  std::size_t at = 1;
  for (; at < rest.size(); ++at) {
    if (rest[at] == '"') {
      if (at + 1 == rest.size() || rest[at + 1] != '"') break;
      ++at;  // two are one
    }
    field += rest[at];
  }
  if (at >= rest.size()) return false;
  rest.remove_prefix(at + 1);
  while (!rest.empty() && rest.front() != separator && is_blank(rest.front())) rest.remove_prefix(1);
  return true;
}

}  // namespace

Result<LineReader> LineReader::open(const std::string& path) {
  RUBATO_ASSIGN(std::unique_ptr<ByteSource> source, open_file(path));
  return LineReader(std::move(source));
}

Result<std::optional<std::string_view>> LineReader::next() {
  std::size_t searched = at_;
  std::size_t end = 0;
  while ((end = buffer_.find('\n', searched)) == std::string::npos && !ended_) {
    searched = buffer_.size() - at_;
    buffer_.erase(0, at_);
    at_ = 0;
    if (buffer_.size() > kLineBytesMax)
      return Error{Cause::kData, fmt::format("{}:{}: a line of more than {} bytes: is this a text file?", path(),
                                             number_ + 1, kLineBytesMax)};
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kChunkBytes);
    RUBATO_ASSIGN(const std::size_t got,
                  source_->read(std::span(reinterpret_cast<std::uint8_t*>(buffer_.data()) + before, kChunkBytes)));
    buffer_.resize(before + got);
    ended_ = got < kChunkBytes;
  }
  if (end == std::string::npos) {
    if (at_ == buffer_.size()) return std::optional<std::string_view>();
    end = buffer_.size();
  }
  std::string_view line = std::string_view(buffer_).substr(at_, end - at_);
  at_ = std::min(end + 1, buffer_.size());
  if (++number_ == 1 && line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  return std::optional(line);
}

bool is_blank(std::string_view line) { return trimmed(line).empty(); }

std::optional<std::string> split_fields(std::string_view line, char separator, std::vector<std::string>& fields) {
  // A separator that is a blank is none around the line.
  std::string_view rest = is_blank(separator) ? line : trimmed(line);
  std::size_t count = 0;
  for (bool more = true; more; ++count) {
    if (count == fields.size()) fields.emplace_back();
    std::string& field = fields[count];
    field.clear();
    if (!is_blank(separator)) rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
    if (rest.starts_with('"')) {
      if (!take_quoted(rest, field, separator)) return "quotes that do not end on the line";
      if (!rest.empty() && rest.front() != separator)
        return fmt::format("something behind the quotes of field {}", count + 1);
      more = !rest.empty();
      if (more) rest.remove_prefix(1);
      continue;
    }
    const std::size_t end = rest.find(separator);
    more = end != std::string_view::npos;
    field = trimmed(rest.substr(0, end));
    rest = more ? rest.substr(end + 1) : std::string_view();
  }
  fields.resize(count);
  return std::nullopt;
}

std::string shown(std::string_view field) {
  constexpr std::size_t kShown = 40;
  std::string text = "\"";
  for (char c : field.substr(0, kShown))
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"' ? '?' : c;
  // No letter of several bytes is cut in two: the last one goes, whole or not.
  if (field.size() > kShown && (static_cast<unsigned char>(text.back()) & 0x80) != 0) {
    while ((static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
    if ((static_cast<unsigned char>(text.back()) & 0x80) != 0) text.pop_back();
  }
  return text + (field.size() > kShown ? "...\"" : "\"");
}

std::optional<double> field_number(std::string_view field) {
  if (field.starts_with('+') && !field.starts_with("+-")) field.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (field.empty() || error != std::errc() || end != field.data() + field.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool is_missing(std::string_view field) {
  return field.empty() || field == "NA" || field == "N/A" || field == "NaN" || field == "nan" || field == "null" ||
         field == "?";
}

}  // namespace rubato::data
