#include "base/job_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/base/temp_directory.h"

namespace rubato {
namespace {

using namespace std::string_literals;

const std::string kIdx = "\0\0\x08\x03"s + "more", kNpy = "\x93NUMPY\x01", kGzip = "\x1F\x8B\x08"s, kZip = "PK\x03\x04";

class JobFilesTest : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(directory_.file(name)).parent_path());
    std::ofstream(directory_.file(name), std::ios::binary) << bytes;
  }
  // The message without the folder that it begins with; of paths the folder is "DIR/".
  [[nodiscard]] std::string error_of(const std::string& data, const std::string& more = "") const {
    const bool series = data.find("\"series\"") != std::string::npos, text = data.find("\"text\"") != std::string::npos;
    const std::string model = text     ? "name = \"gpt\""
                              : series ? "name = \"logistic\"\nloss = \"mse\""
                                       : "name = \"logistic\"";
    write("job.toml", "[data]\n" + data + "\n[model]\n" + model + "\n" + more);
    const Result<Job> job = load_job_and_see_data(directory_.file("job.toml"));
    if (job.ok()) return "";
    EXPECT_EQ(job.error().cause, Cause::kData) << job.error().message;
    std::string message = job.error().message;
    const std::string folder = directory_.file("");
    for (std::size_t at = 0; (at = message.find(folder)) != std::string::npos;)
      message.replace(at, folder.size(), "DIR/");
    return message;
  }

  test::TempDirectory directory_;
  const std::string pairs_ =
      "train_inputs = \"a\"\ntrain_labels = \"b\"\ntest_inputs = \"c\"\ntest_labels = \"d\"\nkind = ";
};

TEST_F(JobFilesTest, AMissingFileIsToldWithItsKeyAndLine) {
  for (const char* const name : {"a", "c", "d"}) write(name, kIdx);
  const std::string idx = pairs_ + "\"idx\"";
  EXPECT_EQ(error_of(idx), "DIR/job.toml:3: data.train_labels: DIR/b: No such file or directory");
  EXPECT_TRUE(load_job(directory_.file("job.toml")).ok()) << "another host may have it";
  write("b", kIdx);
  EXPECT_EQ(error_of(idx), "");
  std::filesystem::remove(directory_.file("c"));
  EXPECT_EQ(error_of(idx), "DIR/job.toml:4: data.test_inputs: DIR/c: No such file or directory");
  EXPECT_EQ(error_of(idx, "[evaluation]\nenabled = false\n"), "") << "nobody reads it";
  EXPECT_EQ(error_of("kind = \"npz\"\npath = \"no.npz\""),
            "DIR/job.toml:3: data.path: DIR/no.npz: No such file or directory");
  EXPECT_EQ(error_of("kind = \"npz\"\npath = \"a/no.npz\""),
            "DIR/job.toml:3: data.path: DIR/a/no.npz: Not a directory");
}

TEST_F(JobFilesTest, WhatIsTypedIsBlamed) {
  write("job.toml", "[data]\nkind = \"npz\"\npath = \"there.npz\"\n[model]\nname = \"logistic\"\n");
  write("there.npz", kZip);
  const std::string job = directory_.file("job.toml");
  EXPECT_TRUE(load_job_and_see_data(job).ok());
  EXPECT_EQ(load_job_and_see_data(job, {{"data.path", "/nowhere"}}).error().message,
            "--set: data.path: /nowhere: No such file or directory");
}

