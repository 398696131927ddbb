// Containers: A10 to A12, B13 to B15, B17, B18.
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
using ledger::Mode;
using ledger::OwnerKind;
using ledger::Rung;
using testing::Bench;
using testing::bestEffort;
using testing::container;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kT4Memory;
using testing::named;
using testing::share;
using ::testing::SizeIs;
using testing::whole;

ErrorDetail detail(const std::string& target, const std::string& message, const std::string& remedy) {
  return {target, message, remedy};
}

// A10 ------------------------------------------------------------------------------------------------------

TEST(ContainersTest, A10SeveralContainersMayNameOneGpuByIndexOrUuid) {
  Bench bench(2);
  EXPECT_TRUE(bench.run(named("a", "1")));
  EXPECT_TRUE(bench.run(named("b", bench.state.gpus[1].uuid.value)));
  EXPECT_TRUE(bench.run(named("c", "1")));
  EXPECT_EQ(bench.gpusOf(container("b")), "1");
  EXPECT_EQ(bench.owner(0), "free");
  const ledger::Berth& berth = bench.berthOf(container("a"));
  EXPECT_FALSE(berth.whole);
  EXPECT_EQ(berth.compute, Percent{0});
}

TEST(ContainersTest, A10AnUnknownGpuIsRefusedAndTheGpusThereAreAreListed) {
  Bench bench(2);
  ContainerClaim claim = named("a", "2");
  claim.place = "pods.yaml:12: container a";
  EXPECT_FALSE(bench.run(claim));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnknownGpu);
  EXPECT_EQ(bench.refusal.message, "pods.yaml:12: container a: no GPU '2' on this device");
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "Tesla T4, GPU-10000000, 0000:1000:00.0", ""),
                          detail("GPU 1", "Tesla T4, GPU-10000001, 0000:1001:00.0", "")));
}

TEST(ContainersTest, A10AllMeansTheOneUsableGpuAndIsRefusedWhereThereAreSeveral) {
  Bench bench(2);
  EXPECT_FALSE(bench.run(named("a", "all")));
  EXPECT_EQ(bench.refusal.reason, reasons::kMultipleGpusByName);
  EXPECT_THAT(bench.refusal.details, SizeIs(2));
  ASSERT_TRUE(bench.claimVm("vm1"));
  EXPECT_TRUE(bench.run(named("a", "all")));
  EXPECT_EQ(bench.gpusOf(container("a")), "1");
}

TEST(ContainersTest, A10AllIsRefusedWhereNoGpuIsUsableOrTheOnlyOneIsTakenWhole) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(whole("big")));
  EXPECT_FALSE(bench.run(named("a", "all")));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuExclusive);
  ASSERT_TRUE(bench.end(container("big")));
  ASSERT_TRUE(bench.claimVm("vm1"));
  EXPECT_FALSE(bench.run(named("a", "all")));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuOwnedByVm);
}

struct Unusable {
  std::string what;
  ledger::Owner owner;
  Health health;
  std::string_view reason;
};
void PrintTo(const Unusable& row, std::ostream* out) { *out << row.what; }

class UnusableGpuTest : public ::testing::TestWithParam<Unusable> {};

TEST_P(UnusableGpuTest, A10NamingItIsRefusedWithWhy) {
  Bench bench(1);
  bench.state.gpus[0].owner = GetParam().owner;
  bench.state.gpus[0].health = GetParam().health;
  EXPECT_FALSE(bench.run(named("a", "0")));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Refused);
  EXPECT_EQ(bench.refusal.reason, GetParam().reason);
  ASSERT_THAT(bench.refusal.details, SizeIs(1));
  EXPECT_EQ(bench.refusal.details[0].target, "GPU 0");
  EXPECT_NE(bench.refusal.details[0].remedy, "");
}

INSTANTIATE_TEST_SUITE_P(
    A10, UnusableGpuTest,
    ::testing::Values(
        Unusable{"vm", {OwnerKind::Vm, "vm1"}, Health::Ok, reasons::kGpuOwnedByVm},
        Unusable{"quarantined", {OwnerKind::Quarantined, "reset"}, Health::Ok, reasons::kGpuQuarantined},
        Unusable{"moving", {OwnerKind::Moving, "free -> vm"}, Health::Ok, reasons::kGpuMoving},
        Unusable{"unhealthy", {OwnerKind::Free, ""}, Health::Unhealthy, reasons::kGpuUnhealthy},
        Unusable{"lost", {OwnerKind::Local, ""}, Health::Lost, reasons::kGpuLost}));

