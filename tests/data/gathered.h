// All samples of a data set, in one batch; and that its size is known beforehand.
#pragma once

#include "data/dataset.h"

namespace rubato::data::test {

[[nodiscard]] BatchBuffer gather_all(const Job& job, Split split);

}  // namespace rubato::data::test
