#include "data/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "tests/base/temp_directory.h"
#include "tests/data/idx_files.h"
#include "tests/data/npy_files.h"

namespace rubato::data {
namespace {

using rubato::test::TempDirectory;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A file of `header` (its length in front) and `values` zero bytes.
std::string file_of(const std::string& header, std::size_t values) {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + std::string(values, '\0');
}

Result<TensorFile> parse(const std::string& bytes) { return parse_safetensors(std::as_bytes(std::span(bytes)), "w"); }

std::string error_of(const std::string& bytes) {
  const auto file = parse(bytes);
  if (file.ok()) return "(no error)";
  EXPECT_EQ(file.error().cause, Cause::kData);
  return file.error().message;
}

std::vector<TensorView> views(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> all;
  for (const Tensor& tensor : tensors) all.push_back(tensor.view());
  return all;
}

TEST(Safetensors, WritesTheBytesOfTheFormat) {
  const TempDirectory directory;
  const std::vector<Tensor> tensors{{"b", {2, 1}, {1.0f, -2.0f}}, {"a", {}, {0.5f}}};
  ASSERT_TRUE(write_safetensors(directory.file("w"), views(tensors), {{"mode", "bsp"}}).ok());
  std::ostringstream bytes;
  bytes << std::ifstream(directory.file("w"), std::ios::binary).rdbuf();
  std::string header = R"({"__metadata__":{"mode":"bsp"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[],"data_offsets":[8,12]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(bytes.str(), file_of(header, 0) + std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0\x00\x00\x00\x3f", 12));
}

// Its length begins with the two bytes that a pickle begins with.
TEST(Safetensors, AHeaderOf640BytesIsNoPickle) {
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(640, ' ');
  const std::string bytes = file_of(header, 4);
  ASSERT_TRUE(bytes.starts_with("\x80\x02"));
  EXPECT_EQ(parse(bytes).value().tensors.size(), 1u);
  EXPECT_THAT(error_of(std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15)),
              HasSubstr("pickle"));
}

TEST(Safetensors, WhatAnotherFileIsIsSaid) {
  const auto found = [](const std::string& bytes) {
    const std::string message = error_of(bytes + std::string(100, '\x05'));
    const std::string before = "expected safetensors, found ";
    EXPECT_NE(message.find(before), std::string::npos) << message;
    return message.substr(std::min(message.find(before), message.size() - before.size()) + before.size());
  };
  EXPECT_EQ(found("\xFF\xD8\xFF\xE0"), "a JPEG image");
  EXPECT_EQ(found("x,y,label\n1,2,0\n"), "a text that begins with \"x,y,label\"");
  EXPECT_EQ(found("\x89HDF\r\n"), "an HDF5 file");
  EXPECT_THAT(found("\x93NUMPY\x01"),
              AllOf(HasSubstr("a numpy array (npy): "), HasSubstr("safetensors.numpy.save_file(")));
  for (const char* const pickle : {"\x80\x02}", "\x80\x04\x95", "\x80\x05\x95"})
    EXPECT_THAT(found(pickle), AllOf(HasSubstr("a pickle, as torch.save writes them, which is never read"),
                                     HasSubstr("safetensors.torch.save_file(")));
}

// Not every zip archive is what torch.save writes: its members say what it is.
TEST(Safetensors, WhatAZipArchiveIsIsSaid) {
  const TempDirectory directory;
  const std::string path = directory.file("w");
  const auto error_of_file = [&](const std::string& bytes) {
    test::write_bytes(path, bytes);
    const auto file = read_safetensors(path);
    if (file.ok()) return std::string("(no error)");
    EXPECT_EQ(file.error().cause, Cause::kData);
    EXPECT_TRUE(file.error().message.starts_with(path + ": expected safetensors, found ")) << file.error().message;
    return file.error().message;
  };
  const auto zip = [](const std::vector<std::string>& names) {
    test::ZipMembers members;
    for (const std::string& name : names) members.emplace_back(name, "content");
    return test::zip_bytes(members, false);
  };
  const std::string torch = "safetensors.torch.save_file(model.state_dict()";
  EXPECT_THAT(error_of_file(zip({"archive/data.pkl", "archive/version", "archive/data/0"})),
              AllOf(HasSubstr("what torch.save writes: that is a pickle"), HasSubstr(torch)));
  EXPECT_THAT(error_of_file(zip({"data.pkl"})), HasSubstr(torch));
  EXPECT_THAT(error_of_file(zip({"train_images.npy", "train_labels.npy"})),
              AllOf(HasSubstr("a numpy archive of train_images, train_labels: "),
                    HasSubstr("safetensors.numpy.save_file("), Not(HasSubstr("pickle")), Not(HasSubstr("torch"))));
  EXPECT_THAT(error_of_file(zip({"config.json", "model.weights.h5"})),
              AllOf(HasSubstr("a zip archive of config.json, model.weights.h5: "), Not(HasSubstr("torch"))));
  EXPECT_THAT(error_of_file(zip(std::vector<std::string>(200, "a.npy"))), testing::SizeIs(testing::Lt(400u)));
  EXPECT_THAT(error_of_file(zip({})), HasSubstr("a zip archive of nothing"));
  // Its directory is at the end.
  const std::string good = zip({"archive/data.pkl"});
  EXPECT_THAT(error_of_file(good.substr(0, good.size() - 10)), HasSubstr("a zip archive that is damaged or cut off"));
}

