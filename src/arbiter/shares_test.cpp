// Changing the shares of containers that run (B13 to B15).
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "arbiter/arbiter.h"
#include "arbiter/arbiter_testing.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Mode;
using ledger::Rung;
using testing::Bench;
using testing::container;
using ::testing::HasSubstr;
using testing::named;
using testing::share;
using testing::whole;

ShareChange change(const std::string& name, std::optional<int> compute, std::optional<std::int64_t> memory) {
  ShareChange wish;
  wish.holder = container(name);
  if (compute) wish.compute = Percent{*compute};
  if (memory) wish.memory = MiB{*memory};
  return wish;
}

ChangeShares only(const ShareChange& wish, bool restart = false) { return {{wish}, restart}; }

TEST(SharesTest, B14AShareGrowsIntoWhatIsFreeAndKeepsItsIdGpuAndOtherLimit) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 20, 4096)));
  const ledger::Berth before = bench.berthOf(container("a"));
  ASSERT_TRUE(bench.step(only(change("a", 100, {})))) << bench.refusal.message;
  const ledger::Berth after = bench.berthOf(container("a"));
  EXPECT_EQ(after.compute, Percent{100});
  EXPECT_EQ(after.memory, MiB{4096});
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.compute_rung, Rung::Guard);
}

TEST(SharesTest, B13AShareDoesNotGrowIntoAnothersAndTheRefusalNamesThatOne) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 40, 8192)));
  ASSERT_TRUE(bench.run(share("b", 60, 4096)));
  const ledger::State before = bench.state;
  EXPECT_FALSE(bench.step(only(change("a", 41, {}))));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Refused);
  EXPECT_EQ(bench.refusal.reason, reasons::kComputeExceeded);
  EXPECT_THAT(bench.refusal.details.at(0).message, HasSubstr("container b/0/main"));
  EXPECT_FALSE(bench.step(only(change("a", {}, testing::kT4Memory - 4096 + 1))));
  EXPECT_EQ(bench.refusal.reason, reasons::kMemoryExceeded);
  EXPECT_EQ(bench.state, before);
  EXPECT_TRUE(bench.step(only(change("a", {}, testing::kT4Memory - 4096))));
}

TEST(SharesTest, B14OneMayGrowByWhatAnotherGivesUpInTheSameChange) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 40)));
  ASSERT_TRUE(bench.run(share("b", 60)));
  EXPECT_TRUE(bench.step(ChangeShares{{change("a", 70, {}), change("b", 30, {})}, false}));
  EXPECT_EQ(bench.berthOf(container("a")).compute, Percent{70});
  EXPECT_EQ(bench.berthOf(container("b")).compute, Percent{30});
}

TEST(SharesTest, AllOfThemChangeOrNone) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 40)));
  ASSERT_TRUE(bench.run(share("b", 60)));
  const ledger::State before = bench.state;
  EXPECT_FALSE(bench.step(ChangeShares{{change("a", 30, {}), change("b", 80, {})}, false}));
  EXPECT_EQ(bench.state, before);
}

TEST(SharesTest, ALimitCanBeAddedToAContainerThatHasTheOtherOne) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 20)));
  ASSERT_TRUE(bench.step(only(change("a", {}, 1024))));
  EXPECT_EQ(bench.berthOf(container("a")).memory, MiB{1024});
  EXPECT_EQ(bench.berthOf(container("a")).memory_rung, Rung::Guard);
}

TEST(SharesTest, WholeAndUnlimitedGpusHaveNoShareToChangeAndNoBerthIsNotFound) {
  Bench bench(2);
  ASSERT_TRUE(bench.run(whole("a")));
  ASSERT_TRUE(bench.run(named("b", "1")));
  for (const std::string name : {"a", "b"}) {
    EXPECT_FALSE(bench.step(only(change(name, 20, {}))));
    EXPECT_EQ(bench.refusal.reason, reasons::kNoShare) << name;
  }
  EXPECT_FALSE(bench.step(only(change("c", 20, {}))));
  EXPECT_EQ(bench.refusal.code, ErrorCode::NotFound);
}

TEST(SharesTest, LimitsOfMpsChangeWithARestartOnly) {
  Bench bench(1);
  ASSERT_TRUE(bench.setMode(0, Mode::Mps));
  ASSERT_TRUE(bench.run(share("a", 20, 4096)));
  EXPECT_FALSE(bench.step(only(change("a", 30, {}))));
  EXPECT_EQ(bench.refusal.reason, reasons::kNeedsRestart);
  EXPECT_TRUE(bench.step(only(change("a", 20, {})))) << "the same again needs nothing";
  EXPECT_TRUE(bench.step(only(change("a", 30, 5000), true)));
  EXPECT_EQ(bench.berthOf(container("a")).compute, Percent{30});
}

TEST(SharesTest, B15ALimitThatNothingEnforcesIsRefusedUnlessItWasBestEffortBefore) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 20)));
  bench.policy.capabilities.guard = false;
  EXPECT_FALSE(bench.step(only(change("a", 30, {}))));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnenforceable);
  ASSERT_TRUE(bench.run(testing::bestEffort(share("b", 20))));
  EXPECT_TRUE(bench.step(only(change("b", 30, {}))));
}

TEST(SharesTest, NumbersOutsideTheirRangeAreInvalid) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 20)));
  const std::vector<ShareChange> bad{change("a", 0, {}), change("a", 101, {}), change("a", {}, 0),
                                     change("a", {}, -1), change("a", {}, {})};
  for (const ShareChange& wish : bad) {
    EXPECT_FALSE(bench.step(only(wish)));
    EXPECT_EQ(bench.refusal.code, ErrorCode::InvalidArgument);
  }
  EXPECT_FALSE(bench.step(ChangeShares{{change("a", 1, {}), change("a", 2, {})}, false}));
  EXPECT_EQ(bench.refusal.code, ErrorCode::InvalidArgument);
}

// Whatever is asked, A1 and the sums hold afterwards (Bench::step checks violation()), and a refusal changes
// nothing.
TEST(SharesTest, A1B14NoSequenceOfChangesBreaksTheSums) {
  EXPECT_TRUE(rc::check("sums hold", [] {
    Bench bench(1);
    RC_ASSERT(bench.run(share("a", 10, 1000)));
    RC_ASSERT(bench.run(share("b", 20, 2000)));
    RC_ASSERT(bench.run(share("c", 30, 3000)));
    const auto steps = *rc::gen::inRange(1, 10);
    for (int i = 0; i < steps; ++i) {
      const auto name = *rc::gen::element<std::string>("a", "b", "c");
      const auto compute = *rc::gen::inRange(1, 101);
      const auto memory = *rc::gen::inRange<std::int64_t>(1, testing::kT4Memory + 2);
      const ledger::State before = bench.state;
      if (!bench.step(only(change(name, compute, memory)))) RC_ASSERT(bench.state == before);
      RC_ASSERT(violation(bench.state).empty());
    }
  }));
}

}  // namespace
}  // namespace berth::arbiter
