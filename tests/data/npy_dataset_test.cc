#include "data/npy_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "data/npy_file.h"
#include "tests/data/damage.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"

namespace rubato::data {
namespace {

using test::npy_bytes;
using test::value_bytes;
using test::write_bytes;
using test::zip_bytes;
using testing::ElementsAre;
using testing::EndsWith;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

constexpr std::size_t kFirst = 0;

class NpyDatasetTest : public test::DatasetFixture {
 protected:
  NpyDatasetTest() {
    job_.data.kind = "npy";
    job_.data.train_inputs = directory_.file("inputs.npy");
    job_.data.train_labels = directory_.file("labels.npy");
    job_.data.classes = 3;
    // Three samples of 1 x 2 x 1.
    write_inputs(npy_bytes("'|u1'", "(3, 1, 2)", std::string("\x00\xFF\x33\x66\x01\x02", 6)));
    write_labels(npy_bytes("'<i8'", "(3,)", value_bytes<std::int64_t>({2, 0, 1})));
  }
  void write_inputs(const std::string& bytes) const { write_bytes(job_.data.train_inputs, bytes); }
  void write_labels(const std::string& bytes) const { write_bytes(job_.data.train_labels, bytes); }

  [[nodiscard]] std::unique_ptr<Dataset> open(Split split = Split::kTrain) const {
    auto dataset = open_dataset(job_, split);
    EXPECT_TRUE(dataset.ok()) << dataset.error().message;
    return std::move(dataset).value();
  }
  std::vector<float> inputs(Split split = Split::kTrain) {
    const auto dataset = open(split);
    BatchBuffer batch;
    std::vector<std::uint64_t> ids;
    for (std::uint64_t id = 0; id < dataset->size(); ++id) ids.push_back(id);
    EXPECT_TRUE(dataset->gather(0, ids, batch).ok());
    labels_ = batch.labels;
    targets_ = batch.targets;
    return batch.inputs;
  }

