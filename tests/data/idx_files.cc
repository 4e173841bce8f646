#include "tests/data/idx_files.h"

#include <zlib.h>

#include <fstream>

#include "base/check.h"

namespace rubato::data::test {

std::string idx_bytes(const std::vector<std::uint32_t>& extents, const std::string& values, std::uint8_t type) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(extents.size())};
  for (std::uint32_t extent : extents) {
    for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift & 0xFF);
  }
  return bytes + values;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;  // window bits, plus 16 for a gzip header
  RUBATO_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  RUBATO_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

void write_bytes(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

}  // namespace rubato::data::test