TEST(Safetensors, ReadsBackWhatItWroteBitForBit) {
  const TempDirectory directory;
  const float nan = std::numeric_limits<float>::quiet_NaN(), tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<Tensor> tensors{
      {"z.weight", {2, 3}, {1, 2, 3, -0.0f, nan, tiny}}, {"a \"quoted\" \n ü", {1}, {7}}, {"none", {0, 5}, {}}};
  ASSERT_TRUE(write_safetensors(directory.file("w"), views(tensors), {{"k", "v"}}).ok());
  const auto file = read_safetensors(directory.file("w"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->metadata, (Metadata{{"k", "v"}}));
  ASSERT_EQ(file->tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file->tensors[i].name, tensors[i].name);
    EXPECT_EQ(file->tensors[i].shape, tensors[i].shape);
    const auto bits = [](float value) { return std::bit_cast<std::uint32_t>(value); };
    EXPECT_TRUE(std::ranges::equal(file->tensors[i].values, tensors[i].values, {}, bits, bits));
  }
}

// Of one tensor of so many values; `bits` are its bytes.
std::vector<float> floats_of(const char* dtype, std::size_t values, const std::string& bits) {
  const std::string header =
      fmt::format(R"({{"a":{{"dtype":"{}","shape":[{}],"data_offsets":[0,{}]}}}})", dtype, values, bits.size());
  const auto file = parse(file_of(header, 0) + bits);
  EXPECT_TRUE(file.ok()) << file.error().message;
  return file.ok() ? file->tensors.front().values : std::vector<float>();
}

template <typename Bits>
std::string bytes_of(const std::vector<Bits>& values) {
  std::string bytes(values.size() * sizeof(Bits), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(Safetensors, OtherFloatsBecomeFloat32) {
  EXPECT_THAT(floats_of("F64", 3, bytes_of<double>({0.1, -3.0, 1e300})),
              testing::ElementsAre(0.1f, -3.0f, std::numeric_limits<float>::infinity()));
  EXPECT_THAT(floats_of("BF16", 3, bytes_of<std::uint16_t>({0x3f80, 0xc049, 0x0001})),
              testing::ElementsAre(1.0f, -3.140625f, std::bit_cast<float>(0x00010000u)));
}

#ifdef __FLT16_MAX__
TEST(Safetensors, EveryHalfIsWhatTheCompilerSays) {
  std::vector<std::uint16_t> all(1 << 16);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const std::vector<float> values = floats_of("F16", all.size(), bytes_of(all));
  ASSERT_EQ(values.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto expected = static_cast<float>(std::bit_cast<_Float16>(all[i]));
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(values[i])) << i;
    else
      EXPECT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected)) << i;
  }
}
#endif

