#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "arbiter/reasons.h"
#include "service/service.h"
#include "service/service_testing.h"

namespace berth::service {
namespace {

using testing::Box;
using testing::job;
using testing::visible;

const std::string kShare = "berth.dev/gpu-compute: 20, berth.dev/gpu-memory: 4096";

Box guarded() { return Box(1, arbiter::Arbitration::Appliance, arbiter::Capabilities{.guard = true}); }

LimitChange compute(int percent, bool restart = false) { return {"", Percent{percent}, {}, restart}; }

void run(Box& box, const std::string& text) {
  const auto applied = box.service->apply(text, "f", DryRun::No);
  ASSERT_TRUE(applied) << applied.error().message;
  box.settle();
}

TEST(SetLimitsTest, B14ARunningContainerGetsAnotherShareWithoutBeingStartedAgain) {
  Box box = guarded();
  run(box, job("a", "", kShare));
  const auto changed = box.service->setLimits("a", compute(60), DryRun::No);
  ASSERT_TRUE(changed) << changed.error().message;
  box.settle();
  EXPECT_EQ(box.operation(*changed).state, Operation::State::Succeeded);
  EXPECT_EQ(box.state().berths.front().compute, Percent{60});
  EXPECT_EQ(box.state().berths.front().memory, MiB{4096});
  EXPECT_EQ(box.desk->book()->workloads.at("a")->containers.front().attempt, 1);
}

TEST(SetLimitsTest, TheNewShareOutlivesTheDaemonAndTheNextStart) {
  Box box = guarded();
  run(box, job("a", "", kShare));
  ASSERT_TRUE(box.service->setLimits("a", {"c", {}, MiB{8192}, false}, DryRun::No));
  box.boot();
  EXPECT_EQ(box.state().berths.front().memory, MiB{8192});
  ASSERT_TRUE(box.service->stopWorkload("a", DryRun::No));
  box.settle();
  ASSERT_TRUE(box.service->startWorkload("a", DryRun::No));
  box.settle();
  EXPECT_EQ(box.state().berths.front().memory, MiB{8192});
  EXPECT_EQ(box.state().berths.front().compute, Percent{20});
}

TEST(SetLimitsTest, B13AShareThatDoesNotFitIsRefusedAndChangesNothing) {
  Box box = guarded();
  run(box, job("a", "", kShare) + "---\n" + job("b", "", "berth.dev/gpu-compute: 50"));
  const auto before = box.desk->book();
  const auto refused = box.service->setLimits("a", compute(51), DryRun::No);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, arbiter::reasons::kComputeExceeded);
  EXPECT_NE(refused.error().details.front().message.find("b/0/c"), std::string::npos);
  EXPECT_EQ(box.desk->book(), before);
}

TEST(SetLimitsTest, B17ADryRunChangesNothing) {
  Box box = guarded();
  run(box, job("a", "", kShare));
  const auto before = box.desk->book();
  const auto planned = box.service->setLimits("a", compute(30), DryRun::Yes);
  ASSERT_TRUE(planned);
  EXPECT_FALSE(planned->changes.empty());
  EXPECT_EQ(box.desk->book(), before);
}

TEST(SetLimitsTest, UnderMpsTheContainerIsStartedAgainWhenTheCallerSaysSo) {
  Box box(1);
  ASSERT_TRUE(box.service->switchMps(true, std::nullopt, false, DryRun::No));
  run(box, job("a", "", kShare));
  EXPECT_EQ(box.service->setLimits("a", compute(30), DryRun::No).error().reason,
            arbiter::reasons::kNeedsRestart);
  const auto changed = box.service->setLimits("a", compute(30, true), DryRun::No);
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_EQ(box.operation(*changed).state, Operation::State::Running);
  box.settle();
  EXPECT_EQ(box.operation(*changed).state, Operation::State::Succeeded);
  EXPECT_EQ(box.stateOf("a"), "running");
  EXPECT_EQ(box.desk->book()->workloads.at("a")->containers.front().attempt, 2);
}

TEST(SetLimitsTest, WhatHasNoShareOrIsNotThereIsSaid) {
  Box box = guarded();
  run(box, job("a", visible("0")));
  EXPECT_EQ(box.service->setLimits("a", compute(30), DryRun::No).error().reason, arbiter::reasons::kNoShare);
  EXPECT_EQ(box.service->setLimits("b", compute(30), DryRun::No).error().code, ErrorCode::NotFound);
  EXPECT_EQ(box.service->setLimits("a", {"x", Percent{1}, {}, false}, DryRun::No).error().code,
            ErrorCode::NotFound);
}

TEST(SetLimitsTest, AStoppedWorkloadHoldsNothingToChange) {
  Box box = guarded();
  run(box, job("a", "", kShare));
  ASSERT_TRUE(box.service->stopWorkload("a", DryRun::No));
  box.settle();
  EXPECT_EQ(box.service->setLimits("a", compute(30), DryRun::No).error().code, ErrorCode::Conflict);
}

}  // namespace
}  // namespace berth::service
