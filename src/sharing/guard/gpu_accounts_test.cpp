#include "sharing/guard/gpu_accounts.h"

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace berth::sharing {
namespace {

using std::chrono::seconds;
using Present = std::vector<std::pair<std::string, GpuUuid>>;

const GpuUuid kGpu("GPU-1");
constexpr std::int64_t kSecond = 1'000'000'000;

guard::ProcessUsage process(std::uint32_t pid, std::uint64_t gpu_ns, std::uint64_t throttled_ns) {
  guard::ProcessUsage usage;
  usage.owner = {pid, 1, false};
  usage.gpus = {{100, gpu_ns, throttled_ns, 1, 0}};
  return usage;
}

const ContainerUse& containerOf(const GpuReport& report, const std::string& name) {
  for (const ContainerUse& container : report.containers) {
    if (container.container == name) return container;
  }
  throw std::out_of_range(name);
}

TEST(GpuAccountsTest, ProcessesOfOneContainerAddUpAndTheRestIsTheRemainder) {
  GpuAccounts accounts;
  const DeviceReading look{kGpu, 90, 5000, {{"a/0/c", 1000, 30}, {"a/0/c", 500, 20}, {"", 700, 10}}};
  accounts.add({look}, {}, {{"a/0/c", kGpu}, {"b/0/c", kGpu}}, seconds(2));
  const GpuReport report = accounts.report().at(0);
  EXPECT_EQ(report.device, (GpuUse{2 * kSecond * 90 / 100, 900, 5000}));
  EXPECT_EQ(containerOf(report, "a/0/c").use, (GpuUse{kSecond, 500, 1500}));
  EXPECT_EQ(containerOf(report, "b/0/c").use, (GpuUse{0, 0, 0})) << "it runs and uses nothing";
  EXPECT_EQ(report.remainder, (GpuUse{2 * kSecond * 40 / 100, 400, 3500}));
}

TEST(GpuAccountsTest, WhatWasUsedLatelyIsOfTheLastTenLooks) {
  GpuAccounts accounts;
  const Present present{{"a/0/c", kGpu}};
  for (int i = 0; i < 10; ++i) accounts.add({{kGpu, 100, 0, {{"a/0/c", 0, 100}}}}, {}, present, seconds(1));
  for (int i = 0; i < 5; ++i) accounts.add({{kGpu, 0, 0, {{"a/0/c", 0, 0}}}}, {}, present, seconds(1));
  EXPECT_EQ(accounts.report().at(0).containers.at(0).use.recent_permille, 500);
  EXPECT_EQ(accounts.report().at(0).containers.at(0).use.gpu_ns, 10 * kSecond);
}

TEST(GpuAccountsTest, AnEndedContainersTimeGoesToTheRemainder) {
  GpuAccounts accounts;
  accounts.add({{kGpu, 60, 0, {{"a/0/c", 0, 60}}}}, {}, {{"a/0/c", kGpu}}, seconds(1));
  accounts.add({{kGpu, 0, 0, {}}}, {}, {}, seconds(1));
  const GpuReport report = accounts.report().at(0);
  EXPECT_TRUE(report.containers.empty());
  EXPECT_EQ(report.remainder.gpu_ns, kSecond * 60 / 100);
}

TEST(GpuAccountsTest, TheGuardsCountersGoOnWhenAProcessEndsAndAnotherBegins) {
  GpuAccounts accounts;
  const Present present{{"a/0/c", kGpu}};
  const auto look = [&](std::vector<guard::ProcessUsage> processes) {
    accounts.add({{kGpu, 0, 0, {}}}, {{"a/0/c", kGpu, std::move(processes), 0}}, present, seconds(1));
    return *accounts.report().at(0).containers.at(0).guard;
  };
  EXPECT_EQ(look({process(1, 500, 50)}).gpu_ns, 500);
  EXPECT_EQ(look({process(1, 700, 50), process(2, 10, 5)}).gpu_ns, 710);
  const GuardUse last = look({process(2, 30, 5)});
  EXPECT_EQ(last.gpu_ns, 730);
  EXPECT_EQ(last.throttled_ns, 55);
  EXPECT_EQ(last.processes, 1);
  EXPECT_EQ(last.memory_bytes, 100);
}

TEST(GpuAccountsTest, ForgedCountersStayWithinTheirContainerAndInRange) {
  GpuAccounts accounts;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const DeviceReading look{kGpu, 50, 10, {{"a/0/c", 5, 20}, {"b/0/c", 5, 30}}};
  for (int i = 0; i < 3; ++i) {
    accounts.add({look},
                 {{"a/0/c", kGpu, {process(1, kMost - static_cast<unsigned>(i % 2), kMost)}, 0},
                  {"a/0/c", kGpu, {process(1, 1, 1)}, 9}},
                 {{"a/0/c", kGpu}, {"b/0/c", kGpu}}, seconds(1));
  }
  const GpuReport report = accounts.report().at(0);
  EXPECT_EQ(containerOf(report, "a/0/c").guard->gpu_ns, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(containerOf(report, "b/0/c").use, (GpuUse{3 * kSecond * 30 / 100, 300, 5}));
  EXPECT_EQ(report.remainder, (GpuUse{0, 0, 0}));
}

TEST(GpuAccountsTest, TheChargeIsTheDriversFigureByTheGuardsAndNoLessThanItCanBe) {
  EXPECT_EQ(chargePermille(300'000'000, 600'000'000, 3), 500U);
  EXPECT_EQ(chargePermille(300'000'000, 3'000'000'000, 3), 333U) << "no three processes make that much of it";
  EXPECT_EQ(chargePermille(900'000'000, 100'000'000, 1), 1000U);
  EXPECT_EQ(chargePermille(300'000'000, 330'000'000, 3), 1000U) << "the driver's figure is in whole percent";
  EXPECT_EQ(chargePermille(0, 600'000'000, 3), 1000U);
  EXPECT_EQ(chargePermille(300'000'000, 0, 3), 1000U);
  EXPECT_EQ(chargePermille(300'000'000, std::numeric_limits<std::int64_t>::max(), 0), 1000U);
}

/// The charge of a container after so many looks at which the driver says 400 ms and the guard `guard_ms`.
std::uint32_t chargeAfter(int looks, std::uint64_t guard_ms) {
  GpuAccounts accounts;
  const DeviceReading look{kGpu, 100, 0, {{"a/0/c", 0, 40}, {"b/0/c", 0, 40}, {"", 0, 20}, {"", 0, 0}}};
  for (int i = 1; i <= looks; ++i) {
    const std::uint64_t measured = static_cast<std::uint64_t>(i) * guard_ms * 1'000'000;
    accounts.add({look}, {{"a/0/c", kGpu, {process(1, measured, 0)}, 0}}, {{"a/0/c", kGpu}, {"b/0/c", kGpu}},
                 seconds(1));
  }
  const std::vector<Feedback> feedback = accounts.feedback();
  EXPECT_EQ(feedback.at(0).contenders, 3U);
  return feedback.at(0).charge_permille;
}

TEST(GpuAccountsTest, WhatEventsCountTooMuchIsPutRightAfterSomeLooks) {
  EXPECT_EQ(chargeAfter(3, 800), 1000U);
  EXPECT_EQ(chargeAfter(4, 800), 500U);
  EXPECT_EQ(chargeAfter(9, 250), 1000U) << "events do not count too little";
}

// Whatever is read, in whatever order containers come and go: the rows add up to the device's.
TEST(GpuAccountsTest, TheSumOverContainersAndTheRemainderIsTheDevices) {
  EXPECT_TRUE(rc::check("rows add up", [] {
    GpuAccounts accounts;
    const std::vector<GpuUuid> gpus{GpuUuid("GPU-1"), GpuUuid("GPU-2")};
    const std::vector<std::string> names{"a", "b", "c", ""};
    const int looks = *rc::gen::inRange(1, 25);
    for (int i = 0; i < looks; ++i) {
      std::vector<DeviceReading> devices;
      Present present;
      for (const GpuUuid& gpu : gpus) {
        DeviceReading device{
            gpu, *rc::gen::inRange(-5, 120), *rc::gen::inRange<std::int64_t>(0, 1LL << 40), {}};
        const int processes = *rc::gen::inRange(0, 5);
        for (int p = 0; p < processes; ++p) {
          device.processes.push_back({*rc::gen::elementOf(names),
                                      *rc::gen::inRange<std::int64_t>(0, 1LL << 40),
                                      *rc::gen::inRange(-5, 120)});
        }
        devices.push_back(std::move(device));
        for (const std::string& name : names) {
          if (!name.empty() && *rc::gen::arbitrary<bool>()) present.emplace_back(name, gpu);
        }
      }
      accounts.add(devices, {}, present, std::chrono::nanoseconds(*rc::gen::inRange(0, 2'000'000'000)));
      for (const GpuReport& report : accounts.report()) {
        GpuUse sum = report.remainder;
        for (const ContainerUse& container : report.containers) {
          sum.gpu_ns += container.use.gpu_ns;
          sum.recent_permille += container.use.recent_permille;
          sum.memory_bytes += container.use.memory_bytes;
        }
        RC_ASSERT(sum == report.device);
      }
    }
  }));
}

}  // namespace
}  // namespace berth::sharing
