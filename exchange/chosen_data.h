// On which data weights are tried: a part of the job's, or files in its form.
//
// Thread-safety: a pure function over files.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "data/dataset.h"
#include "exchange/subject.h"

namespace rubato::exchange {

// The part of the subject's data that is asked for ("" is evaluation.part), or with `inputs`, `labels` and `lengths`
// other files in place of the test part's. Errors: kUsage; kData, also where the job's data are no longer those from
// which the weights' own were scaled.
struct DataChoice {
  std::string part, inputs, labels;
  std::string lengths;  // of npy, where the job's samples have some
};
struct ChosenData {
  std::unique_ptr<data::Dataset> data;
  std::string name;  // for people
  std::string part;  // as figures of it are called: test_loss
};
[[nodiscard]] Result<ChosenData> open_data(const Subject& subject, const DataChoice& choice);

}  // namespace rubato::exchange
