// How long each sample of an npy or npz data set is: read, checked, and with its sample wherever that goes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/holdout.h"
#include "data/labelled_samples.h"
#include "data/loader.h"
#include "data/other_file.h"
#include "tests/data/damage.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::npy_bytes;
using test::value_bytes;
using test::write_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

// Three samples of 4 positions with 2 features, which count up from 1.
std::vector<float> counting() {
  std::vector<float> values;
  for (int i = 1; i <= 24; ++i) values.push_back(static_cast<float>(i));
  return values;
}

class NpyLengthsTest : public test::DatasetFixture {
 protected:
  NpyLengthsTest() {
    job_.data.kind = "npy";
    job_.data.train_inputs = directory_.file("inputs.npy");
    job_.data.train_labels = directory_.file("labels.npy");
    job_.data.train_lengths = directory_.file("lengths.npy");
    job_.data.classes = 3;
    job_.data.mean = {1.0};
    write_inputs(counting());
    write_bytes(job_.data.train_labels, npy_bytes("'|u1'", "(3,)", std::string("\x02\x00\x01", 3)));
    write_lengths({3, 1, 4});
  }
  void write_inputs(const std::vector<float>& values) const {
    write_bytes(job_.data.train_inputs, npy_bytes("'<f4'", "(3, 4, 2)", value_bytes<float>(values)));
  }
  void write_lengths(const std::vector<std::int64_t>& lengths) const {
    write_bytes(job_.data.train_lengths,
                npy_bytes("'<i8'", "(" + std::to_string(lengths.size()) + ",)", value_bytes(lengths)));
  }
  [[nodiscard]] std::string fingerprint() const { return open_dataset(job_, Split::kTrain).value()->fingerprint(); }
};

TEST_F(NpyLengthsTest, ComeWithTheirSamplesAndWhatIsBehindThemIsZero) {
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.lengths, ElementsAre(3, 1, 4));
  EXPECT_THAT(batch.inputs, ElementsAre(0, 1, 2, 3, 4, 5, 0, 0,  //
                                        8, 9, 0, 0, 0, 0, 0, 0,  //
                                        16, 17, 18, 19, 20, 21, 22, 23));
  EXPECT_TRUE(open_dataset(job_, Split::kTrain).value()->has_lengths());
  const DatasetSize size = size_of_dataset(job_, Split::kTrain).value();
  EXPECT_TRUE(size.lengths);
  EXPECT_EQ(size.bytes, 24 * sizeof(float) + 3 * 2 * sizeof(std::int32_t));
  job_.data.train_lengths.clear();
  EXPECT_TRUE(gather_all(job_, Split::kTrain).lengths.empty());
  EXPECT_FALSE(size_of_dataset(job_, Split::kTrain)->lengths);
}

TEST_F(NpyLengthsTest, ASampleMayBePaddedWithWhatIsNoNumber) {
  std::vector<float> values = counting();
  values[6] = values[15] = std::nanf("");  // sample 0, position 3; sample 1, position 3
  write_inputs(values);
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_EQ(batch.inputs[6], 0.0f);
  EXPECT_EQ(batch.inputs[15], 0.0f);
  write_lengths({4, 1, 4});
  EXPECT_EQ(open_error(), "inputs.npy: sample 0, value 6: expected a finite number of 32 bits, found nan");
}

TEST_F(NpyLengthsTest, PixelsHavePositionsToo) {
  job_.data.mean = {0.25};
  for (const std::string& bytes : {npy_bytes("'|u1'", "(3, 4, 2)", std::string(24, '\xFF')),
                                   npy_bytes("'<u2'", "(3, 4, 1, 2)", std::string(48, '\xFF'))}) {
    write_bytes(job_.data.train_inputs, bytes);
    const BatchBuffer batch = gather_all(job_, Split::kTrain);
    EXPECT_EQ(batch.inputs[5], 0.75f);
    EXPECT_EQ(batch.inputs[6], 0.0f);
  }
}

TEST_F(NpyLengthsTest, OtherLengthsAreOtherData) {
  const std::string some = fingerprint();
  write_lengths({3, 2, 4});
  EXPECT_NE(fingerprint(), some);
  write_lengths({4, 4, 4});
  const std::string whole = fingerprint();
  job_.data.train_lengths.clear();
  EXPECT_NE(fingerprint(), whole);
}

TEST_F(NpyLengthsTest, WhatIsNoLengthIsRefused) {
  const std::string inputs = job_.data.train_inputs;
  write_lengths({3, 5, 4});
  EXPECT_EQ(open_error(),
            "lengths.npy: expected lengths from 1 to 4, the positions in " + inputs + ", found 5 for sample 1");
  write_lengths({3, 1, 0});
  EXPECT_THAT(open_error(), HasSubstr("found 0 for sample 2"));
  write_lengths({3, 1});
  EXPECT_EQ(open_error(),
            "lengths.npy: expected 3 lengths, whole numbers, one for each sample of " + inputs + ", found int64, 2");
  EXPECT_FALSE(size_of_dataset(job_, Split::kTrain).ok());
  write_bytes(job_.data.train_lengths, npy_bytes("'<f4'", "(3,)", value_bytes<float>({3, 1, 4})));
  EXPECT_THAT(open_error(), HasSubstr("whole numbers, one for each sample of " + inputs + ", found float32, 3"));
  write_bytes(job_.data.train_lengths, npy_bytes("'|u1'", "(3, 2)", "abcabc"));
  EXPECT_THAT(open_error(), HasSubstr("found uint8, 3 x 2"));
  write_bytes(job_.data.train_lengths, npy_bytes("'|u1'", "(3, 1)", "\x03\x01\x04"));
  EXPECT_EQ(open_error(), "") << "as labels may be";
  write_bytes(job_.data.train_inputs, npy_bytes("'|u1'", "(3, 4)", std::string(12, 'a')));
  EXPECT_EQ(open_error(), "inputs.npy: expected sequences, N x positions x features, since " + job_.data.train_lengths +
                              " says how long they are, found uint8, 3 x 4");
  job_.data.train_lengths = directory_.file("nowhere.npy");
  EXPECT_THAT(open_error(), HasSubstr("nowhere.npy"));
}

