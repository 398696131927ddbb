#include "arm/template/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arm/template/limits.h"

namespace berth::arm_template {
namespace {

using ::testing::HasSubstr;

TEST(ExpressionTest, OnlyWhatStandsInBracketsIsAnExpression) {
  EXPECT_TRUE(isExpression("[a()]"));
  for (const char* text : {"", "[", "a", "[a", "a]", "[[a]", "[[a]]", " [a()]"})
    EXPECT_FALSE(isExpression(text)) << text;
  EXPECT_EQ(literal("[[a]"), "[a]");
  EXPECT_EQ(literal("[a"), "[a");
}

TEST(ExpressionTest, ExpressionsComeBackFromTheirText) {
  for (const char* text :
       {"[a()]", "['it''s']", "[-3]", "[concat('a', parameters('b'), 12)]", "[a().b.c[0]['d'][e(1)]]",
        "[ns.f(1)]", "[a().?b[?0]]", "[reference(variables('x'), '2020-01-01', 'Full').properties]"}) {
    const auto expression = parseExpression(text);
    ASSERT_TRUE(expression) << text << ": " << expression.error().message;
    EXPECT_EQ(toText(*expression), text);
  }
}

TEST(ExpressionTest, BlanksDoNotMatter) {
  const auto expression = parseExpression("[ concat( 'a' ,\n b( ) ) . c [ 0 ] ]");
  ASSERT_TRUE(expression) << expression.error().message;
  EXPECT_EQ(toText(*expression), "[concat('a', b()).c[0]]");
}

TEST(ExpressionTest, ErrorsNameTheColumn) {
  const auto error = [](const std::string& text) {
    const auto expression = parseExpression(text);
    return expression ? "none" : expression.error().message;
  };
  EXPECT_THAT(error("[concat('a', ]"),
              HasSubstr("column 14: a function, a string or an integer is expected"));
  EXPECT_THAT(error("[concat('a' 'b')]"), HasSubstr("column 13: ',' or ')' is expected, not \"'b')]\""));
  EXPECT_EQ(error("[concat('a]"), "column 9: the string has no end");
  EXPECT_THAT(error("[concat]"), HasSubstr("column 8: '(' after concat is expected"));
  EXPECT_THAT(error("[a() b()]"), HasSubstr("column 6: this does not belong to the expression"));
  EXPECT_THAT(error("[]"),
              HasSubstr("column 2: a function, a string or an integer is expected, the expression ends"));
  EXPECT_THAT(error("[99999999999999999999]"), HasSubstr("column 2: the integer has too many digits"));
  for (const char* text :
       {"[a(]", "[a().]", "[a()[]", "[a()[0]", "[a(,)]", "[1x()]", "[--1]", "[+-1]", "[a..b()]", "[(a())]"}) {
    EXPECT_THAT(error(text), HasSubstr("column ")) << text;
  }
}

std::string nested(std::size_t depth) {
  std::string text = "[";
  for (std::size_t i = 0; i < depth; ++i) text += "a(";
  return text + "1" + std::string(depth, ')') + "]";
}

TEST(ExpressionTest, CallsNestAThousandDeepAndNoDeeper) {
  EXPECT_TRUE(parseExpression(nested(kMaxDepth)));
  const auto deeper = parseExpression(nested(kMaxDepth + 1));
  ASSERT_FALSE(deeper);
  EXPECT_THAT(deeper.error().message, HasSubstr("nested deeper than 1000"));
  std::string links = "[a()";
  for (std::size_t i = 0; i < kMaxDepth + 1; ++i) links += ".b";
  EXPECT_FALSE(parseExpression(links + "]"));
}

TEST(ExpressionTest, AnExpressionMayBeAsLongAsAzureLetsIt) {
  const std::string filling(kMaxExpressionBytes - 4, 'x');
  EXPECT_TRUE(parseExpression("['" + filling + "']"));
  EXPECT_FALSE(parseExpression("['" + filling + "x']"));
}

}  // namespace
}  // namespace berth::arm_template