  std::vector<std::int32_t> labels_;
  std::vector<float> targets_;
};

TEST_F(NpyDatasetTest, BytesBecomeNormalizedInputs) {
  job_.data.mean = {0.25};
  job_.data.stddev = {0.5};
  EXPECT_THAT(inputs(), Pointwise(FloatNear(1e-6f), {-0.5f, 1.5f, -0.1f, 0.3f, -0.49215686f, -0.48431373f}));
  EXPECT_THAT(labels_, ElementsAre(2, 0, 1));
  EXPECT_EQ(open()->shape(), (SampleShape{1, 2, 1}));
}

TEST_F(NpyDatasetTest, SixteenBitsStaySixteenInEitherOrderOfBytes) {
  // 1000 and 1001 are the same byte, and not the same input.
  const std::vector<std::uint16_t> values{0, 65535, 1000, 1001, 32768, 7};
  std::string fingerprint;
  for (const bool swapped : {false, true}) {
    write_inputs(npy_bytes(swapped ? "'>u2'" : "'<u2'", "(3, 1, 2)", value_bytes(values, swapped)));
    const std::vector<float> got = inputs();
    ASSERT_EQ(got.size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_FLOAT_EQ(got[i], static_cast<float>(values[i] / 65535.0)) << "value " << i;
    EXPECT_LT(got[2], got[3]);
    if (swapped) {
      EXPECT_EQ(open()->fingerprint(), fingerprint) << "it is the same data";
    }
    fingerprint = open()->fingerprint();
  }
}

TEST_F(NpyDatasetTest, FloatsAreTakenAsTheyAre) {
  job_.data.mean = {1.0};
  job_.data.stddev = {2.0};
  for (const bool wide : {false, true})
    for (const bool swapped : {false, true}) {
      const std::string descr = std::string(swapped ? "'>" : "'<") + (wide ? "f8'" : "f4'");
      write_inputs(npy_bytes(descr, "(3, 2)",
                             wide ? value_bytes<double>({-1, 0, 1, 2, 3, 4.5}, swapped)
                                  : value_bytes<float>({-1, 0, 1, 2, 3, 4.5}, swapped)));
      EXPECT_THAT(inputs(), ElementsAre(-1.0f, -0.5f, 0.0f, 0.5f, 1.0f, 1.75f)) << descr;
      EXPECT_EQ(open()->shape(), (SampleShape{1, 1, 2}));
    }
}

// Before log::open() lines go to the standard output.
TEST_F(NpyDatasetTest, FloatsThatLookLikeBytesAreTold) {
  const auto told = [&](const std::vector<float>& values) {
    write_inputs(npy_bytes("'<f4'", "(3, 2, 2)", value_bytes(values)));
    testing::internal::CaptureStdout();
    EXPECT_EQ(inputs(), values) << "taken as they are in any case";
    return testing::internal::GetCapturedStdout();
  };
  std::vector<float> pixels = {0, 255, 3, 9, 128, 7, 6, 5, 4, 3, 2, 1};
  EXPECT_THAT(told(pixels), HasSubstr("say data.stddev = 255"));
  pixels[3] = 0.5f;
  EXPECT_EQ(told(pixels), "") << "not all are whole";
  pixels[3] = 256.0f;
  EXPECT_EQ(told(pixels), "") << "more than a byte is";
  EXPECT_EQ(told({0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0}), "") << "black and white";
  job_.data.mean = {0.0};
  job_.data.stddev = {255.0};
  write_inputs(npy_bytes("'<f4'", "(3, 2, 2)", value_bytes(std::vector<float>(12, 255.0f))));
  testing::internal::CaptureStdout();
  EXPECT_THAT(inputs(), testing::Each(1.0f));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(NpyDatasetTest, WholeNumbersUnderMeanSquaredErrorAreToldToBeClasses) {
  const auto told = [&](Split split) {
    testing::internal::CaptureStdout();
    (void)open(split);
    return testing::internal::GetCapturedStdout();
  };
  job_.data.test_inputs = job_.data.train_inputs;
  job_.data.test_labels = job_.data.train_labels;
  EXPECT_EQ(told(Split::kTrain), "");
  job_.model.loss = "mse";
  EXPECT_THAT(
      told(Split::kTrain),
      HasSubstr("labels.npy: labels are whole numbers, so they are classes: model.loss = \"mse\" is over 3 outputs, to "
                "be 1 of the class and 0 of the others; to predict numbers, save them as floats"));
  EXPECT_EQ(told(Split::kTest), "") << "once is enough";
  write_labels(npy_bytes("'<f4'", "(3,)", value_bytes<float>({2, 0, 1})));
  EXPECT_EQ(told(Split::kTrain), "");
}

TEST_F(NpyDatasetTest, ChannelsHaveTheirOwnMeansAndDeviations) {
  job_.data.mean = {0.0, 0.5, 1.0};
  job_.data.stddev = {1.0, 0.5, 0.25};
  // More pixels than are read side by side, so that a stretch must begin with the first channel.
  std::string pixels;
  for (int i = 0; i < 3 * 20 * 10 * 3; ++i) pixels += static_cast<char>(i * 7 % 256);
  write_inputs(npy_bytes("'|u1'", "(3, 20, 10, 3)", pixels));
  const std::vector<float> got = inputs();
  ASSERT_EQ(got.size(), pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const double pixel = static_cast<unsigned char>(pixels[i]) / 255.0;
    EXPECT_NEAR(got[i], (pixel - job_.data.mean[i % 3]) / job_.data.stddev[i % 3], 1e-5) << "value " << i;
  }
  job_.data.stddev = {1.0};  // one for all
  EXPECT_NEAR(inputs()[1], 7 / 255.0 - 0.5, 1e-6);
  job_.data.mean = {0.0, 0.5};
  EXPECT_EQ(open_error(), "inputs.npy: expected 2 channels, as data.mean has numbers, found 3");
}

TEST_F(NpyDatasetTest, LabelsAreWholeNumbersOfAnyWidth) {
  write_labels(npy_bytes("'|u1'", "(3, 1)", std::string("\x02\x00\x01", 3)));
  inputs();
  EXPECT_THAT(labels_, ElementsAre(2, 0, 1));
  write_labels(npy_bytes("'>i4'", "(3,)", value_bytes<std::int32_t>({1, 2, 0}, true)));
  inputs();
  EXPECT_THAT(labels_, ElementsAre(1, 2, 0));
  write_labels(npy_bytes("'|b1'", "(3,)", std::string("\x01\x00\x01", 3)));
  inputs();
  EXPECT_THAT(labels_, ElementsAre(1, 0, 1));
  job_.data.first_label = 1;
  write_labels(npy_bytes("'<u2'", "(3,)", value_bytes<std::uint16_t>({1, 3, 2})));
  inputs();
  EXPECT_THAT(labels_, ElementsAre(0, 2, 1));
  write_labels(npy_bytes("'<u2'", "(3,)", value_bytes<std::uint16_t>({1, 4, 2})));
  EXPECT_EQ(open_error(), "labels.npy: expected labels from 1 to 3 (data.classes = 3), found 4 for sample 1");
  write_labels(npy_bytes("'<u8'", "(3,)", value_bytes<std::uint64_t>({1, 2, ~0ull})));
  EXPECT_THAT(open_error(), EndsWith("found 9223372036854775807 for sample 2"));
  write_labels(npy_bytes("'<i8'", "(3,)", value_bytes<std::int64_t>({-1, 2, 1})));
  EXPECT_THAT(open_error(), EndsWith("found -1 for sample 0"));
}

TEST_F(NpyDatasetTest, FloatLabelsAreTargetsWhereTheLossTakesThem) {
  write_labels(npy_bytes("'<f4'", "(3, 2)", value_bytes<float>({1, 2, 3, 4, 5, 6})));
  EXPECT_EQ(open_error(),
            "labels.npy: expected whole numbers, the labels of classes, found float32, 3 x 2: model.loss = \"mse\" "
            "takes floats");
  job_.model.loss = "mse";
  inputs();
  EXPECT_TRUE(labels_.empty());
  EXPECT_THAT(targets_, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(open()->target_floats(), 2);
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->target_floats, 2);
}

TEST_F(NpyDatasetTest, SaysWhatItDoesNotRead) {
  const auto with_inputs = [&](const std::string& bytes) {
    write_inputs(bytes);
    return open_error();
  };
  const std::string six(6, 'a');
  for (const std::string descr : {"|O", "|O8", "O"})
    EXPECT_EQ(with_inputs(npy_bytes("'" + descr + "'", "(3, 2)", six)),
              "inputs.npy: dtype '" + descr +
                  "' is not read: Python objects are a pickle, which would run code from the file and is never read: "
                  "save the array with the dtype of a number, as by astype(numpy.float32), or of labels by "
                  "astype(numpy.int64)");
  EXPECT_THAT(with_inputs(npy_bytes("'<U8'", "(3, 2)", six)),
              HasSubstr("dtype '<U8' is not read: texts: save their numbers instead, as "
                        "numpy.unique(texts, return_inverse=True)[1] gives them"));
  EXPECT_THAT(with_inputs(npy_bytes("'<c8'", "(3, 2)", six)), HasSubstr("expected whole numbers, floats"));
  EXPECT_THAT(with_inputs(npy_bytes("'<f2'", "(3, 2)", six)), HasSubstr("astype(numpy.float32)"));
  EXPECT_THAT(with_inputs(npy_bytes("[('a', '<f4')]", "(3, 2)", six)), HasSubstr("structures are not read"));
  EXPECT_EQ(with_inputs(npy_bytes("'<i4'", "(3, 2)", std::string(24, 'a'))),
            "inputs.npy: expected images of uint8, uint16, float32 or float64, found int32, 3 x 2");
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(3, 2)", six, "True")), HasSubstr("numpy.ascontiguousarray"));
  EXPECT_EQ(with_inputs(npy_bytes("'|u1'", "(3, 1)", "abc", "True")), "") << "the order of one column is no matter";
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(3, 1, 1, 2, 1)", six)), HasSubstr("volumes are not read"));
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(3,)", "abc")), HasSubstr("is this the file of labels?"));
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(2, 3)", six)),
              "labels.npy: expected 2 labels, as many as " + job_.data.train_inputs + " has inputs, found int64, 3");
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(3, 0)", "")), HasSubstr("3 x 0: there is nothing in it"));
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "()", "a")), HasSubstr("a single number"));
  EXPECT_THAT(with_inputs(npy_bytes("'|u1'", "(3, 2)", six + "b")), HasSubstr("too long"));
  EXPECT_THAT(with_inputs("abcdefghij"), HasSubstr("expected a numpy array"));
  EXPECT_EQ(with_inputs(npy_bytes("'<f4'", "(3, 2)", value_bytes<float>({1, 2, 3, NAN, 5, 6}))),
            "inputs.npy: sample 1, value 1: expected a finite number of 32 bits, found nan");
  EXPECT_THAT(with_inputs(npy_bytes("'<f8'", "(3, 2)", value_bytes<double>({1, 2, 3, 4, 5, 1e300}))),
              HasSubstr("sample 2, value 1"));
  write_inputs(npy_bytes("'|u1'", "(3, 2)", six));
  write_labels(npy_bytes("'|u1'", "(3, 2)", six));
  EXPECT_THAT(open_error(), HasSubstr("several labels of one sample are not read"));
}

