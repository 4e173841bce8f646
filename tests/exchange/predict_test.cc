// What predictions are called in the files that they are written to.
#include "exchange/predict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/npy_file.h"
#include "data/zip_file.h"
#include "tests/base/temp_directory.h"

namespace rubato::exchange {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PredictTest : public testing::Test {
 protected:
  // Of four samples: class 1, 0, 1 and 2.
  static Predictions predictions(std::vector<std::string> names, std::int64_t first_label) {
    Predictions all;
    all.samples = 4;
    all.outputs = 1;
    all.classes = {1, 0, 1, 2};
    all.first_label = first_label;
    all.names = std::move(names);
    all.score_names = {"score"};
    all.scores = {0.5f, 0.5f, 0.5f, 0.5f};
    return all;
  }
  [[nodiscard]] data::ZipFile written(const Predictions& predictions) const {
    EXPECT_TRUE(write_predictions(predictions, path_).ok());
    auto zip = data::ZipFile::open(path_);
    EXPECT_TRUE(zip.ok());
    return std::move(zip).value();
  }
  static std::vector<std::int64_t> classes_in(const data::ZipFile& zip) {
    const auto source = zip.open_member("class.npy");
    EXPECT_TRUE(source.ok());
    const auto header = data::read_npy_header(**source);
    return data::read_npy_integers(**source, *header).value();
  }
  const test::TempDirectory directory_;
  const std::string path_ = directory_.file("predictions.npz");
};

TEST_F(PredictTest, ClassesWithoutNamesAreCountedAsInFiles) {
  const data::ZipFile zip = written(predictions({}, 5));
  EXPECT_THAT(classes_in(zip), ElementsAre(6, 5, 6, 7));
  EXPECT_FALSE(zip.has("names.npy"));
}

// The two of support vector machines, and what a table calls by numbers that are not in a row.
TEST_F(PredictTest, NamesThatAreNumbersAreWritten) {
  const Predictions all = predictions({"-1", "1", "30"}, 1);
  const data::ZipFile zip = written(all);
  EXPECT_THAT(classes_in(zip), ElementsAre(1, -1, 1, 30));
  EXPECT_FALSE(zip.has("names.npy"));
  EXPECT_THAT(csv_of(all, 4), HasSubstr("\n1,-1,0.5\n"));
}

TEST_F(PredictTest, NamesAreCountedFromZeroAndStandBeside) {
  const data::ZipFile zip = written(predictions({"1", "01", "\xc3\xa4\xe2\x82\xac"}, 1));
  EXPECT_THAT(classes_in(zip), ElementsAre(1, 0, 1, 2));
  const auto source = zip.open_member("names.npy");
  ASSERT_TRUE(source.ok());
  std::vector<std::uint8_t> read(4096);
  read.resize((*source)->read(read).value());
  const std::string bytes(read.begin(), read.end());
  EXPECT_THAT(bytes, HasSubstr("'descr': '<U2', 'fortran_order': False, 'shape': (3, )"));
  const std::u32string letters(
      U"1\0"
      U"01"
      U"\u00e4\u20ac",
      6);
  EXPECT_TRUE(bytes.ends_with(std::string(reinterpret_cast<const char*>(letters.data()), 24)));
}

}  // namespace
}  // namespace rubato::exchange