TEST_F(JobFilesTest, AFileOfAnotherKindIsToldByItsFirstBytes) {
  const std::string where = "DIR/job.toml:2: data.train_inputs: DIR/a: ";
  for (const char* const name : {"b", "c", "d"}) write(name, kIdx);
  const auto idx = [&](const std::string& bytes) {
    write("a", bytes);
    return error_of(pairs_ + "\"idx\"");
  };
  EXPECT_EQ(idx(kIdx), "");
  EXPECT_EQ(idx(kGzip), "") << "what is in it its reader sees";
  EXPECT_EQ(idx(kNpy), where + "expected an idx file, found a numpy array (npy)");
  EXPECT_EQ(idx(""), where + "there is nothing in it");
  EXPECT_EQ(idx("version https"), where + "expected an idx file, found a text that begins with \"version https\"");
  EXPECT_EQ(idx("<html>\n<body>"), where + "expected an idx file, found a text that begins with \"<html>\"");
  EXPECT_EQ(idx("MZ\x90"), where + "expected an idx file, found a file that begins with 4d 5a 90");
  EXPECT_EQ(idx("v"), where + "expected an idx file, found a text that begins with \"v\"");
  for (const char* const name : {"b", "c", "d"}) write(name, kNpy);
  EXPECT_EQ(error_of(pairs_ + "\"npy\""), where + "expected a numpy array (npy), found a text that begins with \"v\"");
  write("a", kNpy);
  EXPECT_EQ(error_of(pairs_ + "\"npy\""), "");
  const std::string npz = "path = \"a\"\nkind = \"npz\"";
  EXPECT_EQ(error_of(npz),
            "DIR/job.toml:2: data.path: DIR/a: expected a numpy archive (npz), found a numpy array (npy)");
  write("a", kZip);
  EXPECT_EQ(error_of(npz), "");
}

// What begins as a numpy archive does, too: it is told by its first member's name.
TEST_F(JobFilesTest, WhatTorchSaveWritesIsToldBeforeAnythingStarts) {
  const auto zip_of = [](const std::string& member) {
    const std::string length{static_cast<char>(member.size()), '\0'};
    return kZip + std::string(22, '\0') + length + "\0\0"s + member + "what is in it";
  };
  const std::string npz = "path = \"a.pt\"\nkind = \"npz\"", where = "DIR/job.toml:2: data.path: DIR/a.pt: expected ";
  const std::string pickle = ", found what torch.save writes: that is a pickle, which is never read";
  write("a.pt", zip_of("archive/data.pkl"));
  EXPECT_EQ(error_of(npz), where + "a numpy archive (npz)" + pickle +
                               "; numpy.savez(FILE, train_images=..., train_labels=...) writes what is");
  EXPECT_EQ(error_of("path = \"a.pt\"\nkind = \"csv\"\ntarget = \"y\"\nclasses = 2"),
            where + "a table of text (CSV)" + pickle);
  write("a.pt", "\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.\x80\x02");  // as PyTorch before 1.6 did
  EXPECT_EQ(error_of(npz), where + "a numpy archive (npz)" + pickle +
                               "; numpy.savez(FILE, train_images=..., train_labels=...) writes what is");
  for (const char* const member : {"train_images.npy", "data.pkl.npy", "other.txt"}) {
    write("a.pt", zip_of(member));
    EXPECT_EQ(error_of(npz), "") << "its reader knows more";
  }
  for (const char* const name : {"b", "c", "d"}) write(name, kNpy);
  write("a", zip_of("a/data.pkl"));
  EXPECT_EQ(error_of(pairs_ + "\"npy\""), "DIR/job.toml:2: data.train_inputs: DIR/a: expected a numpy array (npy)" +
                                              pickle + "; numpy.save(FILE, ...) writes what is");
}

TEST_F(JobFilesTest, ATableIsNoFileOfAnotherKind) {
  const auto csv = [&](const std::string& bytes) {
    write("t", bytes);
    return error_of("path = \"t\"\nkind = \"csv\"\ntarget = \"y\"\nclasses = 2");
  };
  const std::string where = "DIR/job.toml:2: data.path: DIR/t: expected a table of text (CSV), found ";
  EXPECT_EQ(csv("x,y\n1,2\n"), "");
  EXPECT_EQ(csv("PAR1,y\n1,2\n"), "") << "a column may be called anything";
  EXPECT_EQ(csv(kGzip), "");
  EXPECT_EQ(csv(kZip), where + "a zip archive, as npz and xlsx files are");
  EXPECT_EQ(csv("\xFF\xFEx"), where + "a text in UTF-16");
  EXPECT_EQ(csv("PAR1\x15"), where + "a Parquet table");
  write("t", kNpy);
  EXPECT_EQ(error_of("path = \"t\"\nkind = \"series\"\ntarget = \"y\""), where + "a numpy array (npy)");
  EXPECT_EQ(error_of("path = \"t\"\nkind = \"libsvm\""),
            "DIR/job.toml:2: data.path: DIR/t: expected lines of text (libsvm), found a numpy array (npy)");
  EXPECT_EQ(error_of("train_inputs = \"t\"\ntest_inputs = \"t\"\nkind = \"libsvm\""),
            "DIR/job.toml:2: data.train_inputs: DIR/t: expected lines of text (libsvm), found a numpy array (npy)");
}