// A11 ------------------------------------------------------------------------------------------------------

TEST(ContainersTest, A11AThreadPercentageIsKeptByMpsAndNotCounted) {
  Bench bench(1);
  ASSERT_TRUE(bench.setMode(0, Mode::Mps));
  for (const char* name : {"a", "b", "c"}) {
    ContainerClaim claim = named(name, "0");
    claim.thread_percentage = Percent{60};
    EXPECT_TRUE(bench.run(claim));  // 180 % in all.
    EXPECT_THAT(bench.warnings, IsEmpty());
  }
  EXPECT_EQ(bench.berthOf(container("c")).compute_rung, Rung::MpsV2);
  EXPECT_EQ(bench.berthOf(container("c")).thread_percentage, Percent{60});
  EXPECT_TRUE(bench.run(share("d", 100)));
}

TEST(ContainersTest, A11OutsideMpsAThreadPercentageIsGrantedWithAWarning) {
  Bench bench(1);
  ContainerClaim claim = named("a", "0");
  claim.thread_percentage = Percent{20};
  EXPECT_TRUE(bench.run(claim));
  EXPECT_THAT(bench.warnings, ElementsAre("container a/0/main: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE has no "
                                          "effect: GPU 0 is in mode timeslice"));
  EXPECT_EQ(bench.berthOf(container("a")).compute_rung, Rung::None);
  EXPECT_FALSE(bench.berthOf(container("a")).best_effort);
}

TEST(ContainersTest, A11AThreadPercentageAboveAHundredIsInvalid) {
  Bench bench(1);
  ContainerClaim claim = named("a", "0");
  claim.thread_percentage = Percent{100};
  EXPECT_TRUE(bench.run(claim));
  claim = named("b", "0");
  claim.thread_percentage = Percent{101};
  EXPECT_FALSE(bench.run(claim));
  EXPECT_EQ(bench.refusal.code, ErrorCode::InvalidArgument);
}

// A12, B13 -------------------------------------------------------------------------------------------------

TEST(ContainersTest, A12NWholeGpusAreGrantedExclusively) {
  Bench bench(3);
  EXPECT_TRUE(bench.run(whole("a", 2)));
  EXPECT_EQ(bench.gpusOf(container("a")), "0 1");
  EXPECT_TRUE(bench.berthOf(container("a")).whole);
  EXPECT_FALSE(bench.run(whole("b", 2)));
  EXPECT_EQ(bench.refusal.reason, reasons::kInsufficientGpu);
  EXPECT_EQ(bench.refusal.message, "container b/0/main: needs 2 whole, 1 can be had");
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "held whole by container a/0/main", "berth workload delete a"),
                          detail("GPU 1", "held whole by container a/0/main", "berth workload delete a"),
                          detail("GPU 2", "can be had", "")));
}

TEST(ContainersTest, B13AnExclusiveGpuCannotBeNamedOrSharedAndTheHolderIsNamed) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(whole("a")));
  for (const ContainerClaim& claim : {named("b", "0"), share("b", 10)}) {
    EXPECT_FALSE(bench.run(claim));
    EXPECT_EQ(bench.refusal.reason, reasons::kGpuExclusive);
    EXPECT_THAT(bench.refusal.details,
                ElementsAre(detail("GPU 0", "held whole by container a/0/main", "berth workload delete a")));
  }
}

TEST(ContainersTest, B13ASharedGpuCannotBeTakenWholeAndEveryHolderIsNamed) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(named("a", "0")));
  ASSERT_TRUE(bench.run(share("b", 10)));
  EXPECT_FALSE(bench.run(whole("c")));
  EXPECT_EQ(bench.refusal.reason, reasons::kInsufficientGpu);
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "used by container a/0/main and container b/0/main",
                                 "berth workload delete a && berth workload delete b")));
}

TEST(ContainersTest, B13PastThreeHoldersTheRestIsCountedAndEachCommandStillGiven) {
  Bench bench(1);
  for (const char* name : {"a", "b", "c", "d"}) ASSERT_TRUE(bench.run(named(name, "0")));
  EXPECT_FALSE(bench.run(whole("e")));
  EXPECT_THAT(bench.refusal.details[0].message, HasSubstr("container c/0/main and 1 more"));
  EXPECT_THAT(bench.refusal.details[0].remedy, HasSubstr("berth workload delete d"));
}

