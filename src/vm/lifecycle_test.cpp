#include "vm/lifecycle.h"

#include <gtest/gtest.h>

namespace berth::vm {
namespace {

using enum PowerState;

VmStatus status(PowerState power, GpuPolicy policy = GpuPolicy::Hold, int gpus = 1) {
  return {power, ProvisioningState::Succeeded, policy, gpus};
}

TEST(LifecycleTest, A7PowerOffKeepsTheGpuAndStartNeedsNone) {
  const auto off = plan(status(Running), Action::PowerOff);
  ASSERT_TRUE(off);
  EXPECT_EQ(off->gpus, GpuEffect::None);
  EXPECT_EQ(off->power_after, Stopped);
  const auto on = plan(status(Stopped), Action::Start);
  ASSERT_TRUE(on);
  EXPECT_EQ(on->gpus, GpuEffect::None);
}

TEST(LifecycleTest, A7StartOfADeallocatedVmNeedsItsGpus) {
  const auto on = plan(status(Deallocated), Action::Start);
  ASSERT_TRUE(on);
  EXPECT_EQ(on->gpus, GpuEffect::Acquire);
  const auto without = plan(status(Deallocated, GpuPolicy::Hold, 0), Action::Start);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->gpus, GpuEffect::None);
}

TEST(LifecycleTest, B7DeallocationDoesWhatTheVmsPolicySays) {
  EXPECT_EQ(plan(status(Running, GpuPolicy::Hold), Action::Deallocate)->gpus, GpuEffect::Hold);
  EXPECT_EQ(plan(status(Running, GpuPolicy::Lend), Action::Deallocate)->gpus, GpuEffect::Lend);
  EXPECT_EQ(plan(status(Stopped, GpuPolicy::Release), Action::Deallocate)->gpus, GpuEffect::Release);
  EXPECT_EQ(plan(status(Running, GpuPolicy::Release, 0), Action::Deallocate)->gpus, GpuEffect::None);
}

TEST(LifecycleTest, A7DeleteReleasesWhateverThePolicyAndEvenWhileBusy) {
  VmStatus busy = status(Running);
  busy.provisioning = ProvisioningState::Creating;
  const auto gone = plan(busy, Action::Delete);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->gpus, GpuEffect::Release);
  EXPECT_EQ(gone->provisioning_during, ProvisioningState::Deleting);
}

TEST(LifecycleTest, ABusyVmTakesNoOtherAction) {
  VmStatus busy = status(Running);
  busy.provisioning = ProvisioningState::Updating;
  const auto refused = plan(busy, Action::PowerOff);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "OperationNotAllowed");
}

TEST(LifecycleTest, ResizeNeedsAVmThatDoesNotRun) {
  EXPECT_FALSE(plan(status(Running), Action::Resize));
  EXPECT_TRUE(plan(status(Stopped), Action::Resize));
  EXPECT_TRUE(plan(status(Deallocated), Action::Resize));
}

TEST(LifecycleTest, WhatIsSoAlreadyIsNothingToDo) {
  EXPECT_TRUE(plan(status(Running), Action::Start)->nothing_to_do);
  EXPECT_TRUE(plan(status(Stopped), Action::PowerOff)->nothing_to_do);
  EXPECT_TRUE(plan(status(Deallocated), Action::Deallocate)->nothing_to_do);
  EXPECT_FALSE(plan(status(Deallocated), Action::PowerOff));
}

TEST(LifecycleTest, B8OnlyVmsThatRanStartAgainAfterTheHostWasDown) {
  EXPECT_EQ(resolve(status(Running), DomainState::Off, true), Resolution::StartAgain);
  EXPECT_EQ(resolve(status(Stopped), DomainState::Off, true), Resolution::Nothing);
  EXPECT_EQ(resolve(status(Deallocated), DomainState::Off, true), Resolution::Nothing);
  EXPECT_EQ(resolve(status(Deallocated), DomainState::Running, false), Resolution::Destroy);
}

TEST(LifecycleTest, AGuestThatPoweredItselfOffIsStopped) {
  EXPECT_EQ(resolve(status(Running), DomainState::Off, false), Resolution::RecordStopped);
  EXPECT_EQ(resolve(status(Running), DomainState::Running, false), Resolution::Nothing);
  EXPECT_EQ(resolve(status(Running), DomainState::Absent, false), Resolution::Define);
}

TEST(LifecycleTest, EveryStateSpellsItselfAsArmDoesAndBack) {
  for (const PowerState state : {Starting, Running, Stopping, Stopped, Deallocating, Deallocated}) {
    PowerState back = Starting;
    EXPECT_TRUE(fromArmCode(armCode(state), back));
    EXPECT_EQ(back, state);
  }
  PowerState untouched = Running;
  EXPECT_FALSE(fromArmCode("PowerState/unknown", untouched));
  EXPECT_EQ(untouched, Running);
}

}  // namespace
}  // namespace berth::vm
