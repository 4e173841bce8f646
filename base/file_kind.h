// What kind of file begins so: for a message to whoever expected another.
//
// By the first bytes alone, which the formats' own descriptions give ("signatures", "magic numbers"). A text has none:
// it is told by having letters only.
//
// Thread-safety: pure functions and constants.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rubato {

struct FileKind {
  std::string_view signature;
  std::string_view what;  // "a JPEG image"
};

// Those that somebody reads, or asks for by name; the others are in file_kind.cc.
inline constexpr FileKind kGzipFile{{"\x1F\x8B", 2}, "a gzip file"};
inline constexpr FileKind kIdxFile{{"\0\0\x08", 3}, "an idx file"};
inline constexpr FileKind kNumpyFile{{"\x93NUMPY", 6}, "a numpy array (npy)"};
inline constexpr FileKind kZipFile{{"PK\x03\x04", 4}, "a zip archive, as npz and xlsx files are"};
inline constexpr FileKind kEmptyZipFile{{"PK\x05\x06", 4}, "a zip archive of nothing"};
inline constexpr FileKind kPickle{{"\x80\x02", 2}, "a pickle"};  // of protocol 2; the later ones are among the others

// What torch.save writes, before PyTorch 1.6; else a zip archive, whose first member is a pickle in a folder.
inline constexpr FileKind kOldTorchFile{{"\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20", 10}, "a pickle"};
inline constexpr std::string_view kTorchPickle = "what torch.save writes: that is a pickle, which is never read";
[[nodiscard]] constexpr bool is_pickle_of_torch(std::string_view member) {
  return member == "data.pkl" || member.ends_with("/data.pkl");
}

inline constexpr std::size_t kFileKindBytes = 16;  // no signature is longer

// Null: none that is known here. `begin`: the file's first bytes, kFileKindBytes where there are so many.
[[nodiscard]] const FileKind* kind_of_file(std::string_view begin);

// "a JPEG image"; else `a text that begins with "<html>"`, or "a file that begins with 4d 5a"; "an empty file".
[[nodiscard]] std::string file_of_bytes(std::string_view begin);

[[nodiscard]] constexpr bool begins_as(std::string_view begin, const FileKind& kind) {
  return begin.starts_with(kind.signature);
}
[[nodiscard]] constexpr bool begins_as_zip(std::string_view begin) {
  return begins_as(begin, kZipFile) || begins_as(begin, kEmptyZipFile);
}

// The name of an archive's first member; empty, where `begin` does not reach so far. PKWARE's APPNOTE.TXT, 4.3.7.
inline constexpr std::size_t kFirstMemberBytes = 256;  // enough for any of torch.save's, but for the longest of names
[[nodiscard]] constexpr std::string_view first_member_of_zip(std::string_view begin) {
  constexpr std::size_t kLengthAt = 26, kNameAt = 30;
  if (!begins_as(begin, kZipFile) || begin.size() < kNameAt) return {};
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(begin[at])); };
  const std::size_t length = byte(kLengthAt) | byte(kLengthAt + 1) << 8;
  return begin.size() - kNameAt < length ? std::string_view() : begin.substr(kNameAt, length);
}
[[nodiscard]] constexpr bool begins_as_torch_file(std::string_view begin) {
  return begins_as(begin, kOldTorchFile) || is_pickle_of_torch(first_member_of_zip(begin));
}

}  // namespace rubato
