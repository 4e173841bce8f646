#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "data/safetensors.h"

namespace rubato::data {
namespace {

using nlohmann::json;

constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit

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
bool fits(const std::vector<std::uint64_t>& shape, std::uint64_t bytes) {
  constexpr std::uint64_t kExtentMax = 1ull << 62;
  if (std::ranges::any_of(shape, [](std::uint64_t extent) { return extent > kExtentMax; })) return false;
  if (std::ranges::find(shape, 0u) != shape.end()) return bytes == 0;
  if (bytes % sizeof(float) != 0) return false;
  std::uint64_t left = bytes / sizeof(float);
  for (std::uint64_t extent : shape) {
    if (left % extent != 0) return false;
    left /= extent;
  }
  return left == 1;
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
    if (length > kHeaderBytesMax || length > rest) {
      return wrong("expected a header of {} bytes, found {} bytes: cut off, or no safetensors file", length, rest);
    }
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
    if (dtype == entry.end() || *dtype != "F32") {
      return wrong("tensor {}: expected dtype \"F32\", found {}", key, dtype == entry.end() ? "none" : dtype->dump());
    }
    const auto shape = whole_numbers(entry, "shape"), offsets = whole_numbers(entry, "data_offsets");
    if (!shape) return wrong("tensor {}: shape must be a list of whole numbers", key);
    if (!offsets || offsets->size() != 2) return wrong("tensor {}: data_offsets must be two whole numbers", key);
    const std::uint64_t begin = offsets->front(), end = offsets->back();
    if (begin > end || end > values_.size()) {
      return wrong("tensor {}: data_offsets {} to {} are not within the {} bytes of values", key, begin, end,
                   values_.size());
    }
    if (!fits(*shape, end - begin)) return wrong("tensor {}: its shape does not fit its {} bytes", key, end - begin);
    places_.push_back({begin, end, {key, std::vector<std::int64_t>(shape->begin(), shape->end()), {}}});
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
      place.tensor.values.resize((place.end - place.begin) / sizeof(float));
      if (place.end > place.begin) {
        std::memcpy(place.tensor.values.data(), values_.data() + place.begin, place.end - place.begin);
      }
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
  std::vector<char> bytes(size);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) {
    return Error{Cause::kData, fmt::format("{}: expected {} bytes, read {}", path, size, file.gcount())};
  }
  return parse_safetensors(std::as_bytes(std::span(bytes)), path);
}

}  // namespace rubato::data
