// What a job file that is no TOML is told: by toml++'s places, and in words of our own.
#include "base/toml_fault.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/job.h"

namespace rubato {
namespace {

// Of a file whose first line is [data].
std::string told_of(const std::string& lines) {
  const auto job = parse_job("[data]\n" + lines + "\n", "f");
  return job.ok() ? "(no error)" : job.error().message;
}
std::string told_of_file(const std::string& text) {
  const auto job = parse_job(text, "f");
  return job.ok() ? "(no error)" : job.error().message;
}

TEST(TomlFault, Tables) {
  EXPECT_EQ(told_of_file("[data\nkind = \"idx\"\n"),
            "f:1:6: expected ] behind the name of a table, found the end of the line: write [data]");
  EXPECT_EQ(told_of_file("[[data]\n"),
            "f:1:8: expected ] behind the name of a table, found the end of the line: write [data]");
  EXPECT_EQ(told_of_file("[data]]\n"),
            "f:1:7: expected the end of the line behind [data], found ]: keys are on lines of their own");
  EXPECT_EQ(told_of_file("[data] kind = 3\n"),
            "f:1:8: expected the end of the line behind [data], found kind = 3: keys are on lines of their own");
  EXPECT_EQ(told_of_file("[]\n"), "f:1:2: expected the name of a table, as in [data], found none");
  EXPECT_EQ(told_of("[data]"), "f:2:1: expected each table once, found [data] again: put its keys together");
}

TEST(TomlFault, Lists) {
  EXPECT_EQ(told_of("target = [\"a\", \"b\"\nclasses = 3"),
            "f:3:1: expected ] at the end of the list that begins on line 2, found classes = 3: close it");
  EXPECT_EQ(told_of_file("[data]\ntarget = [\"a\", \"b\""),
            "f:2:19: expected ] at the end of the list that begins on line 2, found the end of the file: close it");
  EXPECT_EQ(told_of("target = [\n  \"a\",\n  \"b\"\n  \"c\"]"),
            "f:5:3: expected a comma or ] in the list that begins on line 2, found \"c\"]: write commas between items");
  EXPECT_EQ(told_of("target = [1 2]"),
            "f:2:13: expected a comma or ] in the list that begins on line 2, found 2]: write commas between items");
  EXPECT_EQ(told_of("target = [,]"), "f:2:11: expected an item or ], found a comma: leave it out");
  EXPECT_EQ(told_of("target = [\"x\", y]"), "f:2:16: expected a value, found y: a text is between quotes, \"y\"");
  EXPECT_EQ(told_of("target = [\"[\", 1]]"),
            "f:2:18: expected the end of the line behind a value, found ]: it closes nothing");
  EXPECT_EQ(told_of("target = (1, 2)"), "f:2:10: expected a value, found (1: a list is between brackets, as in [1, 2]");
  EXPECT_EQ(told_of("x = { a = 1\nb = 2 }"),
            "f:2:12: expected } on the line of its {, found the end of the line: what is longer is a table, under its "
            "[NAME]");
  EXPECT_EQ(told_of("x = { a = 1, }"), "f:2:14: expected KEY = VALUE behind a comma, found }: leave the comma out");
}

TEST(TomlFault, Texts) {
  const std::string end = " at the end of the text that begins in column 8, found the end of the line: close it";
  EXPECT_EQ(told_of("kind = \"idx # no comment\nclasses = 3"), "f:2:25: expected \"" + end);
  EXPECT_EQ(told_of("kind = 'idx"), "f:2:12: expected '" + end);
  EXPECT_EQ(told_of("kind = \"idx\r"), "f:2:12: expected \"" + end);
  EXPECT_EQ(
      told_of("kind = \"\"\"idx\n\nclasses = 3"),
      "f:4:13: expected \"\"\" at the end of the text that begins on line 2, found the end of the file: close it");
  EXPECT_EQ(
      told_of("path = \"C:\\data\\x\""),
      "f:2:12: expected \\\", \\\\, \\n, \\t or another of TOML's escapes, found \\d: write \\\\ for a backslash, "
      "or put the text between single quotes");
  EXPECT_EQ(told_of("path = \"C:\\users\""),
            "f:2:13: expected \\\", \\\\, \\n, \\t or another of TOML's escapes, found \\us: write \\\\ for a "
            "backslash, or put the text between single quotes");
  EXPECT_EQ(told_of("path = \"a\x01\""), "f:2:10: expected letters, found the byte 01 in a text");
}

TEST(TomlFault, WordsWithoutQuotes) {
  EXPECT_EQ(told_of("kind = idx"), "f:2:9: expected a value, found idx: a text is between quotes, \"idx\"");
  EXPECT_EQ(told_of("kind = csv # a table"), "f:2:8: expected a value, found csv: a text is between quotes, \"csv\"");
  EXPECT_EQ(told_of("path = C:\\data"),
            "f:2:8: expected a value, found C:\\data: a text is between quotes, 'C:\\data'");
  EXPECT_EQ(told_of("kind = \u201Cidx\u201D"),
            "f:2:8: expected a value, found \u201Cidx\u201D: a text is between quotes, \"idx\"");
  EXPECT_EQ(told_of("flip = True"), "f:2:8: expected a value, found True: write true");
  EXPECT_EQ(told_of("flip = no"), "f:2:9: expected a value, found no: write false");
  EXPECT_EQ(told_of("kind = None"), "f:2:8: expected a value, found None: a key that is left out has its default");
  EXPECT_EQ(told_of("kind ="),
            "f:2:7: expected a value, found the end of the line: a key without one is left out, for its default");
}

TEST(TomlFault, Numbers) {
  EXPECT_EQ(told_of("classes = 03"), "f:2:13: expected a value, found 03: a number does not begin with 0");
  EXPECT_EQ(told_of("classes = 99999999999999999999"),
            "f:2:31: expected a value, found 99999999999999999999: an integer is at most 9,223,372,036,854,775,807");
  const std::string point = ": a number has a digit on either side of its point, as in 0.5 and 5.0";
  EXPECT_EQ(told_of("flip = .5"), "f:2:8: expected a value, found .5" + point);
  EXPECT_EQ(told_of("flip = 5."), "f:2:10: expected a value, found 5." + point);
  EXPECT_EQ(told_of("classes = 3px"), "f:2:12: expected a value, found 3px: a text is between quotes, \"3px\"");
  EXPECT_EQ(told_of("classes = 1,000"),
            "f:2:12: expected the end of the line behind a value, found ,000: numbers have no commas, and a list is "
            "between brackets");
  EXPECT_EQ(told_of("classes == 3"), "f:2:10: expected a value, found = 3: write = once");
  EXPECT_EQ(told_of("flip = +"), "f:2:8: expected a value, found + (value: could not determine value type)");
}

TEST(TomlFault, Lines) {
  EXPECT_EQ(told_of_file("[data]\nkind"), "f:2:5: expected = behind the key kind, found the end of the file");
  EXPECT_EQ(told_of("kind \"idx\""), "f:2:6: expected = behind the key kind, found \"idx\"");
  EXPECT_EQ(told_of("kind: idx"), "f:2:5: expected = behind the key kind, found : idx: write = for :");
  EXPECT_EQ(told_of("= 3"), "f:2:1: expected [TABLE] or KEY = VALUE, found = 3");
  EXPECT_EQ(told_of("// of images"),
            "f:2:1: expected [TABLE] or KEY = VALUE, found // of images: a comment begins with #");
  EXPECT_EQ(told_of_file("{\"data\": {\"kind\": \"idx\"}}"),
            "f:1:1: expected [TABLE] or KEY = VALUE, found {\"data\": {\"kind\": \"idx\"}}");
  EXPECT_EQ(
      told_of("classes = 3 kind = \"idx\""),
      "f:2:13: expected the end of the line behind a value, found kind = \"idx\": each key has a line of its own");
  EXPECT_EQ(told_of("classes = 3\nclasses = 4"),
            "f:3:11: expected each key once, found classes again: leave one of them out");
  EXPECT_EQ(told_of("classes = 3 # \x01"),
            "f:2:15: expected TOML, found \\x01 (comment: control characters other than TAB (U+0009) are explicitly "
            "prohibited in comments)");
}

TEST(TomlFault, BytesThatAreNoUtf8) {
  EXPECT_EQ(told_of("# fine: \u00FC\npath = \"\u00FC caf\xE9\""),
            "f:3:14: expected UTF-8, found the byte e9: save the file as UTF-8");
  EXPECT_EQ(told_of_file("\xFF\xFE["), "f:1:1: expected UTF-8, found a text in UTF-16: save the file as UTF-8");
}

// Wherever it ends, and whatever is there in place of a letter.
TEST(TomlFault, JobsThatAreDamagedAreToldInOneLine) {
  std::ostringstream text;
  text << std::ifstream(std::filesystem::path(RUBATO_JOBS) / "fashion_layers.toml").rdbuf();
  const std::string job = text.str();
  ASSERT_GT(job.size(), 500u);
  const std::string_view instead = "\"'[]{\n=\\\x01\xFF";
  for (std::size_t at = 0; at < job.size(); ++at) {
    EXPECT_EQ(std::ranges::count(told_of_file(job.substr(0, at)), '\n'), 0) << at;
    std::string damaged = job;
    damaged[at] = instead[at % instead.size()];
    const std::string told = told_of_file(damaged);
    if (damaged[at] == '\\') continue;  // with an n behind it a layer has a line break, and is told as it is
    EXPECT_EQ(std::ranges::count(told, '\n'), 0) << at << ": " << told;
    EXPECT_LT(told.size(), 300u) << told;
  }
}

}  // namespace
}  // namespace rubato
