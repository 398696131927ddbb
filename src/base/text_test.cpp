#include "base/text.h"

#include <string>

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(TextTest, OnlyPlainDigitsAreAWholeNumber) {
  EXPECT_EQ(parseWholeNumber("0"), 0);
  EXPECT_EQ(parseWholeNumber("9223372036854775807"), 9223372036854775807LL);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "1.0", "20%", "0x10", "9223372036854775808"}) {
    EXPECT_FALSE(parseWholeNumber(bad)) << bad;
  }
}

TEST(TextTest, SplitKeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
}

TEST(TextTest, TrimTakesBlanksFromBothSides) {
  EXPECT_EQ(trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

TEST(TextTest, DnsNamesFollowRfc1123WithItsLengthLimits) {
  EXPECT_TRUE(isDnsName("cuda-sample1"));
  EXPECT_TRUE(isDnsName(std::string(63, 'a')));
  EXPECT_TRUE(isDnsName("a.b"));
  for (const std::string& bad : {std::string(64, 'a'), std::string("-a"), std::string("a-"), std::string("A"),
                                 std::string("a..b"), std::string(""), std::string("a/b")}) {
    EXPECT_FALSE(isDnsName(bad)) << bad;
  }
}

}  // namespace
}  // namespace berth
