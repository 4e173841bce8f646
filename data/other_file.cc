#include "data/other_file.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "base/file_kind.h"
#include "data/fitted.h"
#include "data/folder_dataset.h"
#include "data/gzip_source.h"
#include "data/holdout.h"
#include "data/idx_dataset.h"
#include "data/libsvm_dataset.h"
#include "data/npy_dataset.h"
#include "data/series_dataset.h"
#include "data/table_dataset.h"
#include "data/text_dataset.h"
#include "data/zip_contents.h"

namespace rubato::data {
namespace {

// The first bytes; of a gzip file those of what is packed in it.
Result<std::string> beginning_of(const std::string& path) {
  RUBATO_ASSIGN(const std::unique_ptr<ByteSource> source, open_file(path));
  std::array<std::uint8_t, kFileKindBytes> first{};
  RUBATO_ASSIGN(const std::size_t count, source->read(first));
  return std::string(reinterpret_cast<const char*>(first.data()), count);
}

// idx has a zero in its first two bytes, whatever its numbers are.
bool may_be_idx(std::string_view begin) { return begin.starts_with(kIdxFile.signature.substr(0, 2)); }

// What else was found, where samples of a job on `kind` were expected.
Error no_samples(const std::string& path, std::string_view begin, const std::string& kind) {
  std::string way_out;
  if (begins_as_zip(begin) && contents_of_zip(path).kind == ZipContents::Kind::kNumpy)
    way_out = ": save the one array, as numpy.save(\"inputs.npy\", numpy.load(FILE)[NAME]) does";
  else if (begins_as_zip(begin) || kind_of_file(begin) != nullptr)
    way_out = ": numpy.save(\"inputs.npy\", ...) writes what is read";
  return {Cause::kData, fmt::format("{}: --input takes the samples of a job on {} as one npy or idx file, found {}{}",
                                    path, kind, file_found(path, begin), way_out)};
}

// A job may name other targets than its weights were trained for.
Status check_targets(const Job& job, const Fitted& fitted) {
  const std::size_t targets = job.model.loss == "mse" ? job.data.target.size() : 0;
  const std::size_t forecast = job.data.kind == "series" ? targets : 0;
  if (fitted.target_scaling.mean().size() == targets && fitted.naive_errors.size() == forecast) return {};
  return Error{Cause::kData, fmt::format("the weights predict {} numbers, and data.target names {}",
                                         fitted.target_scaling.mean().size(), targets)};
}

// Of csv, folder, libsvm, series and text.
Result<std::unique_ptr<Dataset>> open_file_of(const Job& job, const std::string& path, Answers answers,
                                              const Fitted* fitted) {
  const std::string& kind = job.data.kind;
  if (fitted != nullptr && (kind == "csv" || kind == "series")) RUBATO_TRY(check_targets(job, *fitted));
  if (kind == "csv") return open_table_file(job, path, answers, fitted);
  if (kind == "folder" && answers == Answers::kNone) return open_folder_inputs(job, path, fitted);
  if (kind == "folder") return open_folder_file(as_evaluated(job), path, fitted);
  if (kind == "libsvm") return open_libsvm_file(job, path, answers);
  if (kind == "series") return open_series_file(job.data, path, answers, fitted);
  return open_text_file(job.data, path, answers);
}

}  // namespace

bool reads_answered_file(const Job& job) {
  const std::string& kind = job.data.kind;
  return kind == "csv" || kind == "folder" || kind == "libsvm" || kind == "series" || kind == "text";
}

Result<std::unique_ptr<Dataset>> open_answered_file(const Job& job, const std::string& path, const Fitted* fitted) {
  return open_file_of(without_holdout(job), path, Answers::kRead, fitted);
}

Result<std::unique_ptr<Dataset>> open_inputs_alone(const Job& job, const std::string& path, const std::string& lengths,
                                                   const Fitted* fitted) {
  const std::string& kind = job.data.kind;
  if (!lengths.empty() && kind != "npy" && kind != "npz")
    return Error{Cause::kUsage, fmt::format("--lengths goes with npy and npz, and the job's data is {}", kind)};
  if (reads_answered_file(job)) return open_file_of(without_holdout(job), path, Answers::kNone, fitted);
  if (kind != "idx" && kind != "npy" && kind != "npz" && kind != "cifar")
    return Error{Cause::kUsage, fmt::format("--input: the inputs of data.kind = \"{}\" are not in a file of their own; "
                                            "predict on a part of the job's data: --part test",
                                            kind)};
  RUBATO_ASSIGN(const std::string begin, beginning_of(path));
  const bool npy = begins_as(begin, kNumpyFile);
  if (!npy && !lengths.empty())
    return Error{Cause::kUsage, fmt::format("--lengths goes with an npy file, and {} is none", path)};
  if (npy) return open_npy_inputs(job, path, lengths);
  if (!may_be_idx(begin)) return no_samples(path, begin, kind);
  return open_idx_inputs(job, path);
}

}  // namespace rubato::data
