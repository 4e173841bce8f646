#include "data/table_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "data/table.h"
#include "tests/data/damage.h"
#include "tests/data/dataset_fixture.h"
#include "tests/data/gathered.h"
#include "tests/data/idx_files.h"

namespace rubato::data {
namespace {

using test::gather_all;
using test::write_bytes;
using testing::ElementsAre;
using testing::EndsWith;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;
using testing::StartsWith;

class TableDatasetTest : public test::DatasetFixture {
 protected:
  TableDatasetTest() {
    job_.data.kind = "csv";
    job_.data.train_inputs = directory_.file("train.csv");
    job_.data.test_inputs = directory_.file("test.csv");
    job_.data.target = {"kind"};
    job_.data.classes = 2;
  }
  void write(const std::string& text) const { write_bytes(job_.data.train_inputs, text); }
  void write_test(const std::string& text) const { write_bytes(job_.data.test_inputs, text); }
  [[nodiscard]] std::string error_of(const std::string& text) const {
    write(text);
    return open_error();
  }
};

TEST_F(TableDatasetTest, ColumnsAreScaledByTheTrainingPartAlone) {
  write("size,weight,kind\n1,10,cat\n3,10,dog\n");
  write_test("size,weight,kind\n5,11,dog\n1,9,cat\n");
  // Of size: mean 2 and deviation 1. All weights are the same: they are only moved.
  const BatchBuffer train = gather_all(job_, Split::kTrain), test = gather_all(job_, Split::kTest);
  EXPECT_THAT(train.inputs, ElementsAre(-1, 0, 1, 0));
  EXPECT_THAT(train.labels, ElementsAre(0, 1));
  EXPECT_THAT(test.inputs, ElementsAre(3, 1, -1, -1));
  EXPECT_THAT(test.labels, ElementsAre(1, 0));
  job_.data.scaling = "none";
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, ElementsAre(5, 11, 1, 9));
  EXPECT_EQ((*open_dataset(job_, Split::kTrain))->shape(), (SampleShape{1, 1, 2}));
}

TEST_F(TableDatasetTest, ColumnsMayBeChosenAndWrittenAsPeopleDo) {
  job_.data.scaling = "none";
  job_.data.columns = {"b", "a"};
  job_.data.separator = ";";
  write("\xEF\xBB\xBFname;a; b ;kind\r\n\"x;\"\"y\"\"\"; 1 ;+2.5; 1\r\n\r\nz;-3e2;\"4\";0.0");
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_THAT(batch.inputs, ElementsAre(2.5f, 1, 4, -300));
  EXPECT_THAT(batch.labels, ElementsAre(1, 0));
  write_bytes(job_.data.train_inputs, test::gzip("a;b;kind\n1;2;0\n"));
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(2, 1));
  job_.data.separator = "\t";
  write("a\tb\tkind\n1\t\t1\n2\t3\t1\n");
  EXPECT_THAT(open_error(), HasSubstr("train.csv:2: column \"b\": expected a number, found \"\": a value that is "
                                      "missing"));
  write("\"a\"\t\"b\"\t\"kind\"\n\"1\"\t5\t\"1\"\n2\t\"3\"\t0\n");  // as R writes them
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(5, 1, 3, 2));
}

TEST_F(TableDatasetTest, ClassesAreNumbersOrNames) {
  job_.data.classes = 3;
  job_.data.first_label = 1;
  write("a,kind\n1,3\n2,1\n3,2\n");
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels, ElementsAre(2, 0, 1));
  EXPECT_EQ(error_of("a,kind\n1,3\n2,0\n"),
            "train.csv:3: column \"kind\": expected a class from 1 to 3 (data.classes = 3), found \"0\"");
  EXPECT_THAT(error_of("a,kind\n1,3\n2,1.5\n"), HasSubstr("has 2 different names of classes (\"1.5\", \"3\"), and "
                                                          "data.classes is 3"));
  write("a,kind\n1,red\n2,blue\n3,green\n");
  EXPECT_THAT(gather_all(job_, Split::kTrain).labels, ElementsAre(2, 0, 1));
  write_test("a,kind\n1,gren\n");
  EXPECT_EQ(open_error(Split::kTest),
            "test.csv:2: column \"kind\": no class of the training table is called \"gren\"; did you mean \"green\"?");
  EXPECT_THAT(error_of("a,kind\n1,red\n2,blue\n"), HasSubstr("has 2 different names of classes"));
}

