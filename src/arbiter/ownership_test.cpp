// VMs, reservations and Kubernetes: A1 to A5, B5, B9, B17.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arbiter/arbiter.h"
#include "arbiter/arbiter_testing.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Health;
using ledger::OwnerKind;
using testing::Bench;
using testing::container;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::named;
using testing::reservation;
using testing::vm;

ErrorDetail detail(const std::string& target, const std::string& message, const std::string& remedy) {
  return {target, message, remedy};
}

// A4, the order table. Steps: 'V' a GPU VM, 'K' Kubernetes, 'v' a VM without a GPU.
struct Row {
  int gpus;
  std::string steps;
  std::string appliance;  // '+' or '-' for each step
  int kubernetes;
  std::string elastic;
  int kubernetes_elastic;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.gpus << " GPUs: " << row.steps; }

class OrderTableTest : public ::testing::TestWithParam<Row> {
 protected:
  static std::string outcomes(Bench& bench, const std::string& steps) {
    std::string outcomes;
    for (const char step : steps) {
      const std::string name = "vm" + std::to_string(outcomes.size());
      const bool done = step == 'K' ? bench.enableKubernetes() : bench.claimVm(name, step == 'V' ? 1 : 0);
      outcomes += done ? '+' : '-';
    }
    return outcomes;
  }
};

TEST_P(OrderTableTest, A4StepsComeOutAsOnTheAppliance) {
  Bench bench(GetParam().gpus);
  EXPECT_EQ(outcomes(bench, GetParam().steps), GetParam().appliance);
  EXPECT_EQ(bench.ownedByKubernetes(), GetParam().kubernetes);
}

TEST_P(OrderTableTest, B5UnderElasticIdleKubernetesGpusGoToTheVm) {
  Bench bench(GetParam().gpus, Arbitration::Elastic);
  EXPECT_EQ(outcomes(bench, GetParam().steps), GetParam().elastic);
  EXPECT_EQ(bench.ownedByKubernetes(), GetParam().kubernetes_elastic);
}

INSTANTIATE_TEST_SUITE_P(A4, OrderTableTest,
                         ::testing::Values(Row{1, "VK", "++", 0, "++", 0}, Row{1, "KV", "+-", 1, "++", 0},
                                           Row{2, "VK", "++", 1, "++", 1}, Row{2, "VVK", "+++", 0, "+++", 0},
                                           Row{2, "KV", "+-", 2, "++", 1}, Row{2, "VKV", "++-", 1, "+++", 0},
                                           Row{1, "VV", "+-", 0, "+-", 0}, Row{1, "Kv", "++", 1, "++", 1},
                                           Row{2, "Kv", "++", 2, "++", 2}));

TEST(OwnershipTest, A2AVmGetsAsManyWholeGpusAsItAsksForAndNoMore) {
  Bench bench(2);
  EXPECT_TRUE(bench.claimVm("big", 2));
  EXPECT_EQ(bench.owner(0), "vm big");
  EXPECT_EQ(bench.owner(1), "vm big");
  EXPECT_FALSE(bench.claimVm("late", 1));
}

TEST(OwnershipTest, A2ThreeGpusOnATwoGpuDeviceAreRefusedAndNothingIsTaken) {
  Bench bench(2);
  EXPECT_FALSE(bench.claimVm("huge", 3));
  EXPECT_EQ(bench.refusal.reason, reasons::kInsufficientGpu);
  EXPECT_EQ(bench.refusal.message, "vm huge needs 3 GPUs, 2 can be had");
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "can be had", ""), detail("GPU 1", "can be had", "")));
  EXPECT_EQ(bench.state, testing::device(2));
}

TEST(OwnershipTest, A2ARepeatedClaimIsAnEmptyPlanAndAnotherCountAConflict) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_THAT(bench.decided(ClaimWholeGpus{vm("vm1"), 1})->changes, IsEmpty());
  EXPECT_FALSE(bench.claimVm("vm1", 2));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Conflict);
  EXPECT_EQ(bench.refusal.reason, reasons::kAlreadyGranted);
}

