#include "data/npz_write.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <string_view>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/utf8.h"

namespace rubato::data {
namespace {

static_assert(std::endian::native == std::endian::little, "values go to the file as they lie in memory");

constexpr std::uint64_t kBytesMax = (std::uint64_t{1} << 32) - 1;  // beyond it zip has other headers

std::string type_of(const NpyArray& array) {
  if (std::holds_alternative<std::span<const float>>(array.values)) return "<f4";
  if (std::holds_alternative<std::span<const std::int64_t>>(array.values)) return "<i8";
  std::size_t texts = 1;
  for (const std::int64_t extent : array.extents) texts *= static_cast<std::size_t>(extent);
  const std::size_t letters = std::get<std::span<const char32_t>>(array.values).size();
  return fmt::format("<U{}", letters / std::max<std::size_t>(texts, 1));
}

std::u32string letters_of(std::string_view text) {
  std::u32string letters;
  if (!is_utf8(text)) {
    for (const char byte : text) letters += static_cast<char32_t>(static_cast<unsigned char>(byte));
    return letters;
  }
  while (const std::size_t bytes = utf8_letter_bytes(text)) {
    constexpr unsigned kFirst[] = {0, 0x7f, 0x1f, 0x0f, 0x07};  // the bits of the first byte that are the letter's
    char32_t letter = static_cast<unsigned char>(text.front()) & kFirst[bytes];
    for (const char next : text.substr(1, bytes - 1)) letter = letter << 6 | (static_cast<unsigned char>(next) & 0x3fU);
    letters += letter;
    text.remove_prefix(bytes);
  }
  return letters;
}

// Version 1.0: a header that ends at a multiple of 64 bytes.
std::string npy_header(const NpyArray& array) {
  std::string shape;
  for (const std::int64_t extent : array.extents) shape += fmt::format("{}, ", extent);
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type_of(array), shape);
  constexpr std::size_t kBefore = 10;
  text.resize((text.size() + 1 + kBefore + 63) / 64 * 64 - kBefore, ' ');
  text.back() = '\n';
  const auto length = static_cast<std::uint16_t>(text.size());
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(length & 0xff);
  header += static_cast<char>(length >> 8);
  return header + text;
}

class Fields {
 public:
  Fields& u16(std::uint64_t value) { return put(value, 2); }
  Fields& u32(std::uint64_t value) { return put(value, 4); }
  Fields& text(const std::string& text) {
    bytes_ += text;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  Fields& put(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_ += static_cast<char>(value >> 8 * i & 0xff);
    return *this;
  }
  std::string bytes_;
};

struct Member {
  std::string name;
  std::uint64_t crc = 0, size = 0, offset = 0;

  // What the two headers of a member share: from the version that is needed to read it to the length of its name.
  void put_common(Fields& fields) const {
    constexpr std::uint64_t kVersion = 20, kFlags = 0, kStored = 0, kTime = 0, kDate = 0x21;  // 1980-01-01
    fields.u16(kVersion).u16(kFlags).u16(kStored).u16(kTime).u16(kDate);
    fields.u32(crc).u32(size).u32(size).u16(name.size()).u16(0);
  }
};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::span<const std::byte> bytes_of(const NpyArray& array) {
  return std::visit([](const auto& values) { return std::as_bytes(values); }, array.values);
}

std::uint64_t add_crc(std::uint64_t crc, std::span<const std::byte> bytes) {
  return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

}  // namespace

std::vector<char32_t> npy_letters(std::span<const std::string> texts) {
  std::vector<std::u32string> all;
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, all.emplace_back(letters_of(text)).size());
  std::vector<char32_t> letters;
  for (std::u32string& text : all) {
    text.resize(width);
    letters.insert(letters.end(), text.begin(), text.end());
  }
  return letters;
}

Status write_npz(const std::string& path, std::span<const NpyArray> arrays) {
  std::uint64_t all = 0;
  for (const NpyArray& array : arrays) all += bytes_of(array).size() + 1024;
  if (all > kBytesMax)
    return Error{Cause::kStorage, fmt::format("{}: {} bytes are too many for an npz file", path, all)};
  RUBATO_ASSIGN(AtomicFile file, AtomicFile::create(path));
  std::vector<Member> members;
  std::uint64_t offset = 0;
  for (const NpyArray& array : arrays) {
    const std::string header = npy_header(array);
    Member& member = members.emplace_back(Member{array.name + ".npy", 0, 0, offset});
    member.size = header.size() + bytes_of(array).size();
    member.crc = add_crc(add_crc(0, bytes_of(header)), bytes_of(array));
    Fields local;
    member.put_common(local.u32(0x04034b50));
    local.text(member.name);
    for (const std::span<const std::byte> part : {bytes_of(local.bytes()), bytes_of(header), bytes_of(array)})
      RUBATO_TRY(file.write(part));
    offset += local.bytes().size() + member.size;
  }
  Fields directory;
  for (const Member& member : members) {
    member.put_common(directory.u32(0x02014b50).u16(20));
    directory.u16(0).u16(0).u16(0).u32(0).u32(member.offset).text(member.name);
  }
  Fields end;
  end.u32(0x06054b50).u16(0).u16(0).u16(members.size()).u16(members.size());
  end.u32(directory.bytes().size()).u32(offset).u16(0);
  RUBATO_TRY(file.write(bytes_of(directory.bytes())));
  RUBATO_TRY(file.write(bytes_of(end.bytes())));
  return file.commit();
}

}  // namespace rubato::data
