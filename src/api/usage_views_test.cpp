#include "api/usage_views.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::api {
namespace {

namespace json = boost::json;

ledger::State oneGpu() {
  ledger::State state;
  state.gpus.resize(1);
  state.gpus[0].uuid = GpuUuid("GPU-1");
  ledger::Berth berth;
  berth.id = 4;
  berth.gpu = GpuUuid("GPU-1");
  berth.holder = {ledger::HolderKind::Container, "w/0/c"};
  berth.compute = Percent{20};
  berth.memory = MiB{4096};
  berth.compute_rung = ledger::Rung::Guard;
  berth.memory_rung = ledger::Rung::Guard;
  state.berths.push_back(berth);
  return state;
}

sharing::GpuReport report() {
  const sharing::ContainerUse limited{"w/0/c", {200, 190, 1024}, sharing::GuardUse{210, 50, 7, 1, 1000, 2}};
  const sharing::ContainerUse other{"v/0/c", {100, 100, 10}, std::nullopt};
  return {GpuUuid("GPU-1"), {500, 400, 2000}, {other, limited}, {200, 110, 966}};
}

TEST(UsageViewsTest, ARowHasGrantAchievementAndWhatTheGuardMeasured) {
  const json::object row = usageJson(oneGpu(), report());
  const json::value& limited = row.at("containers").at(1);
  EXPECT_EQ(limited.at("container"), "w/0/c");
  EXPECT_EQ(limited.at("gpu"), 0);
  EXPECT_EQ(limited.at("grantedPercent"), 20);
  EXPECT_EQ(limited.at("grantedMiB"), 4096);
  EXPECT_EQ(limited.at("computeRung"), "guard");
  EXPECT_EQ(limited.at("recentPermille"), 190);
  EXPECT_EQ(limited.at("guard").at("throttledNs"), 50);
  EXPECT_TRUE(row.at("containers").at(0).at("guard").is_null());
  EXPECT_EQ(row.at("containers").at(0).at("computeRung"), "none");
}

TEST(UsageViewsTest, TheRowsOfAGpuAddUpToTheDevice) {
  const json::object row = usageJson(oneGpu(), report());
  for (const char* key : {"gpuNs", "recentPermille", "memoryBytes"}) {
    std::int64_t sum = row.at("remainder").at(key).as_int64();
    for (const json::value& container : row.at("containers").as_array()) sum += container.at(key).as_int64();
    EXPECT_EQ(sum, row.at("device").at(key).as_int64()) << key;
  }
}

TEST(UsageViewsTest, AContainerFindsItsOwnRows) {
  EXPECT_EQ(containerUsage(oneGpu(), {report()}, "w/0/c").size(), 1U);
  EXPECT_TRUE(containerUsage(oneGpu(), {report()}, "x/0/c").empty());
  EXPECT_EQ(usageArray(oneGpu(), {report()}).size(), 1U);
  EXPECT_TRUE(usageArray(oneGpu(), {}).empty());
}

}  // namespace
}  // namespace berth::api
