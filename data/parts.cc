#include "data/parts.h"

#include <fmt/format.h>

#include "data/holdout.h"
#include "data/npz_parts.h"
#include "data/picture_folder.h"
#include "data/row_split.h"
#include "data/zip_file.h"

namespace rubato::data {
namespace {

constexpr const char* kHoldOut =
    "a job with evaluation.holdout, of 0.1 for a tenth, has held out a part of its training samples";

}  // namespace

Status check_part(const DataConfig& data, Split split) {
  const bool pairs = data.kind == "idx" || data.kind == "npy";
  const bool table = data.kind == "csv" || data.kind == "libsvm";
  const bool of_files = pairs || (table && data.path.empty());
  const bool whole = of_files || data.kind == "cifar" || data.kind == "synthetic";
  const bool validation = split == Split::kValidation;
  if (validation && whole)
    return Error{Cause::kData, fmt::format("data.kind = \"{}\" has no validation part here: {}", data.kind, kHoldOut)};
  if (split == Split::kTest && of_files) {
    const bool inputs = data.test_inputs.empty();
    if (inputs || (pairs && data.test_labels.empty()))
      return Error{Cause::kData,
                   fmt::format("the job has no test part: data.test_{} is not given", inputs ? "inputs" : "labels")};
  }
  const bool is_split = (table && !of_files) || data.kind == "series" || data.kind == "text";
  if (split == Split::kTrain || !is_split) return {};
  if ((validation ? data.validation_fraction : data.test_fraction) > 0.0) return {};
  return Error{Cause::kData, no_part_text(data.path, split) + (validation ? fmt::format(": {}", kHoldOut) : "")};
}

bool has_part(const Job& job, Split split) {
  const DataConfig data = without_holdout(job).data;
  if (split == Split::kTrain || (split == Split::kValidation && holds_out_samples(job))) return true;
  if (!check_part(data, split).ok()) return false;
  if (data.kind == "folder") return has_picture_part(data, split);
  if (data.kind != "npz") return true;
  const Result<ZipFile> zip = ZipFile::open(data.path);
  return !zip.ok() || has_npz_part(*zip, split);
}

}  // namespace rubato::data