TEST_F(NpyLengthsTest, DamageIsSurvived) {
  test::expect_damage_is_survived(job_.data.train_lengths, npy_bytes("'|i1'", "(3,)", std::string("\x03\x01\x04", 3)),
                                  [&] { return open_error(); });
}

TEST_F(NpyLengthsTest, GoWhereTheirSamplesGo) {
  job_.evaluation.holdout = 0.34;
  const BatchBuffer train = gather_all(job_, Split::kTrain), held = gather_all(job_, Split::kValidation);
  const std::vector<std::int32_t> of{3, 1, 4};
  for (const BatchBuffer* part : {&train, &held})
    for (std::size_t i = 0; i < part->sample_ids.size(); ++i)
      EXPECT_EQ(part->lengths.at(i), of[part->sample_ids[i]]) << "the number that it has in the file";
  EXPECT_EQ(held.lengths.size(), 1u);
  EXPECT_TRUE(open_dataset(job_, Split::kTrain).value()->has_lengths());

  job_.evaluation.holdout = 0.0;
  job_.data.ignored_labels = {0};
  const std::shared_ptr<const Dataset> labelled =
      labelled_samples(open_dataset(job_, Split::kTrain).value(), "training").value();
  EXPECT_TRUE(labelled->has_lengths());
  Loader loader(*labelled, EpochOrder::Kind::kInOrder, 1);
  BatchBuffer batch;
  for (const std::uint64_t first : {0u, 1u, 0u}) {
    loader.hint({0, first, 1});
    ASSERT_TRUE(loader.gather({0, first, 1}, batch).ok());
    EXPECT_THAT(batch.lengths, ElementsAre(first == 0 ? 3 : 4));
  }
}

TEST_F(NpyLengthsTest, AnArchiveHasThemOfEachPart) {
  const std::string images = npy_bytes("'<f4'", "(3, 4, 2)", value_bytes<float>(counting()));
  const std::string labels = npy_bytes("'|u1'", "(3,)", std::string("\x02\x00\x01", 3));
  const std::string lengths = npy_bytes("'<i8'", "(3,)", value_bytes<std::int64_t>({3, 1, 4}));
  test::ZipMembers members{{"train_images.npy", images},
                           {"train_labels.npy", labels},
                           {"train_lengths.npy", lengths},
                           {"test_images.npy", images},
                           {"test_labels.npy", labels}};
  const std::string in_files = fingerprint();
  job_.data.kind = "npz";
  job_.data.path = directory_.file("all.npz");
  write_bytes(job_.data.path, test::zip_bytes(members, true));
  EXPECT_THAT(gather_all(job_, Split::kTrain).lengths, ElementsAre(3, 1, 4));
  EXPECT_EQ(fingerprint(), in_files);
  const auto test_part = open_dataset(job_, Split::kTest);
  ASSERT_FALSE(test_part.ok());
  EXPECT_THAT(test_part.error().message,
              HasSubstr("test_images.npy: there is no test_lengths.npy for them, and another part has lengths"));
  members.emplace_back("test_length.npy", lengths);
  write_bytes(job_.data.path, test::zip_bytes(members, false));
  EXPECT_THAT(open_dataset(job_, Split::kTest).error().message,
              HasSubstr("expected lengths of sequences to be called train_lengths.npy, val_lengths.npy, "
                        "test_lengths.npy, found \"test_length.npy\""));
  members.back().first = "test_lengths.npy";
  write_bytes(job_.data.path, test::zip_bytes(members, false));
  EXPECT_THAT(gather_all(job_, Split::kTest).lengths, ElementsAre(3, 1, 4));
}

TEST_F(NpyLengthsTest, OfInputsAlone) {
  const auto alone = open_inputs_alone(job_, job_.data.train_inputs, job_.data.train_lengths);
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  BatchBuffer batch;
  ASSERT_TRUE((*alone)->gather(0, std::vector<std::uint64_t>{1, 2}, batch).ok());
  EXPECT_THAT(batch.lengths, ElementsAre(1, 4));
  EXPECT_FALSE(open_inputs_alone(job_, job_.data.train_inputs).value()->has_lengths());
  job_.data.kind = "csv";
  const auto table = open_inputs_alone(job_, job_.data.train_inputs, job_.data.train_lengths);
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.error().message, "--lengths goes with npy and npz, and the job's data is csv");
}

}  // namespace
}  // namespace rubato::data