TEST_F(TableDatasetTest, NumbersArePredictedWhereTheLossSaysSo) {
  job_.model.loss = "mse";
  job_.data.target = {"y", "z"};
  write("y,x,z\n10,1,5\n20,3,5\n");
  const BatchBuffer batch = gather_all(job_, Split::kTrain);
  EXPECT_TRUE(batch.labels.empty());
  EXPECT_THAT(batch.inputs, ElementsAre(-1, 1));
  EXPECT_THAT(batch.targets, ElementsAre(-1, 0, 1, 0));
  job_.data.target_scaling = "none";
  EXPECT_THAT(gather_all(job_, Split::kTrain).targets, ElementsAre(10, 5, 20, 5));
  EXPECT_EQ(size_of_dataset(job_, Split::kTrain)->target_floats, 2);
  EXPECT_EQ(
      error_of("y,x,z\n10,1,5\n20,3,NA\n"),
      "train.csv:3: column \"z\": the value to be predicted is missing, and is never made up (data.skip_max leaves so "
      "many lines out)");
}

TEST_F(TableDatasetTest, WhatIsMissingBecomesTheMeanOfTheTrainingPart) {
  job_.data.missing = "mean";
  write("a,b,kind\n1,,0\n3,7,1\n?,9,1\n");
  write_test("a,b,kind\n,NaN,1\n");
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, ElementsAre(0, 0));
  job_.data.scaling = "none";
  EXPECT_THAT(gather_all(job_, Split::kTest).inputs, ElementsAre(2, 8));
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(1, 8, 3, 7, 2, 9));
  EXPECT_EQ(error_of("a,b,kind\n1,,0\n3,,1\n"), "train.csv: column \"b\" has no value in the training part");
}

TEST_F(TableDatasetTest, SaysFileLineAndColumn) {
  EXPECT_EQ(error_of("a,b,kind\n1,2,0\n1,x,1\n"), "train.csv:3: column \"b\": expected a finite number, found \"x\"");
  EXPECT_THAT(error_of("a,b,kind\n1,2,0\n\n1,inf,1\n"), StartsWith("train.csv:4: column \"b\": expected a finite"));
  EXPECT_EQ(error_of("a,b,kind\n1,2,0\n1,2\n"),
            "train.csv:3: expected 3 fields, as many as there are columns, found 2");
  EXPECT_THAT(error_of("a,b,kind\n1,\"2,0\n"), EndsWith("train.csv:2: quotes that do not end on the line"));
  EXPECT_THAT(error_of("a,b,kind\n1,\"2\"3,0\n"), EndsWith("something behind the quotes of field 2"));
  EXPECT_EQ(error_of("a,b,kind\n1,2,\n"), "train.csv:2: column \"kind\": the class is missing");
  EXPECT_EQ(error_of("a,b,kond\n1,2,0\n"),
            "train.csv:1: there is no column \"kind\" (data.target); did you mean \"kond\"?");
  EXPECT_THAT(error_of("a,b,y\n1,2,0\n"), EndsWith("; the columns are \"a\", \"b\", \"y\""));
  EXPECT_THAT(error_of(",b,kind\n1,2,0\n"), HasSubstr("column 1 has no name"));
  EXPECT_THAT(error_of("a,a,kind\n1,2,0\n"), HasSubstr("two columns are called \"a\""));
  EXPECT_THAT(error_of("kind\n1\n"), HasSubstr("no column is left for inputs"));
  EXPECT_THAT(error_of(""), HasSubstr("expected a line with the names of the columns"));
  EXPECT_THAT(error_of("a,kind\n"), HasSubstr("expected rows behind the names"));
  EXPECT_THAT(error_of("a,kind\n1,1\n" + std::string(60, '\x01') + ",1\n"),
              EndsWith("found \"" + std::string(40, '?') + "...\""));
  std::string letters;
  for (int i = 0; i < 30; ++i) letters += "\xC3\xA4";  // of two bytes each
  EXPECT_THAT(error_of("a,kind\n1,1\nx" + letters + ",1\n"), EndsWith("found \"x" + letters.substr(0, 38) + "...\""))
      << "none is cut in two";
  write_bytes(job_.data.train_inputs, test::gzip("a,kind\n1,1\n").substr(0, 20));
  EXPECT_THAT(open_error(), HasSubstr("the gzip file is cut off"));
  write("a,b,kind\n1,2,0\n1,2,1\n");
  write_test("b,a,kind\n1,2,1\n");
  EXPECT_THAT(open_error(Split::kTest), HasSubstr("in its order: a, b; found b, a"));
}

