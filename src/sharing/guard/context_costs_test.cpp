#include "sharing/guard/context_costs.h"

#include <gtest/gtest.h>

namespace berth::sharing {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

ContextSeen seen(std::int64_t pid, std::int64_t driver_mib, std::int64_t guard_mib) {
  return {"w/0/c", {pid, 1}, driver_mib * kMiB, guard_mib * kMiB};
}
std::uint64_t mib(std::int64_t count) { return static_cast<std::uint64_t>(count * kMiB); }

TEST(ContextCostsTest, WhatTheGuardMissesIsAddedToWhatItCharged) {
  ContextCosts costs;
  costs.look({});
  EXPECT_EQ(costs.of("w/0/c"), kAssumedContextBytes);
  costs.look({seen(1, 1109, 1128)});
  EXPECT_EQ(costs.of("w/0/c"), kAssumedContextBytes) << "one look may fall between two allocations";
  costs.look({seen(1, 2109, 2128)});
  EXPECT_EQ(costs.of("w/0/c"), mib(109));
}

TEST(ContextCostsTest, AProcessIsLearnedFromOnceAndTheNextOneBetters) {
  ContextCosts costs;
  costs.look({});
  for (int i = 0; i < 5; ++i) costs.look({seen(1, 1109, 1128)});
  EXPECT_EQ(costs.of("w/0/c"), mib(109));
  for (int i = 0; i < 5; ++i) costs.look({seen(1, 1109, 1128), seen(2, 60, 109)});
  EXPECT_EQ(costs.of("w/0/c"), mib(60)) << "charged with 109 from the start";
}

TEST(ContextCostsTest, FiguresThatMoveAreWaitedFor) {
  ContextCosts costs;
  costs.look({});
  costs.look({seen(1, 1000, 128)});
  costs.look({seen(1, 1109, 1128)});
  EXPECT_EQ(costs.of("w/0/c"), kAssumedContextBytes);
  costs.look({seen(1, 1109, 1128)});
  EXPECT_EQ(costs.of("w/0/c"), mib(109));
}

TEST(ContextCostsTest, WhatRanBeforeTheDaemonTeachesNothing) {
  ContextCosts costs;
  for (int i = 0; i < 3; ++i) costs.look({seen(1, 1109, 1000)});
  EXPECT_EQ(costs.of("w/0/c"), kAssumedContextBytes);
}

TEST(ContextCostsTest, AContainerThatForgesItsCountMisleadsOnlyAboutItselfAndNotFar) {
  ContextCosts costs;
  costs.look({});
  for (int i = 0; i < 2; ++i) costs.look({seen(1, 14000, 0)});
  EXPECT_EQ(costs.of("w/0/c"), mib(2048));
  EXPECT_EQ(costs.of("v/0/c"), kAssumedContextBytes);
  for (int i = 0; i < 2; ++i) costs.look({seen(2, 0, 14000)});
  EXPECT_EQ(costs.of("w/0/c"), mib(16));
  costs.look({});
  EXPECT_EQ(costs.of("w/0/c"), kAssumedContextBytes) << "forgotten with the container";
}

}  // namespace
}  // namespace berth::sharing
