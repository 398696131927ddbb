#include "base/error.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace berth {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorCode::InvalidArgument, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  TRY(const int once, half(n));
  return half(once).during("halving again");
}

TEST(ErrorTest, TryPassesValuesOnAndReturnsTheFirstError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(7).error().message, "odd");
  EXPECT_EQ(quarter(6).error().message, "halving again: odd");
}

TEST(ErrorTest, AnErrnoNamesTheCallAndTheObject) {
  const Error error = errnoError(ENOENT, "open", "/x");
  EXPECT_EQ(error.code, ErrorCode::NotFound);
  EXPECT_EQ(error.message, "open /x: No such file or directory");
}

TEST(ErrorTest, EveryCodeHasANameThatLeadsBackToIt) {
  for (int i = 0; i < kErrorCodes; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(errorCodeFromName(name(code)), code);
  }
}

}  // namespace
}  // namespace berth