// Nothing is allocated for it: a machine that tried would be out of memory.
TEST_F(NpyDatasetTest, AHeaderMayPromiseAnything) {
  write_inputs(npy_bytes("'<f8'", "(3, 100000000000)", ""));
  EXPECT_THAT(open_error(), HasSubstr("cut off: the header says float64, 3 x 100000000000"));
  write_inputs(npy_bytes("'<f8'", "(3, 9223372036854775807, 9223372036854775807)", ""));
  EXPECT_THAT(open_error(), HasSubstr("more than the 1099511627776 values"));
  write_inputs(npy_bytes("'<f8'", "(3, 9223372036854775808)", ""));
  EXPECT_THAT(open_error(), HasSubstr("expected whole numbers in shape"));
}

TEST_F(NpyDatasetTest, DamageIsSurvived) {
  const auto open = [&] { return open_error(); };
  test::expect_damage_is_survived(job_.data.train_inputs,
                                  npy_bytes("'<u2'", "(3, 2)", value_bytes<std::uint16_t>({1, 2, 3, 4, 5, 6})), open);
  test::expect_damage_is_survived(job_.data.train_labels, npy_bytes("'|i1'", "(3,)", std::string("\x02\x00\x01", 3)),
                                  open);
}

class NpzDatasetTest : public NpyDatasetTest {
 protected:
  NpzDatasetTest() {
    job_.data = DataConfig();
    job_.data.kind = "npz";
    job_.data.path = directory_.file("mnist.npz");
    job_.data.classes = 3;
  }
  [[nodiscard]] static test::ZipMembers members() {
    test::ZipMembers all;
    std::uint8_t first = 10;
    for (const std::string part : {"train", "val", "test"}) {
      all.emplace_back(part + "_images.npy",
                       npy_bytes("'|u1'", "(2, 1, 2)",
                                 value_bytes<std::uint8_t>({first, 20, 30, static_cast<std::uint8_t>(first + 1)})));
      all.emplace_back(part + "_labels.npy", npy_bytes("'|u1'", "(2, 1)", value_bytes<std::uint8_t>({0, 2})));
      first += 100;
    }
    return all;
  }
};