TEST(ContainersTest, B13AGpuInModeExclusiveTakesOnlyWholeBerths) {
  Bench bench(1);
  ASSERT_TRUE(bench.setMode(0, Mode::Exclusive));
  for (const ContainerClaim& claim : {named("b", "0"), bestEffort(share("b", 10))}) {
    EXPECT_FALSE(bench.run(claim));
    EXPECT_EQ(bench.refusal.reason, reasons::kGpuExclusive);
    EXPECT_EQ(bench.refusal.details[0].remedy, "berth gpu mode 0 timeslice");
  }
  EXPECT_TRUE(bench.run(whole("a")));
}

TEST(ContainersTest, A12GpusInModeExclusiveAreTakenWholeFirst) {
  Bench bench(2);
  ASSERT_TRUE(bench.setMode(1, Mode::Exclusive));
  EXPECT_TRUE(bench.run(whole("a")));
  EXPECT_EQ(bench.gpusOf(container("a")), "1");
}

// B14 ------------------------------------------------------------------------------------------------------

TEST(ContainersTest, B14ComputeSharesAddUpToAHundredAndNotToAHundredAndOne) {
  Bench bench(1);
  EXPECT_TRUE(bench.run(share("a", 60)));
  EXPECT_FALSE(bench.run(share("b", 41)));
  EXPECT_EQ(bench.refusal.reason, reasons::kComputeExceeded);
  EXPECT_THAT(bench.refusal.details,
              ElementsAre(detail("GPU 0", "40 % of compute left; used by container a/0/main",
                                 "berth workload delete a")));
  EXPECT_TRUE(bench.run(share("b", 40)));
}

TEST(ContainersTest, B14MemorySharesAddUpToTheGpusMemoryAndNotOneMore) {
  Bench bench(1);
  EXPECT_TRUE(bench.run(share("a", 0, 10000)));
  EXPECT_FALSE(bench.run(share("b", 0, kT4Memory - 10000 + 1)));
  EXPECT_EQ(bench.refusal.reason, reasons::kMemoryExceeded);
  EXPECT_EQ(bench.refusal.details[0].message, "5360 of 15360 MiB left; used by container a/0/main");
  EXPECT_TRUE(bench.run(share("b", 0, kT4Memory - 10000)));
}

TEST(ContainersTest, B14ThoseThatStateNothingDoNotCount) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(named("a", "0")));
  ASSERT_TRUE(bench.run(named("b", "0")));
  EXPECT_TRUE(bench.run(share("c", 100, kT4Memory)));
  EXPECT_TRUE(bench.run(named("d", "0")));
}

TEST(ContainersTest, B14AShareThatFitsOnNoGpuNamesWhatIsLeftOnEach) {
  Bench bench(2);
  ASSERT_TRUE(bench.run(share("a", 80)));
  ASSERT_TRUE(bench.run(share("b", 70)));
  EXPECT_FALSE(bench.run(share("c", 40)));
  EXPECT_EQ(bench.refusal.reason, reasons::kComputeExceeded);
  EXPECT_EQ(bench.refusal.message, "container c/0/main: no GPU gives 40 % compute");
  EXPECT_THAT(bench.refusal.details, SizeIs(2));
}

TEST(ContainersTest, B14NumbersOutsideTheirRangeAndMixedWaysAreInvalid) {
  const Bench bench(1);
  std::vector<ContainerClaim> claims{share("a", 101), share("a", -1), share("a", 0, -1), whole("a", -1),
                                     named("a", "0"), whole("a", 1),  whole("a", 1)};
  claims[4].whole = 1;
  claims[5].compute = Percent{10};
  claims[6].holder.name = "";
  for (const ContainerClaim& claim : claims) {
    const Result<Plan> plan = bench.decided(ClaimContainers{{claim}});
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::InvalidArgument) << plan.error().message;
  }
}

TEST(ContainersTest, B14MemoryCannotOverflowTheSum) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 0, 1)));
  EXPECT_FALSE(bench.run(share("b", 0, INT64_MAX)));
  EXPECT_EQ(bench.refusal.reason, reasons::kMemoryExceeded);
}