// In the first line a text is a column of texts; below it, a line that is wrong.
TEST_F(TableDatasetTest, SaysWhatToDoAboutAColumnOfTexts) {
  const std::string found = "train.csv:2: column \"b\": expected a finite number, found ";
  const std::string others = ", or write numbers for its texts, as pandas.get_dummies does";
  EXPECT_EQ(error_of("a,b,kind\n1,Adelie,0\n"), found +
                                                    "\"Adelie\"; a column of texts is no input: list the inputs in "
                                                    "data.columns, and not this one" +
                                                    others);
  EXPECT_EQ(error_of("a,b,kind\n1,inf,0\n"), found + "\"inf\"") << "which is a number";
  EXPECT_EQ(error_of("a,b,kind\n1,1e999,0\n"), found + "\"1e999\"");
  job_.data.columns = {"a", "b"};
  EXPECT_EQ(error_of("a,b,kind\n1,2024-01-31,0\n"), found +
                                                        "\"2024-01-31\"; a column of texts is no input: take it out of "
                                                        "data.columns" +
                                                        others);
  job_.data.columns = {"a"};
  EXPECT_EQ(error_of("a,b,kind\n1,Adelie,0\n"), "") << "that helps";
  job_.data.target = {"b"};
  job_.model.loss = "mse";
  EXPECT_EQ(error_of("a,b,kind\n1,Adelie,0\n"),
            found + "\"Adelie\"; texts are classes, which model.loss = \"cross_entropy\" predicts");
}

TEST_F(TableDatasetTest, SoManyBadLinesAreLeftOut) {
  job_.data.scaling = "none";
  const std::string text = "a,kind\n1,0\nx,1\n3,1\n4\n5,1\n";
  EXPECT_EQ(error_of(text), "train.csv:3: column \"a\": expected a finite number, found \"x\"");
  job_.data.skip_max = 1;
  EXPECT_EQ(error_of(text),
            "train.csv:5: expected 2 fields, as many as there are columns, found 1 (bad line number 2, and "
            "data.skip_max = 1; the first was " +
                job_.data.train_inputs + ":3: column \"a\": expected a finite number, found \"x\")");
  job_.data.skip_max = 2;
  EXPECT_THAT(gather_all(job_, Split::kTrain).inputs, ElementsAre(1, 3, 5));
  TableNames names;
  names.label = "kind";
  const Table table = read_table(job_.data.train_inputs, names, job_.data).value();
  EXPECT_EQ(table.skipped, "2 of 5 lines left out: " + job_.data.train_inputs +
                               ":3: column \"a\": expected a finite number, found \"x\"; " + job_.data.train_inputs +
                               ":5: expected 2 fields, as many as there are columns, found 1");
}

TEST_F(TableDatasetTest, FractionsOfOneTableShareNoRow) {
  job_.data.train_inputs.swap(job_.data.path);
  job_.data.scaling = "none";
  job_.data.validation_fraction = 0.25;
  job_.data.test_fraction = 0.1;
  std::string text = "a,kind\n";
  for (int row = 0; row < 200; ++row) text += std::to_string(row) + "," + std::to_string(row % 2) + "\n";
  write_bytes(job_.data.path, text);
  std::set<float> seen;
  const std::pair<Split, std::size_t> parts[] = {{Split::kTrain, 130}, {Split::kValidation, 50}, {Split::kTest, 20}};
  for (const auto& [split, rows] : parts) {
    const BatchBuffer batch = gather_all(job_, split);
    EXPECT_EQ(batch.inputs.size(), rows);
    EXPECT_EQ(size_of_dataset(job_, split)->samples, rows);
    for (std::size_t i = 0; i < batch.inputs.size(); ++i)
      EXPECT_EQ(batch.labels[i], static_cast<int>(batch.inputs[i]) % 2) << "a row and its class stay together";
    seen.insert(batch.inputs.begin(), batch.inputs.end());
  }
  EXPECT_EQ(seen.size(), 200u);
  const std::vector<float> before = gather_all(job_, Split::kTest).inputs;
  EXPECT_NE(before.back() - before.front(), 19) << "it is shuffled";
  job_.data.split_seed = 1;
  EXPECT_NE(gather_all(job_, Split::kTest).inputs, before);
  job_.data.scaling = "standard";
  // Only the training part has mean 0.
  const auto mean = [&](Split split) {
    double sum = 0.0;
    const BatchBuffer batch = gather_all(job_, split);
    for (const float value : batch.inputs) sum += value;
    return sum / static_cast<double>(batch.inputs.size());
  };
  EXPECT_NEAR(mean(Split::kTrain), 0.0, 1e-6);
  EXPECT_GT(std::abs(mean(Split::kTest)), 1e-3);
}