TEST(Safetensors, WholeNumbersAreWrittenAndOfThemOnlyThatTheyAreThereIsRead) {
  const TempDirectory directory;
  const std::vector<std::int64_t> count{7};
  ASSERT_TRUE(write_safetensors(directory.file("w"), std::vector<TensorView>{{"n", {}, std::span(count)}}).ok());
  const auto file = read_safetensors(directory.file("w"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors.front(), (Tensor{"n", {}, {}, "I64"}));
  EXPECT_FALSE(file->tensors.front().of_floats());
}

TEST(Safetensors, AnEmptyFileIsAFile) {
  EXPECT_TRUE(parse(file_of("{}", 0)).ok());
  EXPECT_TRUE(parse(file_of("{}      ", 0)).ok());
}

struct Wrong {
  const char* name;
  std::string bytes;
  const char* message;
};

class WrongSafetensors : public testing::TestWithParam<Wrong> {};

TEST_P(WrongSafetensors, SaysWhatWasExpectedAndFound) {
  EXPECT_THAT(error_of(GetParam().bytes), HasSubstr(GetParam().message));
}

std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

std::string object(const std::string& entries) { return fmt::format("{{{}}}", entries); }

INSTANTIATE_TEST_SUITE_P(
    Table, WrongSafetensors,
    testing::ValuesIn(std::vector<Wrong>{
        {"empty", "", "expected the 8 bytes of a safetensors header length, found 0"},
        {"long_header", file_of("{}", 0).substr(0, 9), "expected a header of 2 bytes, found 1 bytes"},
        {"absurd_header", std::string(16, '\xff'), "found a file that begins with ff ff ff ff"},
        {"no_json", file_of("hello", 0), "the header is no JSON object"},
        {"list", file_of("[]", 0), "the header is no JSON object"},
        {"cut_json", file_of("{\"a\":", 0), "the header is no JSON object"},
        {"twice", file_of(object(entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[0,4]")), 4),
         "the header has \"a\" twice"},
        {"entry_is_number", file_of("{\"a\":1}", 0), "tensor a: expected an object"},
        {"no_dtype", file_of("{\"a\":{}}", 0), "tensor a: expected a dtype of the format, such as \"F32\", found none"},
        {"unknown_dtype", file_of(object(entry("a", "[1]", "[0,4]", "F33")), 4), "such as \"F32\", found \"F33\""},
        {"dtype_number", file_of(R"({"a":{"dtype":7,"shape":[],"data_offsets":[0,4]}})", 4),
         "such as \"F32\", found 7"},
        {"long_dtype", file_of(object(entry("a", "[1]", "[0,4]", std::string(200, 'x'))), 4), "xxx..."},
        {"too_wide", file_of(object(entry("a", "[1]", "[0,8]")), 8), "shape does not fit its 8 bytes"},
        {"half_a_double", file_of(object(entry("a", "[1]", "[0,4]", "F64")), 4), "shape does not fit its 4 bytes"},
        {"deep", file_of(std::string(1'000'000, '['), 0), "the header is no JSON object"},
        {"deep_entry", file_of("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0),
         "tensor a: expected an object"},
        {"no_utf8", file_of("{\"a\xff\":{}}", 0), "the header is no JSON object"},
        {"shape_text", file_of(object(entry("a", "\"1\"", "[0,4]")), 4), "shape must be a list of whole numbers"},
        {"shape_negative", file_of(object(entry("a", "[-1]", "[0,4]")), 4), "shape must be a list of whole"},
        {"shape_fraction", file_of(object(entry("a", "[1.5]", "[0,4]")), 4), "shape must be a list of whole"},
        {"one_offset", file_of(object(entry("a", "[1]", "[4]")), 4), "data_offsets must be two whole numbers"},
        {"offsets_reversed", file_of(object(entry("a", "[1]", "[4,0]")), 4), "data_offsets 4 to 0 are not within"},
        {"offsets_outside", file_of(object(entry("a", "[2]", "[0,8]")), 4), "not within the 4 bytes of values"},
        {"too_few_values", file_of(object(entry("a", "[3]", "[0,8]")), 8), "shape does not fit its 8 bytes"},
        {"half_a_float", file_of(object(entry("a", "[1]", "[0,5]")), 5), "shape does not fit its 5 bytes"},
        {"overflowing_shape", file_of(object(entry("a", "[4294967296,4294967296,4]", "[0,0]")), 0),
         "shape does not fit its 0 bytes"},
        {"extent_beyond_64_bits", file_of(object(entry("a", "[0,18446744073709551615]", "[0,0]")), 0),
         "shape does not fit"},
        {"zero_with_values", file_of(object(entry("a", "[0]", "[0,4]")), 4), "shape does not fit its 4 bytes"},
        {"hole", file_of(object(entry("a", "[1]", "[4,8]")), 8), "start at byte 4, expected 0: a hole or an overlap"},
        {"overlap", file_of(object(entry("a", "[2]", "[0,8]") + "," + entry("b", "[2]", "[4,12]")), 12),
         "tensor b: its values start at byte 4, expected 8"},
        {"trailing", file_of(object(entry("a", "[1]", "[0,4]")), 5), "expected 4 bytes of values, found 5"},
        {"metadata_number", file_of("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__ must map text to text"},
        {"metadata_list", file_of("{\"__metadata__\":[]}", 0), "__metadata__ must map text to text"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Safetensors, EveryCutIsRefusedAndNoBitFlipCrashes) {
  const std::string file = file_of(object(entry("a", "[2]", "[0,8]") + "," + entry("b", "[1]", "[8,12]")), 12);
  ASSERT_EQ(error_of(file), "(no error)");
  for (std::size_t length = 0; length < file.size(); ++length)
    EXPECT_NE(error_of(file.substr(0, length)), "(no error)");
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
    (void)error_of(flipped);
  }
}

TEST(Safetensors, FilesThatCannotBeReadOrWritten) {
  EXPECT_EQ(read_safetensors("/nowhere/w").error().message, "/nowhere/w: No such file or directory");
  const TempDirectory directory;
  EXPECT_FALSE(read_safetensors(directory.path().string()).ok());
  EXPECT_EQ(write_safetensors("/nowhere/w", {}).error().cause, Cause::kStorage);
}

TEST(SafetensorsDeathTest, TensorsThatDoNotFitAreABug) {
  const std::vector<Tensor> twice{{"a", {1}, {1}}, {"a", {1}, {1}}}, short_of{{"a", {2}, {1}}};
  EXPECT_DEATH((void)write_safetensors("/tmp/w", views(twice)), "two tensors named a");
  EXPECT_DEATH((void)write_safetensors("/tmp/w", views(short_of)), "a has 1 values");
}

}  // namespace
}  // namespace rubato::data
