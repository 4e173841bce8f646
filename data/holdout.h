// evaluation.holdout: a share of the training samples is set aside, for whoever decides between weights.
//
// Where one file has all parts (csv and libsvm with data.path, series, text), the share becomes a part for validation
// of that file: of rows by their shuffle, or whole groups; of what goes on in time the last stretch, cut before windows
// are made, so that no window reaches across. Elsewhere it is a view (data/view.h) of the training samples, drawn by
// data.split_seed, of grouped images whole groups. Either way the readers know nothing of it.
//
// Thread-safety: pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::data {

// Whether some are set aside of the training samples once they are read; if not, it is in `without_holdout`.
[[nodiscard]] bool holds_out_samples(const Job& job);
// The job whose files are read for this one: no holdout, and the part for validation that stands for it.
[[nodiscard]] Job without_holdout(const Job& job);

struct HeldOut {
  std::vector<std::uint64_t> train, held_out;  // rising
  [[nodiscard]] std::vector<std::uint64_t>& of(Split split) { return split == Split::kTrain ? train : held_out; }
};
// Of so many training samples, as many as are nearest to the share. Errors: kData, where that is none, or all.
[[nodiscard]] Result<HeldOut> hold_out(const Job& job, std::uint64_t samples);
// Of these; whole groups, where they have some, until there are enough: so what is held out may be more than above.
[[nodiscard]] Result<HeldOut> hold_out(const Job& job, const Dataset& samples);

// Below this the standard error of an accuracy is up to 0.5 / sqrt(30) = 0.09: as much as what there is to decide
// about.
inline constexpr std::uint64_t kEnoughToDecideBy = 30;
// What is to be said where so few are held out that decisions hang on chance: fewer than that, or than there are
// classes; else nothing.
[[nodiscard]] std::string holdout_warning(const Job& job, std::uint64_t held_out);
// The same of the part that is evaluated on, where it is a fraction of the data, or of a folder; who names files for it
// has counted them.
[[nodiscard]] std::string evaluated_warning(const Job& job, std::uint64_t evaluated);

}  // namespace rubato::data