TEST_F(NpzDatasetTest, ItsPartsAreReadByName) {
  for (const bool deflated : {false, true}) {
    write_bytes(job_.data.path, zip_bytes(members(), deflated));
    const float one = 1.0f / 255.0f;
    EXPECT_FLOAT_EQ(inputs(Split::kTrain)[kFirst], 10 * one);
    EXPECT_FLOAT_EQ(inputs(Split::kValidation)[kFirst], 110 * one);
    EXPECT_FLOAT_EQ(inputs(Split::kTest)[kFirst], 210 * one);
    EXPECT_THAT(labels_, ElementsAre(0, 2));
    const DatasetSize size = size_of_dataset(job_, Split::kTest).value();
    EXPECT_EQ(size.samples, 2u);
    EXPECT_EQ(size.shape, (SampleShape{1, 2, 1}));
    EXPECT_EQ(size.bytes, 2 * (2 + sizeof(std::int32_t)));
  }
}

TEST_F(NpzDatasetTest, HasTheFingerprintOfTheSameArraysInFiles) {
  write_bytes(job_.data.path, zip_bytes(members(), true));
  const std::string packed = open()->fingerprint();
  EXPECT_NE(open(Split::kTest)->fingerprint(), packed);
  const test::ZipMembers all = members();
  job_.data.kind = "npy";
  job_.data.train_inputs = directory_.file("inputs.npy");
  job_.data.train_labels = directory_.file("labels.npy");
  write_inputs(all[0].second);
  write_labels(all[1].second);
  EXPECT_EQ(open()->fingerprint(), packed);
  write_labels(npy_bytes("'|u1'", "(2, 1)", value_bytes<std::uint8_t>({0, 1})));
  EXPECT_NE(open()->fingerprint(), packed);
}