TEST_F(JobFilesTest, FoldersAreToldFromFiles) {
  const auto of_kind = [&](const std::string& kind, const std::string& path) {
    return error_of("path = \"" + path + "\"\nkind = \"" + kind + "\"" + (kind == "text" ? "\nclasses = 256" : ""));
  };
  const std::string where = "DIR/job.toml:2: data.path: DIR/";
  write("file", "text");
  write("folder/file", "text");
  std::filesystem::create_directory(directory_.file("empty"));
  EXPECT_EQ(of_kind("folder", "folder"), "");
  EXPECT_EQ(of_kind("cifar", "folder"), "");
  EXPECT_EQ(of_kind("text", "folder"), "");
  EXPECT_EQ(of_kind("text", "file"), "");
  EXPECT_EQ(of_kind("folder", "file"), where + "file: expected a folder of images, found a file");
  EXPECT_EQ(of_kind("cifar", "file"), where + "file: expected a folder of CIFAR's binary files, found a file");
  EXPECT_EQ(of_kind("npz", "folder"), where + "folder: expected a numpy archive (npz), found a folder");
  EXPECT_EQ(of_kind("folder", "empty"), where + "empty: there is nothing in it");
}

TEST_F(JobFilesTest, KeysThatSplitAFolderWithPartsOfItsOwnAreTold) {
  Job job;
  job.data.kind = "folder";
  job.data.path = directory_.file("pictures");
  job.data.group = "(.*)_";
  std::filesystem::create_directories(directory_.file("pictures/cat"));
  EXPECT_THAT(data_notes(job), testing::IsEmpty()) << "it is split by data.test_fraction";
  std::filesystem::create_directories(directory_.file("pictures/train/cat"));
  EXPECT_THAT(data_notes(job),
              testing::ElementsAre("data.group has no effect on " + job.data.path +
                                   ", which is not split: it has a folder train, and evaluation.holdout is 0"));
  job.data.test_fraction = 0.3;
  job.evaluation.holdout = 0.1;
  EXPECT_THAT(data_notes(job), testing::ElementsAre("data.test_fraction has no effect on " + job.data.path +
                                                    ", which is not split: it has a folder train"));
  job.data.test_fraction = 0.0;
  job.evaluation.holdout = 0.0;
  EXPECT_THAT(job_notes(job), testing::Contains("data.group has no effect: data.validation_fraction, "
                                                "data.test_fraction and evaluation.holdout are 0, and nothing is "
                                                "split"));
}

// Who root may be for a while: root may read everything. Nothing for who is another already.
class Nobody {
 public:
  Nobody() : before_(::geteuid()) {
    if (before_ == 0) {
      EXPECT_EQ(::seteuid(kUser), 0);
    }
  }
  ~Nobody() {
    if (before_ == 0) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }
  Nobody(const Nobody&) = delete;
  Nobody& operator=(const Nobody&) = delete;

 private:
  static constexpr uid_t kUser = 65534;
  uid_t before_;
};

TEST_F(JobFilesTest, WhatMayNotBeReadIsTold) {
  write("a.npz", kZip);
  write("job.toml", "");
  std::filesystem::permissions(directory_.file(""), std::filesystem::perms::all);
  std::filesystem::permissions(directory_.file("job.toml"), std::filesystem::perms::all);
  std::filesystem::permissions(directory_.file("a.npz"), std::filesystem::perms::none);
  const Nobody nobody;
  EXPECT_EQ(error_of("path = \"a.npz\"\nkind = \"npz\""), "DIR/job.toml:2: data.path: DIR/a.npz: Permission denied");
}

}  // namespace
}  // namespace rubato