TEST(ContainersTest, AContainerOfAnotherUserThanRootGoesWhereMpsIsOff) {
  Bench bench(2);
  ASSERT_TRUE(bench.setMode(0, Mode::Mps));
  ContainerClaim by_name = named("a", "0");
  by_name.other_user = true;
  EXPECT_FALSE(bench.run(by_name));
  EXPECT_EQ(bench.refusal.reason, reasons::kMpsUser);
  EXPECT_THAT(bench.refusal.details[0].message, HasSubstr("server is root's"));
  ContainerClaim by_share = bestEffort(share("b", 10));
  by_share.other_user = true;
  EXPECT_TRUE(bench.run(by_share));
  EXPECT_EQ(bench.gpusOf(container("b")), "1");
  const Result<Plan> plan =
      bench.decided(SetMode{bench.state.gpus[1].uuid, Mode::Mps, true, {container("b")}});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().reason, reasons::kMpsUser);
}

TEST(ContainersTest, AnMpsGpuTakesAsManyClientsAsItsServerDoes) {
  Bench bench(1);
  bench.policy.mps_client_limit = 2;
  ASSERT_TRUE(bench.setMode(0, Mode::Mps));
  EXPECT_TRUE(bench.run(share("a", 10)));
  EXPECT_TRUE(bench.run(named("b", "0")));
  EXPECT_FALSE(bench.run(named("c", "0")));
  EXPECT_EQ(bench.refusal.reason, reasons::kMpsClientLimit);
  EXPECT_EQ(bench.refusal.details[0].message, "has 2 MPS clients, of at most 2");
  ASSERT_TRUE(bench.end(container("a")));
  EXPECT_TRUE(bench.run(named("c", "0")));
}

// B15 ------------------------------------------------------------------------------------------------------

struct Enforcement {
  Mode mode;
  Capabilities has;
  Rung compute;
  Rung memory;
};
void PrintTo(const Enforcement& row, std::ostream* out) {
  *out << ledger::name(row.mode) << (row.has.dmem ? " dmem" : "") << (row.has.mps_v3 ? " v3" : "")
       << (row.has.mps_v2 ? " v2" : "") << (row.has.guard ? " guard" : "");
}

class EnforcementTest : public ::testing::TestWithParam<Enforcement> {
 protected:
  static Bench bench() {
    Bench made(1);
    made.policy.capabilities = GetParam().has;
    EXPECT_TRUE(GetParam().mode == Mode::TimeSlice || made.setMode(0, GetParam().mode));
    return made;
  }

  static void expectRung(const ContainerClaim& claim, Rung expected, Rung ledger::Berth::* rung) {
    Bench strict = bench();
    EXPECT_EQ(strict.run(claim), expected != Rung::None);
    if (expected == Rung::None) {
      EXPECT_EQ(strict.refusal.reason, reasons::kUnenforceable);
    }
    Bench loose = bench();
    ASSERT_TRUE(loose.run(bestEffort(claim)));
    const ledger::Berth& berth = loose.berthOf(container("a"));
    EXPECT_EQ(berth.*rung, expected);
    EXPECT_EQ(berth.best_effort, expected == Rung::None);
    EXPECT_THAT(loose.warnings, SizeIs(expected == Rung::None ? 1 : 0));
  }
};

TEST_P(EnforcementTest, B15AComputeShareHasTheStrongestRungOrIsRefused) {
  expectRung(share("a", 20), GetParam().compute, &ledger::Berth::compute_rung);
}

TEST_P(EnforcementTest, B15AMemoryShareHasTheStrongestRungOrIsRefused) {
  expectRung(share("a", 0, 4096), GetParam().memory, &ledger::Berth::memory_rung);
}

Capabilities has(bool dmem, bool v3, bool v2, bool guard) {
  return Capabilities{.dmem = dmem, .mps_v3 = v3, .mps_v2 = v2, .guard = guard};
}

INSTANTIATE_TEST_SUITE_P(
    B15, EnforcementTest,
    ::testing::Values(Enforcement{Mode::TimeSlice, has(false, true, true, false), Rung::None, Rung::None},
                      Enforcement{Mode::TimeSlice, has(false, false, false, true), Rung::Guard, Rung::Guard},
                      Enforcement{Mode::TimeSlice, has(true, false, false, false), Rung::None, Rung::Dmem},
                      Enforcement{Mode::TimeSlice, has(true, true, true, true), Rung::Guard, Rung::Dmem},
                      Enforcement{Mode::Mps, has(false, false, true, false), Rung::MpsV2, Rung::MpsV2},
                      Enforcement{Mode::Mps, has(false, true, true, true), Rung::MpsV3, Rung::MpsV3},
                      Enforcement{Mode::Mps, has(true, false, true, false), Rung::MpsV2, Rung::Dmem},
                      Enforcement{Mode::Mps, has(false, false, false, true), Rung::None, Rung::Guard},
                      Enforcement{Mode::Mps, has(false, false, false, false), Rung::None, Rung::None}));

