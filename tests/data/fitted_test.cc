// What is kept with the weights of what their data had learned.
#include "data/fitted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rubato::data {
namespace {

using testing::HasSubstr;

Fitted some() {
  Fitted fitted;
  fitted.inputs = {"age", "a \"name\", with a comma"};
  fitted.input_scaling = Scaling::of(true, {0.1, -1e300}, {1.0 / 3.0, 5e-324});
  fitted.target_scaling = Scaling::of(false, {2.0}, {1.0});
  fitted.classes = {"ill", "well"};
  fitted.naive_errors = {0.7};
  return fitted;
}

TEST(Fitted, ComesBackAsItWasToTheBit) {
  EXPECT_EQ(parse_fitted(text_of(some()), "w").value(), some());
  EXPECT_EQ(parse_fitted(text_of(Fitted()), "w").value(), Fitted());
}

// As tables have them that were written on Windows: JSON is UTF-8, and would have one and the same mark for each.
TEST(Fitted, NamesThatAreNoUtf8ComeBackToo) {
  Fitted fitted = some();
  fitted.inputs = {"age", "\xE2ge"};
  fitted.classes = {"caf\xE9", "caf\xE8", "Zo\xC3\xAB", "\xFF\x80\xC2"};
  const std::string text = text_of(fitted);
  EXPECT_THAT(text, HasSubstr("{\"latin1\":\"caf\xC3\xA9\"}"));
  EXPECT_THAT(text, HasSubstr("\"Zo\xC3\xAB\""));
  EXPECT_EQ(parse_fitted(text, "w").value(), fitted);
}

TEST(Fitted, OtherTextIsRefused) {
  Fitted short_one = some(), no_deviation = some();
  short_one.input_scaling = Scaling::of(true, {0.1}, {1.0});
  no_deviation.input_scaling = Scaling::of(true, {0.1, 0.2}, {1.0, 0.0});
  const auto with_class = [](const std::string& json) {
    std::string text = text_of(some());
    return text.replace(text.find("\"ill\""), 5, json);
  };
  for (const std::string& text :
       {std::string("{}"), std::string("["), std::string("7"), text_of(short_one), text_of(no_deviation),
        text_of(some()).replace(2, 6, "outputs"), with_class("7"), with_class("{\"latin2\":\"ill\"}"),
        with_class("{\"latin1\":7}"), with_class("{\"latin1\":\"\u20ac\"}")}) {
    const auto fitted = parse_fitted(text, "w");
    ASSERT_FALSE(fitted.ok()) << text;
    EXPECT_THAT(fitted.error().message, HasSubstr("w: \"fitted\" in its metadata"));
  }
}

}  // namespace
}  // namespace rubato::data
