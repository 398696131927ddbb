// Switching modes (A16, B16), and what violation() finds (A1).
#include <functional>
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

using ledger::Mode;
using ledger::OwnerKind;
using ledger::Rung;
using testing::Bench;
using testing::bestEffort;
using testing::container;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::named;
using testing::share;
using ::testing::SizeIs;
using testing::whole;

TEST(ModesTest, B16TheModeOfAnIdleGpuChangesAndTheSameModeIsAnEmptyPlan) {
  Bench bench(2);
  const Result<Plan> plan = bench.decided(SetMode{bench.state.gpus[1].uuid, Mode::Mps, false});
  ASSERT_TRUE(plan);
  ASSERT_THAT(plan->changes, SizeIs(1));
  EXPECT_EQ(describe(plan->changes[0], bench.state), "GPU 1 (Tesla T4): mode timeslice -> mps");
  ASSERT_TRUE(bench.setMode(1, Mode::Mps));
  EXPECT_EQ(bench.state.gpus[0].mode, Mode::TimeSlice);
  EXPECT_EQ(bench.state.gpus[1].mode, Mode::Mps);
  EXPECT_THAT(bench.decided(SetMode{bench.state.gpus[1].uuid, Mode::Mps, false})->changes, IsEmpty());
}

TEST(ModesTest, A16SwitchingUnderRunningContainersNeedsTheWordToRestartThem) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(named("a", "0")));
  EXPECT_FALSE(bench.setMode(0, Mode::Mps));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuInUse);
  EXPECT_THAT(bench.refusal.message, HasSubstr("container a/0/main"));
  const Result<Plan> plan = bench.decided(SetMode{bench.state.gpus[0].uuid, Mode::Mps, true});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(std::get<ChangeMode>(plan->changes[0]).restart_containers);
  EXPECT_TRUE(bench.setMode(0, Mode::Mps, true));
}

TEST(ModesTest, B16AVmsUnknownMovingQuarantinedOrLostGpuIsRefused) {
  Bench bench(4);
  ASSERT_TRUE(bench.claimVm("vm1"));
  bench.state.gpus[1].owner = {OwnerKind::Moving, "x"};
  bench.state.gpus[2].owner = {OwnerKind::Quarantined, "x"};
  bench.state.gpus[3].health = ledger::Health::Lost;
  const std::vector<std::string_view> expected{reasons::kGpuOwnedByVm, reasons::kGpuMoving,
                                               reasons::kGpuQuarantined, reasons::kGpuLost};
  for (int gpu = 0; gpu < 4; ++gpu) {
    EXPECT_FALSE(bench.setMode(gpu, Mode::Mps, true));
    EXPECT_EQ(bench.refusal.reason, expected[static_cast<std::size_t>(gpu)]);
  }
  EXPECT_FALSE(bench.step(SetMode{GpuUuid{"GPU-none"}, Mode::Mps, true}));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnknownGpu);
}

TEST(ModesTest, B16ALostGpuIsRefusedAlsoTheModeItHas) {
  Bench bench(1);
  bench.state.gpus[0].health = ledger::Health::Lost;
  EXPECT_FALSE(bench.setMode(0, bench.state.gpus[0].mode));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuLost);
}

TEST(ModesTest, B16ExclusiveNeedsAtMostOneBerthEvenWithRestart) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(named("a", "0")));
  ASSERT_TRUE(bench.run(named("b", "0")));
  EXPECT_FALSE(bench.setMode(0, Mode::Exclusive, true));
  EXPECT_EQ(bench.refusal.reason, reasons::kGpuInUse);
  ASSERT_TRUE(bench.end(container("b")));
  EXPECT_FALSE(bench.setMode(0, Mode::Exclusive, false));
  EXPECT_TRUE(bench.setMode(0, Mode::Exclusive, true));
}

TEST(ModesTest, B15BerthsGetTheRungsOfTheNewModeUnderTheSameId) {
  Bench bench(1);
  ASSERT_TRUE(bench.run(share("a", 20, 4096)));
  ASSERT_TRUE(bench.run(named("b", "0")));
  const ledger::Berth before = bench.berthOf(container("a"));
  EXPECT_EQ(before.compute_rung, Rung::Guard);
  ASSERT_TRUE(bench.setMode(0, Mode::Mps, true));
  ledger::Berth expected = before;
  expected.compute_rung = Rung::MpsV2;
  expected.memory_rung = Rung::MpsV2;
  EXPECT_EQ(bench.berthOf(container("a")), expected);
  EXPECT_EQ(bench.state.next_berth, 3);
}

TEST(ModesTest, B15AModeThatCannotEnforceTheLimitsThereIsRefused) {
  Bench bench(1);
  bench.policy.capabilities.guard = false;
  ASSERT_TRUE(bench.setMode(0, Mode::Mps));
  ASSERT_TRUE(bench.run(share("a", 20)));
  EXPECT_FALSE(bench.setMode(0, Mode::TimeSlice, true));
  EXPECT_EQ(bench.refusal.reason, reasons::kUnenforceable);
  EXPECT_EQ(bench.refusal.details[0].remedy, "berth workload delete a");
  EXPECT_THAT(bench.refusal.message, HasSubstr("mode timeslice"));
}