TEST_F(TableDatasetTest, AGroupIsOnOneSide) {
  job_.data.train_inputs.swap(job_.data.path);
  job_.data.scaling = "none";
  job_.data.group = "patient";
  job_.data.test_fraction = 0.3;
  std::string text = "patient,a,kind\n";
  for (int row = 0; row < 300; ++row)
    text += "p" + std::to_string(row * row % 23) + "," + std::to_string(row) + "," + std::to_string(row % 2) + "\n";
  write_bytes(job_.data.path, text);
  std::map<int, std::set<int>> sides;
  std::size_t rows = 0;
  for (const Split split : {Split::kTrain, Split::kTest})
    for (const float row : gather_all(job_, split).inputs) {
      sides[static_cast<int>(row) * static_cast<int>(row) % 23].insert(split == Split::kTest ? 1 : 0);
      ++rows;
    }
  EXPECT_EQ(rows, 300u);
  for (const auto& [patient, of] : sides) EXPECT_EQ(of.size(), 1u) << "patient " << patient;
  EXPECT_GE(gather_all(job_, Split::kTest).inputs.size(), 90u);
  write_bytes(job_.data.path, "patient,a,kind\nx,1,0\nx,2,1\n");
  EXPECT_THAT(open_error(), HasSubstr("1 group of 2 rows cannot be split into 30% for the test and the rest for "
                                      "training: each part needs one at least"));
  job_.data.group.clear();
  job_.data.columns = {"a"};
  job_.data.test_fraction = 0.0001;
  EXPECT_THAT(open_error(), HasSubstr("0.01% of 2 rows for the test is none, and one of them is 50%: raise "
                                      "data.test_fraction"));
  job_.data.test_fraction = 0.75;
  EXPECT_THAT(open_error(), HasSubstr("of 2 rows the parts of 75% for the test leave none to train on: lower "));
}

TEST_F(TableDatasetTest, TheFingerprintIsOfWhatIsRead) {
  write("a,kind\n1,0\n2,1\n");
  const std::string before = (*open_dataset(job_, Split::kTrain))->fingerprint();
  write("a,kind\n1.0,0\n2,1\n\n");
  EXPECT_EQ((*open_dataset(job_, Split::kTrain))->fingerprint(), before);
  for (const std::string text : {"b,kind\n1,0\n2,1\n", "a,kind\n1,1\n2,1\n", "a,kind\n1,0\n2,1\n3,1\n"}) {
    write(text);
    EXPECT_NE((*open_dataset(job_, Split::kTrain))->fingerprint(), before) << text;
  }
}

// A text that is cut off may still be a table, with one row less or another number: it is enough to come to an end.
TEST_F(TableDatasetTest, DamageIsSurvived) {
  const std::string text = "a,\"b\"\"c\",kind\n1,-2e3,0\r\n\"3\",4,1\n5,6.5,1\n";
  for (std::size_t length = 0; length < text.size(); ++length) {
    const std::string message = error_of(text.substr(0, length));
    if (length < 15) {
      EXPECT_NE(message, "") << length;
    }
  }
  std::size_t noticed = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const int change : {0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0xFF}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ change);
      noticed += error_of(changed).empty() ? 0u : 1u;
    }
  EXPECT_GT(noticed, text.size() * 3);
}

}  // namespace
}  // namespace rubato::data