TEST(OwnershipTest, A2CountsBelowZeroAndContainersAreInvalid) {
  Bench bench(1);
  EXPECT_EQ(bench.decided(ClaimWholeGpus{vm("vm1"), -1}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(bench.decided(ClaimWholeGpus{container("c"), 1}).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(bench.decided(ClaimWholeGpus{vm(""), 1}).error().code, ErrorCode::InvalidArgument);
}

TEST(OwnershipTest, A2ThePlanChangesTheOwnerFirstAndThenGrants) {
  const Bench bench(1);
  const Result<Plan> plan = bench.decided(ClaimWholeGpus{vm("vm1"), 1});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->changes.size(), 2U);
  EXPECT_EQ(describe(plan->changes[0], bench.state), "GPU 0 (Tesla T4): free -> vm vm1");
  EXPECT_EQ(describe(plan->changes[1], bench.state), "GPU 0 (Tesla T4): berth 1 for vm vm1: whole");
}

TEST(OwnershipTest, A2AVmTakesOverWhatIsReservedUnderItsName) {
  Bench bench(2);
  ASSERT_TRUE(bench.reserve("vm1", 1));
  ASSERT_TRUE(bench.enableKubernetes());
  EXPECT_FALSE(bench.claimVm("vm2", 1));
  EXPECT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_EQ(bench.gpusOf(vm("vm1")), "0");
  EXPECT_EQ(bench.gpusOf(reservation("vm1")), "");
  EXPECT_EQ(bench.state.gpus[0].generation, 1);  // It never changed hands.
}

TEST(OwnershipTest, A2AVmThatNeedsLessThanItsReservationLeavesTheRestReserved) {
  Bench bench(2);
  ASSERT_TRUE(bench.reserve("vm1", 2));
  EXPECT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_EQ(bench.gpusOf(vm("vm1")), "0");
  EXPECT_EQ(bench.gpusOf(reservation("vm1")), "1");
  EXPECT_TRUE(bench.end(vm("vm1")));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_EQ(bench.owner(1), "vm vm1");
}

TEST(OwnershipTest, A3EnablingKubernetesClaimsEveryFreeGpu) {
  Bench bench(3);
  ASSERT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.ownedByKubernetes(), 2);
  EXPECT_TRUE(bench.state.kubernetes.enabled);
}

TEST(OwnershipTest, A3ZeroFreeGpusIsASuccessWithZeroGpus) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.ownedByKubernetes(), 0);
  EXPECT_TRUE(bench.state.kubernetes.enabled);
}

TEST(OwnershipTest, A3EnablingAgainClaimsWhatIsFreeNow) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1", 1));
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.end(vm("vm1")));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.ownedByKubernetes(), 2);
  EXPECT_THAT(bench.decided(EnableKubernetes{})->changes, IsEmpty());
}

TEST(OwnershipTest, A3LocalQuarantinedMovingAndLostGpusAreNotClaimed) {
  Bench bench(5);
  ASSERT_TRUE(bench.run(named("c", "0")));
  bench.state.gpus[1].owner = {OwnerKind::Quarantined, "reset failed"};
  bench.state.gpus[2].owner = {OwnerKind::Moving, "free -> vm vm1"};
  bench.state.gpus[3].health = Health::Lost;
  EXPECT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.ownedByKubernetes(), 1);
  EXPECT_EQ(bench.owner(4), "kubernetes");
}

TEST(OwnershipTest, A5ARefusedVmLearnsWhoHoldsEachGpuAndWhatFreesIt) {
  Bench bench(7);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.reserve("vm2"));
  ASSERT_TRUE(bench.run(named("web", "2")));
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(named("pod", "4")));
  bench.state.gpus[5].owner = {OwnerKind::Quarantined, "reset failed"};
  bench.state.gpus[6].owner = {OwnerKind::Moving, "kubernetes -> vm vm3"};
  EXPECT_FALSE(bench.claimVm("late"));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Refused);
  EXPECT_EQ(bench.refusal.reason, reasons::kInsufficientGpu);
  EXPECT_EQ(bench.refusal.message, "vm late needs 1 GPU, 0 can be had");
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "held by vm vm1", "berth vm delete vm1"),
                          detail("GPU 1", "held by reservation vm2", "berth unreserve vm2"),
                          detail("GPU 2", "used by container web/0/main", "berth workload delete web"),
                          detail("GPU 3", "owned by kubernetes, idle", "berth kubernetes release 3"),
                          detail("GPU 4", "owned by kubernetes and used by container pod/0/main",
                                 "berth workload delete pod && berth kubernetes release 4"),
                          detail("GPU 5", "quarantined: reset failed", "berth gpu show 5"),
                          detail("GPU 6", "changing hands: kubernetes -> vm vm3", "berth operation list")));
}

