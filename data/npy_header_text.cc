#include "data/npy_header_text.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

namespace rubato::data {
namespace {

constexpr std::size_t kTextMax = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<NpyHeaderText> run() {
    RUBATO_TRY(expect('{'));
    while (!take('}')) {
      RUBATO_ASSIGN(const std::string key, quoted());
      if (!seen_.insert(key).second) return wrong(fmt::format("'{}' once", key));
      RUBATO_TRY(expect(':'));
      RUBATO_TRY(value_of(key));
      if (take(',')) continue;
      RUBATO_TRY(expect('}'));
      break;
    }
    skip_blanks();
    if (!rest_.empty()) return wrong("nothing behind the dictionary");
    if (seen_.size() != 3) return wrong("the keys descr, fortran_order and shape");
    return std::move(header_);
  }

 private:
  static Error wrong(const std::string& expected) {
    return {Cause::kData, fmt::format("the header is no dictionary of numpy's: expected {}", expected)};
  }

  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    skip_blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  Status expect(char c) { return take(c) ? Status() : wrong(fmt::format("'{}'", c)); }

  Result<std::string> quoted() {
    const char quote = take('\'') ? '\'' : take('"') ? '"' : '\0';
    const std::size_t end = quote == '\0' ? std::string_view::npos : rest_.find(quote);
    if (end > kTextMax) return wrong("a short text in quotes");  // or there is no end
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }

  Status value_of(const std::string& key) {
    if (key == "descr") {
      skip_blanks();
      if (rest_.starts_with('[')) return wrong("one dtype for all values: arrays of structures are not read");
      RUBATO_ASSIGN(header_.descr, quoted());
      return {};
    }
    if (key == "fortran_order") {
      header_.fortran_order = take("True");
      return header_.fortran_order || take("False") ? Status() : wrong("True or False behind fortran_order");
    }
    return key == "shape" ? shape() : wrong("the keys descr, fortran_order and shape");
  }

  Status shape() {
    RUBATO_TRY(expect('('));
    while (!take(')')) {
      skip_blanks();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (error != std::errc() || extent < 0) return wrong("whole numbers in shape");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      header_.shape.push_back(extent);
      if (header_.shape.size() > 32) return wrong("at most 32 extents, as numpy has");
      if (take(',')) continue;
      RUBATO_TRY(expect(')'));
      break;
    }
    return {};
  }

  std::string_view rest_;
  std::set<std::string> seen_;
  NpyHeaderText header_;
};

}  // namespace

Result<NpyHeaderText> parse_npy_header(std::string_view text) { return Parser(text).run(); }

}  // namespace rubato::data
