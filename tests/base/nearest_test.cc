#include "base/nearest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rubato {
namespace {

TEST(EditDistance, CountsEditsAndSwapsOfNeighbours) {
  struct Case {
    const char *a, *b;
    std::size_t distance;
  };
  for (const Case& c : {Case{"", "", 0},
                        {"", "abc", 3},
                        {"abc", "abc", 0},
                        {"abc", "abd", 1},
                        {"abc", "ab", 1},
                        {"abc", "xabc", 1},
                        {"abcd", "acbd", 1},
                        {"ca", "abc", 3},
                        {"kitten", "sitting", 3},
                        {"bathc", "batch", 1}}) {
    EXPECT_EQ(edit_distance(c.a, c.b), c.distance) << c.a << " " << c.b;
    EXPECT_EQ(edit_distance(c.b, c.a), c.distance) << c.b << " " << c.a;
  }
}

TEST(Nearest, GuessesOnlyWhatIsNear) {
  const std::vector<std::string> known{"sgd", "adam", "adamw", "momentum"};
  EXPECT_EQ(nearest("sdg", known), "sgd");
  EXPECT_EQ(nearest("adma", known), "adam");
  EXPECT_EQ(nearest("momentun", known), "momentum");
  EXPECT_EQ(nearest("adamx", known), "adam");  // as near as adamw, and earlier
  EXPECT_EQ(nearest("rmsprop", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest("sgd", {}), std::nullopt);
}

TEST(Nearest, PutsTheGuessIntoWords) {
  EXPECT_EQ(did_you_mean("sgd"), "; did you mean \"sgd\"?");
  EXPECT_EQ(did_you_mean(std::nullopt), "");
}

}  // namespace
}  // namespace rubato
