#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/file_kind.h"
#include "base/float16.h"
#include "data/safetensors.h"
#include "data/zip_contents.h"

namespace rubato::data {
namespace {

using nlohmann::json;

constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit

constexpr const char* kFromTorch =
    "in PyTorch, safetensors.torch.save_file(model.state_dict(), \"model.safetensors\") writes what is read";

// All types of the format, and the bytes of a value.
const std::map<std::string, std::uint64_t>& item_bytes() {
  static const std::map<std::string, std::uint64_t> items{
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I64", 8}, {"U64", 8},
      {"I32", 4}, {"U32", 4}, {"I16", 2}, {"U16", 2},  {"I8", 1},      {"U8", 1},      {"BOOL", 1}};
  return items;
}

// JSON without names given twice: nlohmann keeps the last and says nothing, which would let two readers
// of one file see two things.
class Header {
 public:
  explicit Header(std::string_view text) {
    const auto watch = [this](int, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start) names_.emplace_back();
      if (event == json::parse_event_t::object_end) names_.pop_back();
      if (event == json::parse_event_t::key && !names_.back().insert(value.get<std::string>()).second) {
        repeated_ = value.get<std::string>();
      }
      return true;
    };
    value_ = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  }

  [[nodiscard]] bool is_object() const { return value_.is_object(); }
  [[nodiscard]] const std::optional<std::string>& repeated() const { return repeated_; }
  [[nodiscard]] const json& value() const { return value_; }

 private:
  std::vector<std::set<std::string>> names_;
  std::optional<std::string> repeated_;
  json value_;
};

std::optional<std::vector<std::uint64_t>> whole_numbers(const json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) return std::nullopt;
  std::vector<std::uint64_t> numbers;
  for (const json& number : *found) {
    if (!number.is_number_unsigned()) return std::nullopt;
    numbers.push_back(number.get<std::uint64_t>());
  }
  return numbers;
}

// Divides instead of multiplying, so that no shape can overflow its way to the right size.
bool fits(const std::vector<std::uint64_t>& shape, std::uint64_t bytes, std::uint64_t item) {
  constexpr std::uint64_t kExtentMax = 1ull << 62;
  if (std::ranges::any_of(shape, [](std::uint64_t extent) { return extent > kExtentMax; })) return false;
  if (std::ranges::find(shape, 0u) != shape.end()) return bytes == 0;
  if (bytes % item != 0) return false;
  std::uint64_t left = bytes / item;
  for (std::uint64_t extent : shape) {
    if (left % extent != 0) return false;
    left /= extent;
  }
  return left == 1;
}

// Of what is a zip archive, which it says by its members.
std::string found_in_zip(const std::string& path) {
  const ZipContents contents = contents_of_zip(path);
  switch (contents.kind) {
    case ZipContents::Kind::kTorch:
      return fmt::format("{}: {}", contents.text(), kFromTorch);
    case ZipContents::Kind::kNumpy:
      return fmt::format(
          "{}: if those are weights, safetensors.numpy.save_file(dict(numpy.load(FILE)), \"model.safetensors\") writes "
          "them",
          contents.text());
    case ZipContents::Kind::kOther:
      return fmt::format("{}: give the file of weights itself, unpacked", contents.text());
    case ZipContents::Kind::kUnreadable:
      break;
  }
  return fmt::format("{}; where torch.save has written it: {}", contents.text(), kFromTorch);
}

// Of any other kind.
std::string found_instead(std::string_view begin) {
  std::string what = file_of_bytes(begin);
  if (what == kPickle.what)
    return fmt::format("{}, as torch.save writes them, which is never read: {}", what, kFromTorch);
  if (begins_as(begin, kNumpyFile))
    return fmt::format(
        "{}: if it is of weights, safetensors.numpy.save_file({{NAME: numpy.load(FILE)}}, "
        "\"model.safetensors\") writes them",
        what);
  return what;
}

// What a message can bear of a value.
std::string brief(const json& value) {
  constexpr std::size_t kMost = 40;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "...";
  return text;
}

template <typename Bits, typename Convert>
std::vector<float> converted(std::span<const std::byte> bytes, Convert convert) {
  std::vector<float> values(bytes.size() / sizeof(Bits));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof bits);
    values[i] = convert(bits);
  }
  return values;
}