TEST(ContainersTest, B15GpusThatEnforceTheLimitComeFirst) {
  Bench bench(2);
  bench.policy.capabilities.guard = false;
  ASSERT_TRUE(bench.setMode(1, Mode::Mps));
  EXPECT_TRUE(bench.run(bestEffort(share("a", 60))));
  EXPECT_EQ(bench.gpusOf(container("a")), "1");
  EXPECT_TRUE(bench.run(bestEffort(share("b", 60))));  // GPU 1 is too full.
  EXPECT_EQ(bench.gpusOf(container("b")), "0");
  EXPECT_TRUE(bench.berthOf(container("b")).best_effort);
  ASSERT_TRUE(bench.end(container("b")));
  EXPECT_FALSE(bench.run(share("c", 60)));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnenforceable);
  EXPECT_EQ(bench.refusal.details[0].remedy, "berth gpu mode 0 mps");
}

// B18 ------------------------------------------------------------------------------------------------------

TEST(ContainersTest, B18WithoutKubernetesAFreeGpuBecomesLocalAndIsGivenBackWithTheLastContainer) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(named("a", "0")));
  ASSERT_TRUE(bench.run(named("b", "0")));
  EXPECT_EQ(bench.owner(0), "local");
  ASSERT_TRUE(bench.end(container("a")));
  EXPECT_EQ(bench.owner(0), "local");
  ASSERT_TRUE(bench.end(container("b")));
  EXPECT_EQ(bench.owner(0), "free");
}

TEST(ContainersTest, B18ContainersUseTheGpusKubernetesOwnsAndLeaveThemThere) {
  Bench bench(1);
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.run(whole("a")));
  EXPECT_EQ(bench.owner(0), "kubernetes");
  ASSERT_TRUE(bench.end(container("a")));
  EXPECT_EQ(bench.owner(0), "kubernetes");
}

TEST(ContainersTest, B18WithAKubeletAttachedTheClusterIsNamedAndKubectlPointedTo) {
  Bench bench(1);
  ASSERT_TRUE(bench.enableKubernetes());
  bench.state.kubernetes.kubelet_attached = true;
  for (const ContainerClaim& claim : {named("a", "0"), whole("a"), share("a", 10), named("a", "all")}) {
    EXPECT_FALSE(bench.run(claim));
    EXPECT_EQ(bench.refusal.reason, reasons::kGpuOwnedByCluster);
    ASSERT_THAT(bench.refusal.details, SizeIs(1));
    EXPECT_THAT(bench.refusal.details[0].message, HasSubstr("owned by kubernetes"));
    EXPECT_THAT(bench.refusal.details[0].remedy, HasSubstr("kubectl"));
  }
}

TEST(ContainersTest, B18WithAKubeletAttachedFreeGpusStillServeLocally) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.enableKubernetes());
  bench.state.kubernetes.kubelet_attached = true;
  ASSERT_TRUE(bench.end(testing::vm("vm1")));
  EXPECT_TRUE(bench.run(share("a", 10)));
  EXPECT_EQ(bench.owner(0), "local");
}

TEST(ContainersTest, B18WholeGpusComeFromOneOwnerWhereOneHasEnough) {
  Bench bench(4);
  ASSERT_TRUE(bench.claimVm("vm1", 3));
  ASSERT_TRUE(bench.enableKubernetes());  // GPU 3 only.
  ASSERT_TRUE(bench.end(testing::vm("vm1")));
  ASSERT_TRUE(bench.run(whole("a", 2)));
  EXPECT_EQ(bench.gpusOf(container("a")), "0 1");
  ASSERT_TRUE(bench.run(whole("b", 2)));  // Mixed, because nothing else is left.
  EXPECT_EQ(bench.gpusOf(container("b")), "3 2");
}

