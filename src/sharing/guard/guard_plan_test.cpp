#include "sharing/guard/guard_plan.h"

#include <vector>

#include <gtest/gtest.h>

namespace berth::sharing {
namespace {

ledger::Berth share(int compute, std::int64_t memory, ledger::Rung rung = ledger::Rung::Guard) {
  ledger::Berth berth;
  berth.gpu = GpuUuid("GPU-1");
  berth.compute = Percent{compute};
  berth.memory = MiB{memory};
  berth.compute_rung = compute > 0 ? rung : ledger::Rung::None;
  berth.memory_rung = memory > 0 ? rung : ledger::Rung::None;
  return berth;
}

GuardedGpus limits(std::uint64_t bytes, std::uint32_t permille, const char* gpu = "GPU-1") {
  return {{GpuUuid(gpu), {bytes, permille, guard::kPaceAlways}}};
}

TEST(GuardPlanTest, B14SharesBecomeBytesAndPermille) {
  EXPECT_EQ(guardedBy({share(20, 4096)}), limits(std::uint64_t{4096} << 20U, 200));
  EXPECT_EQ(guardedBy({share(100, 0)}), limits(0, 1000));
}

TEST(GuardPlanTest, UnderMpsTheGuardLimitsTheContainersMemoryAndMpsItsCompute) {
  EXPECT_EQ(guardedBy({share(20, 1, ledger::Rung::MpsV2)}), limits(std::uint64_t{1} << 20U, 0));
}

TEST(GuardPlanTest, AWholeGpuOrOneWithoutALimitNeedsNoGuard) {
  ledger::Berth whole = share(0, 0);
  whole.whole = true;
  EXPECT_TRUE(guardedBy({whole}).empty());
  EXPECT_TRUE(guardedBy({share(0, 0)}).empty());
  EXPECT_TRUE(guardedBy({}).empty());
}

TEST(GuardPlanTest, FilesFollowTheBook) {
  const std::map<std::string, GuardedGpus> wanted{{"a/0/c", limits(1, 1)},
                                                  {"b/0/c", limits(2, 2)},
                                                  {"c/0/c", limits(3, 3)},
                                                  {"d/0/c", limits(4, 4)},
                                                  {"e/0/c", limits(5, 5)}};
  const PresentRegions present{{"a/0/c", limits(1, 1)},   {"b/0/c", limits(2, 9)},
                               {"d/0/c", std::nullopt},   {"e/0/c", limits(5, 5, "GPU-2")},
                               {"old/0/c", limits(1, 1)}, {"torn/0/c", std::nullopt}};
  const RegionSteps steps = planRegions(wanted, present);
  EXPECT_EQ(steps.set, std::vector<std::string>{"b/0/c"});
  EXPECT_EQ(steps.remove, (std::vector<std::string>{"old/0/c", "torn/0/c"}));
  EXPECT_EQ(steps.missing, (std::vector<std::string>{"c/0/c", "d/0/c", "e/0/c"}));
}

TEST(GuardPlanTest, ContainersThatShareAGpuHaveTurnsOneBehindTheOther) {
  const auto turns = turnsOf({{"a/0/c", limits(0, 200)},
                              {"b/0/c", limits(1, 0)},
                              {"c/0/c", limits(0, 300)},
                              {"d/0/c", limits(0, 500)},
                              {"e/0/c", limits(0, 400, "GPU-2")}});
  using Turns = std::vector<std::uint32_t>;
  EXPECT_EQ(turns.at("a/0/c"), Turns{1});
  EXPECT_EQ(turns.at("b/0/c"), Turns{0}) << "no share of its time";
  EXPECT_EQ(turns.at("c/0/c"), Turns{201});
  EXPECT_EQ(turns.at("d/0/c"), Turns{501});
  EXPECT_EQ(turns.at("e/0/c"), Turns{0}) << "alone on its GPU";
}

}  // namespace
}  // namespace berth::sharing