// No part stands for another one, however much alike their names are.
TEST_F(NpzDatasetTest, SaysWhichPartIsMissing) {
  const test::ZipMembers all = members();
  write_bytes(job_.data.path, zip_bytes({all[0], all[1]}, true));
  EXPECT_EQ(open_error(Split::kTest),
            "mnist.npz: there is no test part: expected test_images and test_labels, found train_images, train_labels; "
            "name a file that has them, or, to train without a test, set evaluation.enabled = false");
  EXPECT_EQ(open_error(Split::kValidation),
            "mnist.npz: there is no validation part: expected val_images and val_labels, found train_images, "
            "train_labels; name a file that has them, or set evaluation.holdout, to 0.1 for a tenth of the training "
            "samples");
  write_bytes(job_.data.path, zip_bytes({all[0], all[1], all[2], all[3]}, true));
  EXPECT_THAT(open_error(Split::kTest),
              EndsWith("; name a file that has them, or set evaluation.part = \"validation\", a part that is there"));
  write_bytes(job_.data.path, zip_bytes({{"x_train.npy", ""}, {"y_train.npy", ""}}, true));
  EXPECT_EQ(open_error(),
            "mnist.npz: there is no training part: expected train_images and train_labels, found x_train, "
            "y_train; name the arrays so, as in numpy.savez(FILE, train_images=..., train_labels=...)");
  // One of two.
  write_bytes(job_.data.path, zip_bytes({all[0], all[1], all[4]}, true));
  EXPECT_EQ(open_error(Split::kTest),
            "mnist.npz: test_labels is missing: expected test_images and test_labels, found train_images, "
            "train_labels, test_images");
  write_bytes(job_.data.path, zip_bytes({}, true));
  EXPECT_THAT(open_error(), HasSubstr("expected train_images and train_labels, found no arrays"));
}

// A zip archive too, and found where one of numpy's is expected.
TEST_F(NpzDatasetTest, WhatTorchSavesIsTold) {
  write_bytes(job_.data.path, zip_bytes({{"mnist/data.pkl", ""}, {"mnist/version", ""}, {"mnist/data/0", ""}}, false));
  EXPECT_EQ(open_error(),
            "mnist.npz: expected a numpy archive (npz), found what torch.save writes: that is a pickle, which is never "
            "read; numpy.savez(FILE, train_images=..., train_labels=...) writes what is");
}

TEST_F(NpzDatasetTest, SaysWhichMemberIsMissingOrDamaged) {
  test::ZipMembers all = members();
  all[0].first = "train_image.npy";
  write_bytes(job_.data.path, zip_bytes(all, true));
  EXPECT_EQ(open_error(),
            "mnist.npz: train_images is missing: expected train_images and train_labels, found train_image, "
            "train_labels, val_images, val_labels, test_images, test_labels; did you mean \"train_image\"?");
  std::string bytes = zip_bytes(members(), false);
  bytes[bytes.find("NUMPY") + 128] = 'x';  // a pixel
  write_bytes(job_.data.path, bytes);
  EXPECT_THAT(open_error(), HasSubstr("mnist.npz/train_images.npy: damaged: expected the checksum"));
  write_bytes(job_.data.path, "no archive at all, though longer than the record at the end of one");
  EXPECT_THAT(open_error(), HasSubstr("expected a zip archive"));
}

TEST_F(NpzDatasetTest, DamageIsSurvived) {
  for (const bool deflated : {false, true}) {
    const test::ZipMembers all = members();
    const std::string bytes = zip_bytes({all[0], all[1]}, deflated);
    // Of a member that is read whole every changed byte is noticed; names, offsets and times are not all believed.
    EXPECT_GT(test::expect_damage_is_survived(job_.data.path, bytes, [&] { return open_error(); }), bytes.size());
  }
}

// Written by numpy itself, with the 64-bit sizes that it leaves in local headers.
TEST_F(NpzDatasetTest, WhatNumpyWritesIsRead) {
  const std::string python =
      "/usr/bin/python3 -c '"
      "import sys, numpy as n\n"
      "a = n.arange(2 * 5 * 4 * 3).reshape(2, 5, 4, 3)\n"
      "save = n.savez_compressed if sys.argv[2] == \"packed\" else n.savez\n"
      "save(sys.argv[1], train_images=(a * 500).astype(sys.argv[3]), "
      "train_labels=n.array([[2], [1]]))' ";
  if (std::system("/usr/bin/python3 -c 'import numpy' 2> /dev/null") != 0) GTEST_SKIP() << "no numpy";
  for (const std::string how : {"packed", "stored"})
    for (const std::string type : {"<u2", ">u2", "<f8", ">f4"}) {
      ASSERT_EQ(std::system((python + job_.data.path + " " + how + " '" + type + "'").c_str()), 0);
      const double greatest = type.ends_with("u2") ? 65535.0 : 1.0;
      const std::vector<float> got = inputs();
      ASSERT_EQ(got.size(), 120u);
      for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_FLOAT_EQ(got[i], static_cast<float>(static_cast<double>(i) * 500 / greatest)) << how << type << i;
      EXPECT_THAT(labels_, ElementsAre(2, 1));
      EXPECT_EQ(open()->shape(), (SampleShape{5, 4, 3}));
    }
}

}  // namespace
}  // namespace rubato::data
