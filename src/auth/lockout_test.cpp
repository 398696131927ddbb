#include "auth/lockout.h"

#include <gtest/gtest.h>

namespace berth::auth {
namespace {

using std::chrono::seconds;

const Lockout::Time kStart{std::chrono::hours(1)};

TEST(LockoutTest, TheFifthFailureLocksForHalfAMinute) {
  Lockout lockout;
  for (int i = 1; i < kFailuresAllowed; ++i) lockout.noteFailure("a", kStart);
  EXPECT_FALSE(lockout.isLocked("a", kStart));
  lockout.noteFailure("a", kStart);
  EXPECT_TRUE(lockout.isLocked("a", kStart + seconds(29)));
  EXPECT_FALSE(lockout.isLocked("a", kStart + seconds(30)));
  EXPECT_FALSE(lockout.isLocked("b", kStart));
}

TEST(LockoutTest, EachFurtherFailureLocksForTwiceAsLongUpToTheLongest) {
  Lockout lockout;
  for (int i = 0; i < kFailuresAllowed + 1; ++i) lockout.noteFailure("a", kStart);
  EXPECT_TRUE(lockout.isLocked("a", kStart + seconds(59)));
  EXPECT_FALSE(lockout.isLocked("a", kStart + seconds(60)));
  for (int i = 0; i < 100; ++i) lockout.noteFailure("a", kStart);
  EXPECT_TRUE(lockout.isLocked("a", kStart + kLongestLock - seconds(1)));
  EXPECT_FALSE(lockout.isLocked("a", kStart + kLongestLock));
}

TEST(LockoutTest, TheRightSecretForgetsTheWrongOnes) {
  Lockout lockout;
  for (int i = 1; i < kFailuresAllowed; ++i) lockout.noteFailure("a", kStart);
  lockout.noteSuccess("a");
  lockout.noteFailure("a", kStart);
  EXPECT_FALSE(lockout.isLocked("a", kStart));
}

}  // namespace
}  // namespace berth::auth
