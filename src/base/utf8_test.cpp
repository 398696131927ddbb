#include "base/utf8.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace berth {
namespace {

using std::string_view_literals::operator""sv;

TEST(Utf8Test, WellFormedTextIsLeftAlone) {
  for (const std::string_view text :
       {""sv, "pods.yaml"sv, "\0"sv, "gr\xC3\xBC\xC3\x9F"sv, "\xE2\x82\xAC"sv, "\xF0\x9F\x90\xB3"sv}) {
    EXPECT_TRUE(isUtf8(text)) << text;
    EXPECT_EQ(asUtf8(text), text);
  }
}

TEST(Utf8Test, EachByteThatBelongsToNoCharacterBecomesAQuestionMark) {
  EXPECT_FALSE(isUtf8("pods\xDE.yaml"));
  EXPECT_EQ(asUtf8("pods\xDE.yaml"), "pods?.yaml");
  EXPECT_EQ(asUtf8("\xC3\xBC\xFF\xFE"), "\xC3\xBC??");
  EXPECT_EQ(asUtf8("cut \xE2\x82"), "cut ??");
  EXPECT_FALSE(isUtf8("\xC0\xAF")) << "a '/' in two bytes";
  EXPECT_FALSE(isUtf8("\xED\xA0\x80")) << "half of a pair of UTF-16";
}

}  // namespace
}  // namespace berth
