// The file of a record (protocol/record.h): written as a run goes, read from its beginning.
//
// Thread-safety: each object belongs to one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/record_coding.h"

namespace rubato::protocol {

class RecordWriter {
 public:
  // Makes DIR and in it NODE.bin, or, where a life before this one has written that, NODE.2.bin and so on.
  // Errors: kStorage, here and below, saying which file and what the system said.
  [[nodiscard]] static Result<RecordWriter> create(const std::string& dir, NodeId node);
  ~RecordWriter();
  RecordWriter(RecordWriter&& other) noexcept;
  RecordWriter& operator=(RecordWriter&& other) noexcept;

  // Once, before the first entry.
  [[nodiscard]] Status begin(const RecordHeader& header);
  // Goes into the open block, which is written when it is large, and by flush().
  [[nodiscard]] Status add(const RecordEntry& entry);
  // The system has it all: the end of this process takes nothing back.
  [[nodiscard]] Status flush();

 private:
  RecordWriter(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  void open_block() { block_.assign(kBlockHead, std::byte{0}); }

  static constexpr std::size_t kBlockHead = 8;  // length and checksum
  static constexpr std::size_t kBlockBytes = 1 << 16;

  std::string path_;
  int descriptor_ = -1;  // -1: moved from
  RecordContext context_;
  std::vector<std::byte> block_;
};

class RecordReader {
 public:
  // Nothing, if the file ends before its header does: its writer never took part. Errors: kData, naming
  // the file, what was expected and found, here and below.
  [[nodiscard]] static Result<std::optional<RecordReader>> open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const RecordHeader& header() const { return header_; }

  // The next entry, until there are no more.
  [[nodiscard]] Result<std::optional<RecordEntry>> next();
  // After the last entry: bytes of a last block that is not whole. Its writer was killed, or its disk full.
  [[nodiscard]] std::size_t bytes_cut_off() const { return rest_.size(); }

 private:
  explicit RecordReader(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] Result<bool> next_block();  // false: there is no whole one
  [[nodiscard]] Error damaged(std::string_view what) const;

  std::string path_;
  std::vector<std::byte> bytes_;
  std::span<const std::byte> rest_, block_;  // behind the current block; what is left of it
  RecordHeader header_;
  RecordContext context_;
};

}  // namespace rubato::protocol
