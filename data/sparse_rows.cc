#include "data/sparse_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/whole_number.h"
#include "data/bad_lines.h"
#include "data/text_lines.h"

namespace rubato::data {
namespace {

constexpr std::int64_t kIndexMax = 1 << 20;  // unless data.features says: every index costs, whatever is at it

using Wrong = std::optional<std::string>;  // what is wrong with a line

// The next word of `rest`, which loses it.
std::string_view take_word(std::string_view& rest) {
  const std::size_t begin = std::min(rest.find_first_not_of(" \t"), rest.size());
  rest.remove_prefix(begin);
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

class SparseReader {
 public:
  SparseReader(const DataConfig& config, std::uint32_t features_max)
      : bad_(config.skip_max), features_max_(features_max > 0 ? std::int64_t{features_max} : kIndexMax) {}

  Result<SparseRows> read(LineReader& lines) {
    std::uint64_t count = 0;
    for (;;) {
      RUBATO_ASSIGN(const std::optional<std::string_view> line, lines.next());
      if (!line) break;
      const std::string_view text = line->substr(0, line->find('#'));
      if (is_blank(text)) continue;
      ++count;
      const std::size_t values = rows_.values.size();
      if (const Wrong wrong = take_row(text)) {
        rows_.values.resize(values);
        rows_.indexes.resize(values);
        RUBATO_TRY(bad_.add(fmt::format("{}: {}", lines.place(), *wrong)));
        continue;
      }
      rows_.ends.push_back(rows_.values.size());
      rows_.lines.push_back(lines.number());
      if (rows_.values.size() > rows_.begin(rows_.ends.size() - 1))
        rows_.features = std::max(rows_.features, rows_.indexes.back() + 1);
    }
    if (rows_.ends.empty()) return Error{Cause::kData, lines.path() + ": expected rows, found none"};
    rows_.skipped = bad_.text(count);
    return std::move(rows_);
  }

 private:
  Wrong take_row(std::string_view rest) {
    const std::string_view label_text = take_word(rest);
    const std::optional<double> label = field_number(label_text);
    if (!label) return fmt::format("expected a label, found {}", shown(label_text));
    std::int64_t before = 0;
    for (std::string_view word = take_word(rest); !word.empty(); word = take_word(rest)) {
      const std::size_t colon = word.find(':');
      if (colon == std::string_view::npos) return fmt::format("expected index:value, found {}", shown(word));
      const std::optional<std::int64_t> index = whole_number(word.substr(0, colon));
      const std::optional<double> value = field_number(word.substr(colon + 1));
      if (!index || *index < 1) return fmt::format("expected an index from 1, found {}", shown(word));
      if (*index <= before) return fmt::format("expected an index above {}, found {}", before, shown(word));
      if (*index > features_max_)
        return fmt::format("expected an index of at most {} (data.features), found {}", features_max_, shown(word));
      if (!value) return fmt::format("expected a finite number, found {}", shown(word));
      rows_.indexes.push_back(static_cast<std::uint32_t>(*index - 1));
      rows_.values.push_back(*value);
      before = *index;
    }
    rows_.labels.push_back(*label);
    return std::nullopt;
  }

  BadLines bad_;
  const std::int64_t features_max_;
  SparseRows rows_;
};

}  // namespace

Result<SparseRows> read_sparse_rows(const std::string& path, const DataConfig& config, std::uint32_t features_max) {
  RUBATO_ASSIGN(LineReader lines, LineReader::open(path));
  return SparseReader(config, features_max).read(lines);
}

}  // namespace rubato::data
