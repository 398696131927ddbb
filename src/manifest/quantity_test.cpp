#include "manifest/quantity.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "manifest/names.h"

namespace berth::manifest {
namespace {

std::int64_t whole(std::string_view text) {
  const auto read = parseQuantity(text);
  return read ? read->whole : -1;
}

TEST(QuantityTest, BinaryDecimalAndExponentFormsAreRead) {
  EXPECT_EQ(whole("128Mi"), 134217728);
  EXPECT_EQ(whole("1Gi"), 1073741824);
  EXPECT_EQ(whole("1.5Ki"), 1536);
  EXPECT_EQ(whole("2k"), 2000);
  EXPECT_EQ(whole("1e3"), 1000);
  EXPECT_EQ(whole("1E3"), 1000);
  EXPECT_EQ(whole("1E"), -1);  // Past 2^63-1 thousandths.
  EXPECT_EQ(whole("7P"), 7'000'000'000'000'000);
  EXPECT_EQ(whole("0"), 0);
  EXPECT_EQ(whole(".5"), 1);
  EXPECT_EQ(whole("5."), 5);
}

TEST(QuantityTest, FractionsRoundUpAndSaySo) {
  const auto fifth = parseQuantity("200m");
  ASSERT_TRUE(fifth);
  EXPECT_EQ(fifth->thousandths, 200);
  EXPECT_EQ(fifth->whole, 1);
  EXPECT_FALSE(fifth->exact);
  EXPECT_TRUE(parseQuantity("2000m")->exact);
  EXPECT_EQ(parseQuantity("1n")->thousandths, 1);
}

TEST(QuantityTest, OtherTextIsNone) {
  for (const char* bad :
       {"", "-1", "1ki", "1 Mi", "Mi", "0x10", "1e", "1e99", "1.2.3", "ten", "1Mi1", "1234567890123456789"}) {
    EXPECT_EQ(whole(bad), -1) << bad;
  }
}

TEST(NamesTest, ModuleIdsBecomeDnsLabels) {
  EXPECT_EQ(moduleDnsName("cuda-sample1"), "cuda-sample1");
  EXPECT_EQ(moduleDnsName("Edge_Module.2"), "edgemodule2");
  EXPECT_EQ(moduleDnsName("$1-abc-"), "abc");
  EXPECT_EQ(moduleDnsName("123"), std::nullopt);
  EXPECT_EQ(moduleDnsName(""), std::nullopt);
  EXPECT_EQ(moduleDnsName(std::string(63, 'A')), std::string(63, 'a'));
  EXPECT_EQ(moduleDnsName(std::string(64, 'A')), std::nullopt);
}

TEST(NamesTest, LabelKeysAndValuesFollowKubernetes) {
  EXPECT_TRUE(isQualifiedName("app.kubernetes.io/name"));
  EXPECT_FALSE(isQualifiedName("App.io/"));
  EXPECT_FALSE(isQualifiedName("a/b/c"));
  EXPECT_TRUE(isLabelValue(""));
  EXPECT_TRUE(isLabelValue("A_b.c-1"));
  EXPECT_FALSE(isLabelValue("-a"));
  EXPECT_TRUE(isLabelValue(std::string(63, 'a')));
  EXPECT_FALSE(isLabelValue(std::string(64, 'a')));
}

}  // namespace
}  // namespace berth::manifest
