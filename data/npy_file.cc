#include "data/npy_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "base/file_kind.h"
#include "data/idx_file.h"
#include "data/npy_header_text.h"

namespace rubato::data {
namespace {

static_assert(std::endian::native == std::endian::little, "'<' is this machine's order of bytes");

constexpr std::size_t kHeaderBytesMax = 1 << 16;
constexpr std::size_t kChunkBytes = 1 << 20;  // a multiple of every item
constexpr std::uint64_t kValuesMax = 1ull << 40;

template <class Value>
Value load(const std::uint8_t* bytes, bool swapped) {
  std::uint8_t copy[sizeof(Value)];
  std::memcpy(copy, bytes, sizeof(Value));
  if (swapped) std::reverse(std::begin(copy), std::end(copy));
  return std::bit_cast<Value>(copy);
}

// Hands `take` one value after the other, and the number of the value.
template <class Take>
Status read_values(ByteSource& source, const NpyHeader& header, Take take) {
  std::vector<std::uint8_t> chunk(std::min<std::uint64_t>(kChunkBytes, header.bytes() + 1));
  std::uint64_t done = 0;
  const auto cut_off = [&](std::uint64_t got) {
    return source.error(
        fmt::format("cut off: the header says {}, which is {} bytes, found {}", header.text(), header.bytes(), got));
  };
  while (done < header.bytes()) {
    const std::size_t wanted = std::min<std::uint64_t>(chunk.size(), header.bytes() - done) / header.item * header.item;
    RUBATO_ASSIGN(const std::size_t got, source.read(std::span(chunk).first(wanted)));
    if (got < wanted) return cut_off(done + got);
    for (std::size_t at = 0; at < wanted; at += header.item)
      RUBATO_TRY(take(chunk.data() + at, (done + at) / header.item));
    done += wanted;
  }
  RUBATO_ASSIGN(const std::size_t more, source.read(std::span(chunk).first(1)));  // and the end is sound
  if (more > 0) return source.error(fmt::format("too long: there is more behind {}", header.text()));
  return {};
}

template <class Value>
Status make_room(const ByteSource& source, const NpyHeader& header, std::vector<Value>& values) {
  if (header.bytes() > source.bytes_max())
    return source.error(fmt::format("cut off: the header says {}, which is {} bytes, and no more than {} can be there",
                                    header.text(), header.bytes(), source.bytes_max()));
  try {
    values.reserve(header.values);
  } catch (const std::bad_alloc&) {
    return source.error(fmt::format("there is no memory for {}", header.text()));
  } catch (const std::length_error&) {
    return source.error(fmt::format("there is no memory for {}", header.text()));
  }
  return {};
}

std::uint64_t values_of_a_sample(const NpyHeader& header) {
  return header.values / static_cast<std::uint64_t>(header.extents.front());
}

// Whether the value lies in one of its sample's rows that are there.
bool is_there(const NpyHeader& header, std::span<const std::int32_t> lengths, std::uint64_t value) {
  if (lengths.empty()) return true;
  const std::uint64_t width = values_of_a_sample(header), row = width / static_cast<std::uint64_t>(header.extents[1]);
  return value % width < static_cast<std::uint64_t>(lengths[value / width]) * row;
}

// Which sample, and which value of it.
std::string place_text(const NpyHeader& header, std::uint64_t value) {
  const std::uint64_t width = values_of_a_sample(header);
  return fmt::format("sample {}, value {}", value / width, value % width);
}

std::int64_t load_integer(const std::uint8_t* bytes, const NpyHeader& header) {
  const bool swapped = header.swapped;
  if (header.kind == 'i') {
    switch (header.item) {
      case 1:
        return load<std::int8_t>(bytes, swapped);
      case 2:
        return load<std::int16_t>(bytes, swapped);
      case 4:
        return load<std::int32_t>(bytes, swapped);
      default:
        return load<std::int64_t>(bytes, swapped);
    }
  }
  switch (header.item) {
    case 1:
      return *bytes;
    case 2:
      return load<std::uint16_t>(bytes, swapped);
    case 4:
      return load<std::uint32_t>(bytes, swapped);
    default:  // what is beyond the sign is out of any range: it may stand for the greatest that is not
      return static_cast<std::int64_t>(
          std::min<std::uint64_t>(load<std::uint64_t>(bytes, swapped), std::numeric_limits<std::int64_t>::max()));
  }
}

Status set_type(const ByteSource& source, const std::string& descr, NpyHeader& header) {
  const auto refuse = [&](std::string_view why) {
    return source.error(fmt::format("dtype '{}' is not read: {}", descr, why));
  };
  const bool has_order = !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  const char kind = descr.size() > (has_order ? 1 : 0) ? descr[has_order ? 1 : 0] : '\0';
  if (kind == 'O')
    return refuse(
        "Python objects are a pickle, which would run code from the file and is never read: save the array with the "
        "dtype of a number, as by astype(numpy.float32), or of labels by astype(numpy.int64)");
  if (kind == 'U' || kind == 'S')
    return refuse("texts: save their numbers instead, as numpy.unique(texts, return_inverse=True)[1] gives them");
  if (descr.size() < 3 || !has_order) return refuse("expected a plain number, such as '|u1' or '<f4'");
  header.kind = kind;
  if (std::string_view("uifb").find(header.kind) == std::string_view::npos)
    return refuse("expected whole numbers, floats or truth values");
  const std::string_view size = std::string_view(descr).substr(2);
  if (size != "1" && size != "2" && size != "4" && size != "8") return refuse("expected 1, 2, 4 or 8 bytes");
  header.item = static_cast<std::size_t>(size[0] - '0');
  if (header.kind == 'f' && header.item < 4) return refuse("convert it by astype(numpy.float32)");
  if (header.kind == 'b' && header.item != 1) return refuse("expected truth values of 1 byte");
  header.swapped = descr[0] == '>' && header.item > 1;
  return {};
}

Status set_extents(const ByteSource& source, NpyHeader& header, std::vector<std::int64_t> extents) {
  header.extents = std::move(extents);
  if (header.extents.empty()) return source.error("a single number: expected an array");
  for (std::int64_t extent : header.extents) {
    if (extent <= 0)
      return source.error(fmt::format("the header says {}: there is nothing in it", extents_text(header.extents)));
    if (header.values > kValuesMax / static_cast<std::uint64_t>(extent))
      return source.error(fmt::format("the header says {}: more than the {} values that are read at most",
                                      extents_text(header.extents), kValuesMax));
    header.values *= static_cast<std::uint64_t>(extent);
  }
  return {};
}

// An array of which all but one extent is 1 lies the same way in either order.
bool order_matters(const NpyHeader& header) {
  return std::ranges::count_if(header.extents, [](std::int64_t extent) { return extent != 1; }) > 1;
}

// The text of the header, without its padding.
Result<std::string> read_header_text(ByteSource& source) {
  std::uint8_t start[8] = {};
  RUBATO_ASSIGN(const std::size_t got, source.read(start));
  if (got < sizeof start || !begins_as({reinterpret_cast<const char*>(start), got}, kNumpyFile))
    return source.error(
        fmt::format("expected a numpy array (npy), found {}",
                    file_of_bytes({reinterpret_cast<const char*>(start), std::min(got, sizeof start)})));
  const unsigned version = start[6];
  if (version < 1 || version > 3)
    return source.error(fmt::format("expected version 1, 2 or 3 of numpy's format, found {}", version));
  std::uint8_t length_bytes[4] = {};
  const std::size_t length_size = version == 1 ? 2 : 4;
  RUBATO_ASSIGN(const std::size_t length_got, source.read(std::span(length_bytes).first(length_size)));
  const std::uint32_t length = load<std::uint32_t>(length_bytes, false);
  if (length_got < length_size || length > source.bytes_max()) return source.error("cut off in the header");
  if (length > kHeaderBytesMax)
    return source.error(fmt::format("expected a header of at most {} bytes, found {}", kHeaderBytesMax, length));
  std::string text(length, '\0');
  RUBATO_ASSIGN(const std::size_t text_got,
                source.read(std::span(reinterpret_cast<std::uint8_t*>(text.data()), text.size())));
  if (text_got < length)
    return source.error(fmt::format("cut off in the header: expected {} bytes, found {}", length, text_got));
  return text;
}

}  // namespace

std::string NpyHeader::type_text() const {
  if (kind == 'b') return "bool";
  return fmt::format("{}{}", kind == 'u' ? "uint" : kind == 'i' ? "int" : "float", 8 * item);
}

std::string NpyHeader::text() const { return fmt::format("{}, {}", type_text(), extents_text(extents)); }

Result<NpyHeader> read_npy_header(ByteSource& source) {
  RUBATO_ASSIGN(const std::string text, read_header_text(source));
  Result<NpyHeaderText> parsed = parse_npy_header(text);
  if (!parsed.ok()) return parsed.error().in(source.name());
  NpyHeader header;
  RUBATO_TRY(set_type(source, parsed->descr, header));
  RUBATO_TRY(set_extents(source, header, std::move(parsed->shape)));
  if (parsed->fortran_order && order_matters(header))
    return source.error(
        "an array with its columns first (Fortran's order) is not read: save it through "
        "numpy.ascontiguousarray");
  return header;
}

Result<std::vector<std::uint8_t>> read_npy_bytes(ByteSource& source, const NpyHeader& header) {
  RUBATO_CHECK(header.kind == 'u' && header.item == 1);
  std::vector<std::uint8_t> values;
  RUBATO_TRY(make_room(source, header, values));
  RUBATO_TRY(read_values(source, header, [&](const std::uint8_t* bytes, std::uint64_t) -> Status {
    values.push_back(*bytes);
    return {};
  }));
  return values;
}

Result<std::vector<std::uint16_t>> read_npy_words(ByteSource& source, const NpyHeader& header) {
  RUBATO_CHECK(header.kind == 'u' && header.item == 2);
  std::vector<std::uint16_t> values;
  RUBATO_TRY(make_room(source, header, values));
  RUBATO_TRY(read_values(source, header, [&](const std::uint8_t* bytes, std::uint64_t) -> Status {
    values.push_back(load<std::uint16_t>(bytes, header.swapped));
    return {};
  }));
  return values;
}

Result<std::vector<float>> read_npy_floats(ByteSource& source, const NpyHeader& header,
                                           std::span<const std::int32_t> lengths) {
  RUBATO_CHECK(header.kind == 'f');
  std::vector<float> values;
  RUBATO_TRY(make_room(source, header, values));
  RUBATO_TRY(read_values(source, header, [&](const std::uint8_t* bytes, std::uint64_t number) -> Status {
    const double value = header.item == 8 ? load<double>(bytes, header.swapped)
                                          : static_cast<double>(load<float>(bytes, header.swapped));
    const auto narrow = static_cast<float>(value);
    if (!std::isfinite(narrow) && is_there(header, lengths, number))
      return source.error(
          fmt::format("{}: expected a finite number of 32 bits, found {}", place_text(header, number), value));
    values.push_back(narrow);
    return {};
  }));
  return values;
}

Result<std::vector<std::int64_t>> read_npy_integers(ByteSource& source, const NpyHeader& header) {
  RUBATO_CHECK(header.kind != 'f');
  std::vector<std::int64_t> values;
  RUBATO_TRY(make_room(source, header, values));
  RUBATO_TRY(read_values(source, header, [&](const std::uint8_t* bytes, std::uint64_t) -> Status {
    values.push_back(load_integer(bytes, header));
    return {};
  }));
  return values;
}

}  // namespace rubato::data
