#include "data/gzip_source.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>

namespace rubato::data {
namespace {

constexpr std::size_t kReadBytesMax = 1 << 30;  // as large as gzread's count may be
constexpr std::uint64_t kExpansionMax = 1032;   // of deflate: no byte of a gzip file stands for more

class GzipSource : public ByteSource {
 public:
  static Result<std::unique_ptr<ByteSource>> open(const std::string& path) {
    errno = 0;
    std::unique_ptr<GzipSource> source(new GzipSource(path, gzopen(path.c_str(), "rb")));
    if (source->file_ == nullptr) return source->error(errno != 0 ? std::strerror(errno) : "out of memory");
    gzbuffer(source->file_.get(), 1 << 18);
    return std::unique_ptr<ByteSource>(std::move(source));
  }

  Result<std::size_t> read(std::span<std::uint8_t> target) override {
    std::size_t filled = 0;
    while (filled < target.size()) {
      const std::size_t wanted = std::min(target.size() - filled, kReadBytesMax);
      const int got = gzread(file_.get(), target.data() + filled, static_cast<unsigned>(wanted));
      if (got > 0) filled += static_cast<std::size_t>(got);
      if (got < static_cast<int>(wanted)) {
        RUBATO_TRY(check());
        break;
      }
    }
    return filled;
  }

  const std::string& name() const override { return path_; }

  std::uint64_t bytes_max() const override {
    std::error_code failed;
    const std::uint64_t bytes = std::filesystem::file_size(path_, failed);
    if (failed) return std::numeric_limits<std::uint64_t>::max();  // no regular file: a pipe, say
    return gzdirect(file_.get()) != 0 ? bytes : bytes * kExpansionMax;
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };

  GzipSource(std::string path, gzFile file) : path_(std::move(path)), file_(file) {}

  Status check() {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    switch (code) {
      case Z_OK:
      case Z_STREAM_END:
        return {};
      case Z_ERRNO:
        return error(std::strerror(errno));
      case Z_BUF_ERROR:
        return error("the gzip file is cut off: its end is missing");
      default:
        return error(fmt::format("the gzip file is damaged: {}", text));
    }
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_file(const std::string& path) { return GzipSource::open(path); }

}  // namespace rubato::data