TEST(OwnershipTest, A5UnhealthyAndLostGpusAreNotGivenToVms) {
  Bench bench(2, Arbitration::Elastic);
  bench.state.gpus[0].health = Health::Unhealthy;
  bench.state.gpus[0].health_reason = "XID 79";
  bench.state.gpus[1].health = Health::Lost;
  EXPECT_FALSE(bench.claimVm("vm1"));
  EXPECT_THAT(bench.refusal.details, ElementsAre(detail("GPU 0", "unhealthy: XID 79", "berth gpu show 0"),
                                                 detail("GPU 1", "lost", "berth gpu show 1")));
}

TEST(OwnershipTest, B5FreeGpusAreTakenBeforeThoseOfKubernetes) {
  Bench bench(2, Arbitration::Elastic);
  ASSERT_TRUE(bench.claimVm("early"));
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.end(vm("early")));  // GPU 0 is free, GPU 1 is kubernetes'.
  EXPECT_TRUE(bench.claimVm("vm1"));
  EXPECT_EQ(bench.owner(0), "vm vm1");
  EXPECT_TRUE(bench.claimVm("vm2"));
  EXPECT_EQ(bench.owner(1), "vm vm2");
}

TEST(OwnershipTest, B5AGpuInUseIsNotTakenFromKubernetes) {
  Bench bench(1, Arbitration::Elastic);
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(named("web", "0")));
  EXPECT_FALSE(bench.claimVm("vm1"));
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "owned by kubernetes and used by container web/0/main",
                                 "berth workload delete web")));
  ASSERT_TRUE(bench.end(container("web")));
  EXPECT_TRUE(bench.claimVm("vm1"));
}

TEST(OwnershipTest, A7ReleasingAVmFreesItsGpusAndReleasingNothingIsAnEmptyPlan) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1", 2));
  EXPECT_TRUE(bench.end(vm("vm1")));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_EQ(bench.owner(1), "free");
  EXPECT_THAT(bench.decided(ReleaseHolder{vm("vm1")})->changes, IsEmpty());
}

TEST(OwnershipTest, A1AHolderWhoseGpuChangesHandsCannotGiveItBack) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  bench.state.gpus[0].owner = {OwnerKind::Moving, "free -> vm vm1"};
  EXPECT_FALSE(bench.end(vm("vm1")));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Conflict);
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuMoving);
}

// B7, the table: what a deallocated VM's GPU is good for, by policy.
TEST(OwnershipTest, B7AHeldGpuIsNobodyElsesAndALentOneOnlyContainers) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.enableKubernetes());  // hold: nothing to claim.
  EXPECT_EQ(bench.ownedByKubernetes(), 0);
  EXPECT_TRUE(bench.step(LendHeld{vm("vm1")}));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_FALSE(bench.claimVm("vm2"));
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "lent by vm vm1", "berth vm hold vm1 release")));
  EXPECT_FALSE(bench.reserve("vm1"));
  EXPECT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.owner(0), "kubernetes");
}

TEST(OwnershipTest, B7TheLenderGetsAnIdleGpuBackFromKubernetesEvenUnderAppliance) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.step(LendHeld{vm("vm1")}));
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_EQ(bench.ownedByKubernetes(), 2);
  EXPECT_TRUE(bench.claimVm("vm1"));
  EXPECT_EQ(bench.gpusOf(vm("vm1")), "0");
  EXPECT_THAT(bench.state.loans, IsEmpty());
  EXPECT_EQ(bench.ownedByKubernetes(), 1);
}

TEST(OwnershipTest, B7ALentGpuInUseIsCalledBackAndThenGivesNoNewBerths) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.step(LendHeld{vm("vm1")}));
  ASSERT_TRUE(bench.run(named("web", "0")));
  EXPECT_FALSE(bench.claimVm("vm1"));
  EXPECT_THAT(bench.refusal.details, ElementsAre(detail("GPU 0", "lent, and used by container web/0/main",
                                                        "berth workload delete web")));
  EXPECT_TRUE(bench.step(RecallLent{vm("vm1"), true}));
  EXPECT_FALSE(bench.run(named("late", "0")));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuRecalled);
  EXPECT_TRUE(bench.step(RecallLent{vm("vm1"), false}));
  EXPECT_TRUE(bench.run(named("late", "0")));
  EXPECT_TRUE(bench.step(RecallLent{vm("vm1"), true}));
  ASSERT_TRUE(bench.end(container("web")));
  ASSERT_TRUE(bench.end(container("late")));
  EXPECT_TRUE(bench.claimVm("vm1"));
}

