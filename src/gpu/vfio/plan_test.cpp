#include "gpu/vfio/plan.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/vfio/fake_sysfs.h"

namespace berth::vfio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const PciAddress kGpu("0000:3b:00.0");
const PciAddress kOther("0000:5e:00.0");

Error refusal(const FakeSysfs& tree, const TakeRequest& request) {
  const auto seen = survey(tree.sysfs(), tree.proc());
  const auto plan = planTake(*seen, request);
  return plan ? Error{ErrorCode::Internal, "it was not refused"} : plan.error();
}

TakePlan planned(const FakeSysfs& tree, const TakeRequest& request) {
  const auto seen = survey(tree.sysfs(), tree.proc());
  auto plan = planTake(*seen, request);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? *std::move(plan) : TakePlan{};
}

std::vector<std::string> said(const std::vector<Step>& steps) {
  std::vector<std::string> words;
  for (const Step& step : steps) words.push_back(describe(step));
  return words;
}

/// A card with an audio function below a root port: one group.
void addCard(FakeSysfs& tree) {
  tree.add({"0000:3a:00.0", "0x060400", "0x8086", "0x2030", "pcieport", 7});
  tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", 7});
  tree.add({"0000:3b:00.1", "0x040300", "0x10de", "0x10f8", "snd_hda_intel", 7});
}

TEST(PlanTakeTest, TheWholeGroupIsPlannedAndEveryStepHasItsUndo) {
  FakeSysfs tree;
  addCard(tree);
  const TakePlan plan = planned(tree, {{kGpu}, {}, {kGpu}});

  EXPECT_THAT(
      said(plan.steps),
      ElementsAre("turn persistence mode of 0000:3b:00.0 off", "set power/control of 0000:3a:00.0 to on",
                  "forbid 0000:3a:00.0 the power state D3cold", "set power/control of 0000:3b:00.0 to on",
                  "forbid 0000:3b:00.0 the power state D3cold", "set power/control of 0000:3b:00.1 to on",
                  "forbid 0000:3b:00.1 the power state D3cold", "unbind 0000:3b:00.0 from nvidia",
                  "unbind 0000:3b:00.1 from snd_hda_intel", "set driver_override of 0000:3b:00.0 to vfio-pci",
                  "set driver_override of 0000:3b:00.1 to vfio-pci", "bind 0000:3b:00.0 to vfio-pci",
                  "bind 0000:3b:00.1 to vfio-pci"));
  EXPECT_THAT(plan.moving, ElementsAre(kGpu, PciAddress("0000:3b:00.1")));
  ASSERT_EQ(plan.groups.size(), 1U);
  EXPECT_EQ(plan.groups[0].number, 7);
  EXPECT_EQ(plan.groups[0].members[0].role, Role::Bridge);
  EXPECT_EQ(plan.groups[0].members[2].what,
            "0000:3b:00.1, an audio device (10de:10f8) of driver snd_hda_intel");
}

TEST(PlanTakeTest, WhatSharesTheGroupAndIsUsedByTheHostIsNamed) {
  FakeSysfs tree;
  addCard(tree);
  tree.add({"0000:3c:00.0", "0x0c0330", "0x1912", "0x0014", "xhci_hcd", 7});
  const Error error = refusal(tree, {{kGpu}, {}, {}});

  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_EQ(error.reason, kGroupNotViable);
  EXPECT_THAT(error.message, HasSubstr("0000:3c:00.0, a USB controller (1912:0014) of driver xhci_hcd"));
  ASSERT_EQ(error.details.size(), 4U);  // Everything in the group is named, with what becomes of it.
  EXPECT_THAT(error.details[3].remedy, HasSubstr("another slot"));
}

TEST(PlanTakeTest, AnotherGpuOfTheGroupGoesOnlyToTheSameVm) {
  FakeSysfs tree;
  addCard(tree);
  tree.add({"0000:5e:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", 7});
  EXPECT_THAT(refusal(tree, {{kGpu}, {}, {}}).message, HasSubstr("0000:5e:00.0"));
  EXPECT_EQ(planned(tree, {{kGpu, kOther}, {}, {}}).moving.size(), 3U);
}

TEST(PlanTakeTest, ADeviceThatNobodyDrivesIsNotInTheWay) {
  FakeSysfs tree;
  addCard(tree);
  tree.add({"0000:3c:00.0", "0x0c0330", "0x1912", "0x0014", "", 7});
  const TakePlan plan = planned(tree, {{kGpu}, {}, {}});
  EXPECT_EQ(plan.groups[0].members[3].role, Role::Idle);
  EXPECT_EQ(plan.moving.size(), 2U);
}

TEST(PlanTakeTest, AnIommuThatIsOffSaysHowToTurnItOn) {
  FakeSysfs tree;
  tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", std::nullopt});
  Error error = refusal(tree, {{kGpu}, {}, {}});
  EXPECT_EQ(error.reason, kIommuOff);
  EXPECT_THAT(error.message, HasSubstr("intel_iommu=on"));

  FakeSysfs::put(tree.proc() / "cmdline", "quiet intel_iommu=on");
  EXPECT_THAT(refusal(tree, {{kGpu}, {}, {}}).message, HasSubstr("enable VT-d"));
  FakeSysfs::put(tree.proc() / "cpuinfo", "vendor_id\t: AuthenticAMD");
  EXPECT_THAT(refusal(tree, {{kGpu}, {}, {}}).message, HasSubstr("AMD-Vi"));

  tree.add({"0000:00:02.0", "0x020000", "0x8086", "0x10d3", "", 1});
  EXPECT_THAT(refusal(tree, {{kGpu}, {}, {}}).message, HasSubstr("no IOMMU covers 0000:3b:00.0"));
}

TEST(PlanTakeTest, AKernelWithoutVfioAndADeviceThatIsNotThereAreRefused) {
  FakeSysfs tree;
  addCard(tree);
  EXPECT_EQ(refusal(tree, {{kOther}, {}, {}}).reason, kDeviceNotFound);
  std::filesystem::remove_all(tree.sysfs() / "bus/pci/drivers/vfio-pci");
  EXPECT_EQ(refusal(tree, {{kGpu}, {}, {}}).reason, kVfioMissing);
}

TEST(PlanTakeTest, GpusThatAreWithVfioAlreadyNeedNoBinding) {
  FakeSysfs tree;
  tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "vfio-pci", 7});
  FakeSysfs::put(tree.device("0000:3b:00.0") / "driver_override", "vfio-pci");
  FakeSysfs::put(tree.device("0000:3b:00.0") / "power/control", "on");
  FakeSysfs::put(tree.device("0000:3b:00.0") / "d3cold_allowed", "0");
  EXPECT_THAT(planned(tree, {{kGpu}, {}, {}}).steps, IsEmpty());
}

TEST(PlanTakeTest, StandInsThatTheConfigurationNamesAreTakenFunctionByFunction) {
  FakeSysfs tree;  // QEMU's edu device twice in one slot, as the test machine has it.
  tree.add({"0000:00:05.0", "0x00ff00", "0x1234", "0x11e8", "", 4});
  tree.add({"0000:00:05.1", "0x00ff00", "0x1234", "0x11e8", "", 4});
  const TakePlan plan = planned(tree, {{PciAddress("0000:00:05.0")}, {{0x1234, 0x11e8}}, {}});
  EXPECT_EQ(plan.moving.size(), 2U);
  EXPECT_EQ(plan.groups[0].members[1].role, Role::Companion);
}

}  // namespace
}  // namespace berth::vfio
