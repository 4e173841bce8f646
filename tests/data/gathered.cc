#include "tests/data/gathered.h"

#include <gtest/gtest.h>

#include <numeric>

namespace rubato::data::test {

BatchBuffer gather_all(const Job& job, Split split) {
  auto dataset = open_dataset(job, split);
  BatchBuffer batch;
  EXPECT_TRUE(dataset.ok()) << dataset.error().message;
  if (!dataset.ok()) return batch;
  const auto size = size_of_dataset(job, split);
  EXPECT_TRUE(size.ok()) << size.error().message;
  if (size.ok()) {
    EXPECT_EQ(size->shape, (*dataset)->shape());
    EXPECT_EQ(size->target_floats, (*dataset)->target_floats());
    if (job.data.skip_max == 0 && job.data.group.empty() && job.data.time.empty()) {
      EXPECT_EQ(size->samples, (*dataset)->size());
    }
  }
  std::vector<std::uint64_t> ids((*dataset)->size());
  std::iota(ids.begin(), ids.end(), std::uint64_t{0});
  EXPECT_TRUE((*dataset)->gather(0, ids, batch).ok());
  return batch;
}

}  // namespace rubato::data::test
