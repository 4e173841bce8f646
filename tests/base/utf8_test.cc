#include "base/utf8.h"

#include <gtest/gtest.h>

namespace rubato {
namespace {

using namespace std::string_view_literals;

TEST(Utf8, LettersOfEachLengthAreTold) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain\0text"sv));
  EXPECT_TRUE(is_utf8("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8E\xB5"));
  EXPECT_TRUE(is_utf8("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
}

TEST(Utf8, WhatIsNoneEndsTheText) {
  EXPECT_EQ(utf8_prefix("caf\xE9"), 3u) << "Latin-1";
  for (const std::string_view bad :
       {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x9F\xBF"sv, "\xED\xA0\x80"sv, "\xF0\x8F\xBF\xBF"sv,
        "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv, "\xFF"sv, "\xC3"sv, "\xE2\x82"sv, "\xC3("sv, "\xE2\x82("sv}) {
    EXPECT_EQ(utf8_prefix(bad), 0u);
    EXPECT_FALSE(is_utf8(bad));
  }
}

}  // namespace
}  // namespace rubato