TEST(ModesTest, B15ABerthThatWasNotEnforcedBeforeMaySwitch) {
  Bench bench(1);
  bench.policy.capabilities = Capabilities{.dmem = false, .mps_v3 = false, .mps_v2 = false, .guard = false};
  ASSERT_TRUE(bench.run(bestEffort(share("a", 20))));
  EXPECT_TRUE(bench.setMode(0, Mode::Mps, true));
  EXPECT_TRUE(bench.berthOf(container("a")).best_effort);
}

TEST(ModesTest, MpsIsNotSwitchedOnUnderMoreClientsThanItTakes) {
  Bench bench(1);
  bench.policy.mps_client_limit = 1;
  ASSERT_TRUE(bench.run(named("a", "0")));
  ASSERT_TRUE(bench.run(named("b", "0")));
  EXPECT_FALSE(bench.setMode(0, Mode::Mps, true));
  EXPECT_EQ(bench.refusal.reason, reasons::kMpsClientLimit);
  ASSERT_TRUE(bench.end(container("b")));
  EXPECT_TRUE(bench.setMode(0, Mode::Mps, true));
}

// Descriptions ---------------------------------------------------------------------------------------------

TEST(DescribeTest, EveryChangeHasOneLine) {
  Bench bench(1);
  ContainerClaim claim = named("a", "0");
  claim.thread_percentage = Percent{20};
  const Plan run = *bench.decided(ClaimContainers{{claim}});
  EXPECT_EQ(describe(run.changes[0], bench.state), "GPU 0 (Tesla T4): free -> local");
  EXPECT_EQ(describe(run.changes[1], bench.state),
            "GPU 0 (Tesla T4): berth 1 for container a/0/main: at most 20 % of threads");
  ASSERT_TRUE(bench.run(share("b", 20, 4096)));
  const Plan end = *bench.decided(ReleaseHolder{container("b")});
  EXPECT_EQ(describe(end.changes[0], bench.state), "GPU 0 (Tesla T4): berth 1 of container b/0/main ends");
  EXPECT_EQ(describe(Grant{bench.berthOf(container("b"))}, bench.state),
            "GPU 0 (Tesla T4): berth 1 for container b/0/main: 20 % compute (guard), 4096 MiB (guard)");
  EXPECT_EQ(describe(bench.decided(EnableKubernetes{})->changes[0], bench.state),
            "kubernetes: disabled -> enabled");
}

// A1 -------------------------------------------------------------------------------------------------------

struct Broken {
  std::string what;
  std::function<void(ledger::State&)> breakIt;
};
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.what; }

class ViolationTest : public ::testing::TestWithParam<Broken> {
 protected:
  /// GPU 0: vm1's. GPU 1: two shares. GPU 2: one whole container. GPU 3: free.
  static ledger::State sound() {
    Bench bench(4);
    EXPECT_TRUE(bench.claimVm("vm1"));
    EXPECT_TRUE(bench.run(share("a", 50, 8000)));
    EXPECT_TRUE(bench.run(share("b", 50, 7360)));
    EXPECT_TRUE(bench.run(whole("c")));
    return bench.state;
  }
};

TEST_P(ViolationTest, A1IsFound) {
  ledger::State state = sound();
  ASSERT_EQ(violation(state), "");
  GetParam().breakIt(state);
  EXPECT_NE(violation(state), "");
}

INSTANTIATE_TEST_SUITE_P(
    A1, ViolationTest,
    ::testing::Values(
        Broken{"free with berths", [](auto& s) { s.gpus[1].owner = {OwnerKind::Free, ""}; }},
        Broken{"vm without berth", [](auto& s) { s.berths.erase(s.berths.begin()); }},
        Broken{"another vm's berth", [](auto& s) { s.gpus[0].owner.name = "vm2"; }},
        Broken{"vm berth on a local GPU", [](auto& s) { s.gpus[0].owner = {OwnerKind::Local, ""}; }},
        Broken{"container on a vm's GPU", [](auto& s) { s.berths[1].gpu = s.gpus[0].uuid; }},
        Broken{"part of a GPU for a vm", [](auto& s) { s.berths[0].whole = false; }},
        Broken{"kubernetes not enabled", [](auto& s) { s.gpus[3].owner = {OwnerKind::Kubernetes, ""}; }},
        Broken{"whole and shared", [](auto& s) { s.berths[1].whole = true; }},
        Broken{"compute sum", [](auto& s) { s.berths[1].compute = Percent{51}; }},
        Broken{"memory sum", [](auto& s) { s.berths[1].memory = MiB{8001}; }},
        Broken{"negative share", [](auto& s) { s.berths[1].memory = MiB{-1}; }},
        Broken{"two berths in mode exclusive", [](auto& s) { s.gpus[1].mode = Mode::Exclusive; }},
        Broken{"unknown GPU", [](auto& s) { s.berths[1].gpu = GpuUuid{"GPU-none"}; }},
        Broken{"one id twice", [](auto& s) { s.berths[1].id = s.berths[0].id; }},
        Broken{"a used next id", [](auto& s) { s.next_berth = s.berths.back().id; }},
        Broken{"one UUID twice", [](auto& s) { s.gpus[3].uuid = s.gpus[2].uuid; }},
        Broken{"one index twice", [](auto& s) { s.gpus[3].index = 2; }},
        Broken{"one address twice", [](auto& s) { s.gpus[3].pci = s.gpus[2].pci; }},
        Broken{"both kinds while moving", [](auto& s) {
                 s.gpus[1].owner = {OwnerKind::Moving, ""};
                 s.berths[2].holder.kind = ledger::HolderKind::Vm;
               }}));

}  // namespace
}  // namespace berth::arbiter