TEST(OwnershipTest, B7DeletingTheLenderEndsItsLoansAndLeavesTheBorrower) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.step(LendHeld{vm("vm1")}));
  ASSERT_TRUE(bench.run(named("web", "0")));
  EXPECT_TRUE(bench.end(vm("vm1")));
  EXPECT_THAT(bench.state.loans, IsEmpty());
  EXPECT_EQ(bench.gpusOf(container("web")), "0");
}

TEST(OwnershipTest, A2AResizedVmGrowsByWhatIsMissingAndShrinksFromTheEnd) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1", 1));
  EXPECT_TRUE(bench.step(ClaimWholeGpus{vm("vm1"), 2, true}));
  EXPECT_EQ(bench.gpusOf(vm("vm1")), "0 1");
  EXPECT_TRUE(bench.step(ClaimWholeGpus{vm("vm1"), 1, true}));
  EXPECT_EQ(bench.gpusOf(vm("vm1")), "0");
  EXPECT_EQ(bench.owner(1), "free");
  EXPECT_TRUE(bench.step(ClaimWholeGpus{vm("vm1"), 0, true}));
  EXPECT_EQ(bench.owner(0), "free");
  ASSERT_TRUE(bench.claimVm("other"));
  ASSERT_TRUE(bench.step(ClaimWholeGpus{vm("vm1"), 1, true}));
  EXPECT_FALSE(bench.step(ClaimWholeGpus{vm("vm1"), 2, true}));
  EXPECT_EQ(bench.refusal.message, "vm vm1 needs 2 GPUs, 1 can be had");
}

TEST(OwnershipTest, B9AnIdleGpuIsReleasedAndOneInUseIsRefused) {
  Bench bench(2);
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(named("web", "1")));
  EXPECT_TRUE(bench.step(ReleaseFromKubernetes{bench.state.gpus[0].uuid}));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_TRUE(bench.step(ReleaseFromKubernetes{bench.state.gpus[0].uuid}));  // Free already.
  EXPECT_FALSE(bench.step(ReleaseFromKubernetes{bench.state.gpus[1].uuid}));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuInUse);
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 1", "used by container web/0/main", "berth workload delete web")));
}

TEST(OwnershipTest, B9ReleasingAllLeavesThoseInUseAndSaysSo) {
  Bench bench(3);
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(named("web", "1")));
  EXPECT_TRUE(bench.step(ReleaseFromKubernetes{}));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_EQ(bench.owner(1), "kubernetes");
  EXPECT_EQ(bench.owner(2), "free");
  EXPECT_TRUE(bench.state.kubernetes.enabled);
  EXPECT_THAT(bench.warnings, ElementsAre("GPU 1 stays with kubernetes: used by container web/0/main"));
}

TEST(OwnershipTest, B9OnlyKubernetesGpusCanBeReleased) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  EXPECT_FALSE(bench.step(ReleaseFromKubernetes{bench.state.gpus[0].uuid}));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuOwnedByVm);
  EXPECT_FALSE(bench.step(ReleaseFromKubernetes{GpuUuid{"GPU-none"}}));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnknownGpu);
}

TEST(OwnershipTest, B9DisablingFreesIdleGpusAndKeepsBerthsContainersRunning) {
  Bench bench(2);
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(named("web", "1")));
  bench.state.kubernetes.kubelet_attached = true;
  EXPECT_TRUE(bench.step(DisableKubernetes{}));
  EXPECT_EQ(bench.owner(0), "free");
  EXPECT_EQ(bench.owner(1), "local");
  EXPECT_EQ(bench.gpusOf(container("web")), "1");
  EXPECT_EQ(bench.state.kubernetes, ledger::Kubernetes{});
  EXPECT_TRUE(bench.end(container("web")));
  EXPECT_EQ(bench.owner(1), "free");
  EXPECT_THAT(bench.decided(DisableKubernetes{})->changes, IsEmpty());
}

TEST(OwnershipTest, A1EachChangeOfOwnerIsANewGeneration) {
  Bench bench(1);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.end(vm("vm1")));
  ASSERT_TRUE(bench.enableKubernetes());
  EXPECT_EQ(bench.state.gpus[0].generation, 3);
}

}  // namespace
}  // namespace berth::arbiter