TEST(ContainersTest, B18AShareGoesToKubernetesBeforeAFreeGpuThatAVmCouldHave) {
  Bench bench(2);
  ASSERT_TRUE(bench.claimVm("vm1"));
  ASSERT_TRUE(bench.enableKubernetes());
  ASSERT_TRUE(bench.end(testing::vm("vm1")));
  ASSERT_TRUE(bench.run(share("a", 10)));
  EXPECT_EQ(bench.gpusOf(container("a")), "1");
}

// Together or not at all -----------------------------------------------------------------------------------

TEST(ContainersTest, ContainersArePlacedTogetherOrNotAtAll) {
  Bench bench(1);
  EXPECT_FALSE(bench.step(ClaimContainers{{share("a", 60), share("b", 60)}}));
  EXPECT_EQ(bench.state, testing::device(1));
  EXPECT_THAT(bench.refusal.details[0].message, HasSubstr("a/0/main"));  // Would-be holders count.
  EXPECT_TRUE(bench.step(ClaimContainers{{share("a", 60), share("b", 40)}}));
  EXPECT_EQ(bench.state.gpus[0].generation, 1);  // One change of owner for both.
}

TEST(ContainersTest, ThoseWithoutAChoiceChooseFirstAndGrantsKeepTheOrder) {
  Bench bench(2);
  EXPECT_TRUE(bench.step(ClaimContainers{{share("a", 60), whole("b"), named("c", "0")}}));
  EXPECT_EQ(bench.gpusOf(container("a")), "0");
  EXPECT_EQ(bench.gpusOf(container("b")), "1");
  EXPECT_EQ(bench.berthOf(container("a")).id, 1);
  EXPECT_EQ(bench.berthOf(container("c")).id, 3);
}

TEST(ContainersTest, AContainerThatAsksForNothingGetsNothing) {
  const Bench bench(1);
  EXPECT_THAT(bench.decided(ClaimContainers{{testing::claimFor("a")}})->changes, IsEmpty());
}

TEST(ContainersTest, AHolderWithBerthsOrNamedTwiceIsNotGrantedAgain) {
  Bench bench(2);
  EXPECT_FALSE(bench.step(ClaimContainers{{share("a", 10), share("a", 10)}}));
  EXPECT_EQ(bench.refusal.code, ErrorCode::InvalidArgument);
  ASSERT_TRUE(bench.run(share("a", 10)));
  EXPECT_FALSE(bench.run(share("a", 10)));
  EXPECT_EQ(bench.refusal.code, ErrorCode::Conflict);
  EXPECT_EQ(bench.refusal.reason, reasons::kAlreadyGranted);
}

TEST(ContainersTest, ADeviceWithoutGpusRefusesWithoutDetails) {
  Bench bench(0);
  EXPECT_FALSE(bench.run(share("a", 10)));
  EXPECT_EQ(bench.refusal.reason, reasons::kInsufficientGpu);
  EXPECT_FALSE(bench.run(whole("a")));
  EXPECT_FALSE(bench.run(named("a", "all")));
  EXPECT_THAT(bench.refusal.details, IsEmpty());
}

// Placement ------------------------------------------------------------------------------------------------

TEST(ContainersTest, SharesFillAStartedGpuBeforeAnEmptyOne) {
  Bench bench(3);
  ASSERT_TRUE(bench.run(named("a", "1")));
  ASSERT_TRUE(bench.run(share("b", 40)));
  ASSERT_TRUE(bench.run(share("c", 60)));
  EXPECT_EQ(bench.gpusOf(container("b")), "1");
  EXPECT_EQ(bench.gpusOf(container("c")), "1");
  ASSERT_TRUE(bench.run(share("d", 10)));
  EXPECT_EQ(bench.gpusOf(container("d")), "0");
}

TEST(ContainersTest, OfTwoStartedGpusTheBetterFittingOneIsTaken) {
  Bench bench(2);
  ASSERT_TRUE(bench.run(share("a", 40)));
  bench.state.gpus[0].health = Health::Unhealthy;
  ASSERT_TRUE(bench.run(share("b", 70)));
  bench.state.gpus[0].health = Health::Ok;
  ASSERT_TRUE(bench.run(share("c", 30)));  // Fills GPU 1 up; on GPU 0 it would spoil what is left.
  EXPECT_EQ(bench.gpusOf(container("c")), "1");
}

}  // namespace
}  // namespace berth::arbiter
