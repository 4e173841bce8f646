#include "base/job_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_kind.h"
#include "base/job_schema.h"

namespace rubato {
namespace {

namespace fs = std::filesystem;
// What a key may name.
struct Expected {
  const char* what;
  std::vector<FileKind> kinds;  // one of these; none: anything that is not of another kind known here
  bool file = true, folder = false;
};

class FileChecker {
 public:
  FileChecker(const Job& job, const Where& where) : data_(job.data), where_(where) {
    reads_test_ = job.evaluation.enabled && job.evaluation.part == "test";
  }

  Status run() const {
    const std::string& kind = data_.kind;
    if (kind == "idx") return check_pairs({"an idx file", {kIdxFile, kGzipFile}});
    if (kind == "npy") return check_pairs({"a numpy array (npy)", {kNumpyFile, kGzipFile}});
    if (kind == "npz") return check("data.path", data_.path, {"a numpy archive (npz)", {kZipFile, kEmptyZipFile}});
    if (kind == "cifar") return check_folder("a folder of CIFAR's binary files");
    if (kind == "folder") return check_folder("a folder of images");
    if (kind == "text") return check("data.path", data_.path, {"a text, or a folder of texts", {}, true, true});
    if (kind == "csv" || kind == "series") return check_tables("a table of text (CSV)");
    if (kind == "libsvm") return check_tables("lines of text (libsvm)");
    return {};
  }

 private:
  Status check_pairs(const Expected& expected) const {
    RUBATO_TRY(check("data.train_inputs", data_.train_inputs, expected));
    RUBATO_TRY(check("data.train_labels", data_.train_labels, expected));
    RUBATO_TRY(check("data.train_lengths", data_.train_lengths, expected));
    if (!reads_test_) return {};
    RUBATO_TRY(check("data.test_inputs", data_.test_inputs, expected));
    RUBATO_TRY(check("data.test_labels", data_.test_labels, expected));
    return check("data.test_lengths", data_.test_lengths, expected);
  }

  Status check_tables(const char* what) const {
    const Expected expected{what, {}};
    RUBATO_TRY(check("data.path", data_.path, expected));
    RUBATO_TRY(check("data.train_inputs", data_.train_inputs, expected));
    return reads_test_ ? check("data.test_inputs", data_.test_inputs, expected) : Status();
  }

  Status check_folder(const char* what) const {
    return check("data.path", data_.path, {what, {}, /*file=*/false, /*folder=*/true});
  }

  // Keys that are not given are none of this: check_job knows who needs them.
  Status check(std::string_view key, const std::string& path, const Expected& expected) const {
    if (path.empty()) return {};
    const auto wrong = [&](const std::string& why) {
      return Error{Cause::kData, fmt::format("{}: {}: {}: {}", where_(key), key, path, why)};
    };
    std::error_code failed;
    const fs::file_status status = fs::status(path, failed);
    if (!fs::exists(status)) return wrong(std::strerror(failed ? failed.value() : ENOENT));
    if (fs::is_directory(status)) {
      if (!expected.folder) return wrong(fmt::format("expected {}, found a folder", expected.what));
      const fs::directory_iterator entries(path, failed);
      if (failed) return wrong(std::strerror(failed.value()));
      return entries == fs::directory_iterator() ? wrong("there is nothing in it") : Status();
    }
    if (!expected.file) return wrong(fmt::format("expected {}, found a file", expected.what));
    if (!fs::is_regular_file(status)) return {};  // what is read of a pipe is gone
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) return wrong(std::strerror(errno));
    std::string begin(kFirstMemberBytes, '\0');
    begin.resize(static_cast<std::size_t>(file.read(begin.data(), kFirstMemberBytes).gcount()));
    if (begin.empty()) return wrong("there is nothing in it");
    if (begins_as_torch_file(begin) && !expected.folder)
      return wrong(fmt::format("expected {}, found {}{}", expected.what, kTorchPickle, instead_of_pickle()));
    if (begins_so(begin, expected)) return {};
    return wrong(fmt::format("expected {}, found {}", expected.what, file_of_bytes(begin.substr(0, kFileKindBytes))));
  }

  [[nodiscard]] const char* instead_of_pickle() const {
    if (data_.kind == "npy") return "; numpy.save(FILE, ...) writes what is";
    return data_.kind == "npz" ? "; numpy.savez(FILE, train_images=..., train_labels=...) writes what is" : "";
  }

  // A text may be of any bytes, and may be compressed; a table is no file of another kind.
  static bool begins_so(std::string_view begin, const Expected& expected) {
    if (expected.folder) return true;
    if (!expected.kinds.empty())
      return std::ranges::any_of(expected.kinds, [&](const FileKind& kind) { return begins_as(begin, kind); });
    const FileKind* const found = kind_of_file(begin);
    return found == nullptr || found->signature == kGzipFile.signature;
  }

  const DataConfig& data_;
  const Where& where_;
  bool reads_test_ = false;
};

}  // namespace

Result<Job> load_job_and_see_data(const std::string& path, const Overrides& overrides) {
  return load_job(path, overrides, [](const Job& job, const Where& where) { return FileChecker(job, where).run(); });
}

std::vector<std::string> data_notes(const Job& job) {
  const DataConfig &data = job.data, plain;
  std::error_code failed;
  std::vector<std::string> notes;
  if (data.kind != "folder" || !fs::is_directory(fs::path(data.path) / "train", failed)) return notes;
  const bool drawn = job.evaluation.holdout > 0.0;                             // of the training part
  const bool fractions = data.validation_fraction + data.test_fraction > 0.0;  // else job_notes knows of groups
  const std::pair<const char*, bool> idle[] = {
      {"data.validation_fraction", data.validation_fraction != plain.validation_fraction},
      {"data.test_fraction", data.test_fraction != plain.test_fraction},
      {"data.split_seed", !drawn && data.split_seed != plain.split_seed},
      {"data.group", !drawn && fractions && !data.group.empty()}};
  for (const auto& [key, given] : idle)
    if (given)
      notes.push_back(fmt::format("{} has no effect on {}, which is not split: it has a folder train{}", key, data.path,
                                  drawn ? "" : ", and evaluation.holdout is 0"));
  return notes;
}

}  // namespace rubato