// None of a type that is not of floats.
std::vector<float> floats(const std::string& dtype, std::span<const std::byte> bytes) {
  if (dtype == "F32") {
    std::vector<float> values(bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  if (dtype == "F64") return converted<double>(bytes, [](double value) { return static_cast<float>(value); });
  if (dtype == "F16") return converted<std::uint16_t>(bytes, from_half);
  if (dtype == "BF16") return converted<std::uint16_t>(bytes, from_bfloat);
  return {};
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Result<TensorFile> run() {
    RUBATO_ASSIGN(const std::string_view text, header_text());
    const Header header(text);
    if (!header.is_object()) return wrong("the header is no JSON object");
    if (header.repeated()) return wrong("the header has \"{}\" twice", *header.repeated());
    for (const auto& [key, entry] : header.value().items()) {
      if (key == "__metadata__") {
        RUBATO_TRY(read_metadata(entry));
      } else {
        RUBATO_TRY(read_entry(key, entry));
      }
    }
    RUBATO_TRY(read_values());
    return std::move(file_);
  }

 private:
  struct Place {
    std::uint64_t begin, end;
    Tensor tensor;
  };

  template <class... Arguments>
  Error wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kData, fmt::format("{}: {}", name_, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  Result<std::string_view> header_text() {
    std::uint64_t length = 0;
    if (bytes_.size() < sizeof length) {
      return wrong("expected the 8 bytes of a safetensors header length, found {}", bytes_.size());
    }
    std::memcpy(&length, bytes_.data(), sizeof length);
    const std::uint64_t rest = bytes_.size() - sizeof length;
    const std::string_view begin(reinterpret_cast<const char*>(bytes_.data()), std::min(bytes_.size(), kFileKindBytes));
    // A header of 640 bytes begins as a pickle does; but then the length makes sense, and an object follows.
    const bool object = rest > 0 && static_cast<char>(bytes_[sizeof length]) == '{';
    if (length > kHeaderBytesMax || (!object && kind_of_file(begin) != nullptr))
      return wrong("expected safetensors, found {}", found_instead(begin));
    if (length > rest)
      return wrong("expected a header of {} bytes, found {} bytes: cut off, or no safetensors file", length, rest);
    const std::span<const std::byte> header = bytes_.subspan(sizeof length, length);
    values_ = bytes_.subspan(sizeof length + length);
    return std::string_view(reinterpret_cast<const char*>(header.data()), header.size());
  }

  Status read_metadata(const json& entry) {
    const auto is_text = [](const json& value) { return value.is_string(); };
    if (!entry.is_object() || !std::ranges::all_of(entry, is_text)) return wrong("__metadata__ must map text to text");
    file_.metadata = entry.get<Metadata>();
    return {};
  }

  Status read_entry(const std::string& key, const json& entry) {
    if (!entry.is_object()) return wrong("tensor {}: expected an object", key);
    const auto dtype = entry.find("dtype");
    const auto item =
        dtype == entry.end() || !dtype->is_string() ? item_bytes().end() : item_bytes().find(dtype->get<std::string>());
    if (item == item_bytes().end()) {
      return wrong("tensor {}: expected a dtype of the format, such as \"F32\", found {}", key,
                   dtype == entry.end() ? "none" : brief(*dtype));
    }
    const auto shape = whole_numbers(entry, "shape"), offsets = whole_numbers(entry, "data_offsets");
    if (!shape) return wrong("tensor {}: shape must be a list of whole numbers", key);
    if (!offsets || offsets->size() != 2) return wrong("tensor {}: data_offsets must be two whole numbers", key);
    const std::uint64_t begin = offsets->front(), end = offsets->back();
    if (begin > end || end > values_.size()) {
      return wrong("tensor {}: data_offsets {} to {} are not within the {} bytes of values", key, begin, end,
                   values_.size());
    }
    if (!fits(*shape, end - begin, item->second))
      return wrong("tensor {}: its shape does not fit its {} bytes", key, end - begin);
    places_.push_back({begin, end, {key, std::vector<std::int64_t>(shape->begin(), shape->end()), {}, item->first}});
    return {};
  }

  // Every byte of the values belongs to exactly one tensor.
  Status read_values() {
    std::ranges::sort(places_, {}, [](const Place& place) { return std::pair(place.begin, place.end); });
    std::uint64_t next = 0;
    for (Place& place : places_) {
      if (place.begin != next) {
        return wrong("tensor {}: its values start at byte {}, expected {}: a hole or an overlap", place.tensor.name,
                     place.begin, next);
      }
      place.tensor.values = floats(place.tensor.dtype, values_.subspan(place.begin, place.end - place.begin));
      next = place.end;
      file_.tensors.push_back(std::move(place.tensor));
    }
    if (next != values_.size()) return wrong("expected {} bytes of values, found {}", next, values_.size());
    return {};
  }

  const std::span<const std::byte> bytes_;
  const std::string& name_;
  std::span<const std::byte> values_;
  std::vector<Place> places_;
  TensorFile file_;
};

}  // namespace

Result<TensorFile> parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return Parser(bytes, name).run();
}

Result<TensorFile> read_safetensors(const std::string& path) {
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  if (failure) return Error{Cause::kData, fmt::format("{}: {}", path, failure.message())};
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Cause::kData, fmt::format("{}: {}", path, std::strerror(errno))};
  std::string begin(4, '\0');
  begin.resize(static_cast<std::size_t>(file.read(begin.data(), 4).gcount()));
  if (begins_as_zip(begin))
    return Error{Cause::kData, fmt::format("{}: expected safetensors, found {}", path, found_in_zip(path))};
  file.clear();
  file.seekg(0);
  std::vector<char> bytes(size);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) {
    return Error{Cause::kData, fmt::format("{}: expected {} bytes, read {}", path, size, file.gcount())};
  }
  return parse_safetensors(std::as_bytes(std::span(bytes)), path);
}

}  // namespace rubato::data
