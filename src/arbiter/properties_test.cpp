// Properties of decisions on large devices, over random histories.
#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "arbiter/arbiter.h"
#include "arbiter/arbiter_testing.h"
#include "arbiter/occupancy.h"
#include "arbiter/placement.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Mode;
using testing::container;
using testing::reservation;
using testing::vm;

std::string anyName() { return "n" + std::to_string(*rc::gen::inRange(0, 40)); }

ContainerClaim anyClaim() {
  ContainerClaim claim = testing::claimFor(anyName());
  switch (*rc::gen::inRange(0, 3)) {
    case 0:
      claim.whole = *rc::gen::inRange(1, 4);
      break;
    case 1:
      claim.named = std::to_string(*rc::gen::inRange(0, 14));
      claim.thread_percentage = Percent{*rc::gen::inRange(0, 101)};
      break;
    default:
      claim.compute = Percent{*rc::gen::inRange(0, 101)};
      claim.memory = MiB{*rc::gen::inRange(1, 20000)};
      claim.best_effort = *rc::gen::arbitrary<bool>();
  }
  return claim;
}

ClaimContainers anyClaims() {
  ClaimContainers claims;
  const int count = *rc::gen::inRange(1, 4);
  for (int i = 0; i < count; ++i) claims.containers.push_back(anyClaim());
  return claims;
}

Request anyRequest(const ledger::State& state) {
  const auto gpu = [&state] { return state.gpus[*rc::gen::inRange<std::size_t>(0, state.gpus.size())].uuid; };
  switch (*rc::gen::inRange(0, 12)) {
    case 0:
      return ClaimWholeGpus{vm(anyName()), *rc::gen::inRange(0, 4)};
    case 1:
      return ClaimWholeGpus{reservation(anyName()), *rc::gen::inRange(0, 4)};
    case 2:
      return ReleaseHolder{vm(anyName())};
    case 3:
      return ReleaseHolder{reservation(anyName())};
    case 4:
      return ReleaseHolder{container(anyName())};
    case 5:
      return EnableKubernetes{};
    case 6:
      if (*rc::gen::inRange(0, 4) == 0) return DisableKubernetes{};
      return ReleaseFromKubernetes{gpu()};
    case 7:
      return SetMode{gpu(), *rc::gen::element(Mode::Exclusive, Mode::TimeSlice, Mode::Mps),
                     *rc::gen::arbitrary<bool>()};
    default:
      return anyClaims();
  }
}

Policy anyPolicy() {
  Policy policy;
  policy.arbitration = *rc::gen::element(Arbitration::Appliance, Arbitration::Elastic);
  policy.capabilities.guard = *rc::gen::arbitrary<bool>();
  policy.capabilities.dmem = *rc::gen::arbitrary<bool>();
  policy.mps_client_limit = *rc::gen::inRange(1, 6);
  return policy;
}

bool wantsAnyGpu(const Request& request) {
  if (std::holds_alternative<ClaimWholeGpus>(request)) return true;
  const auto* claims = std::get_if<ClaimContainers>(&request);
  return claims != nullptr && claims->containers.front().named.empty() && claims->containers.size() == 1;
}

void checkSameAnswer(const Result<Plan>& a, const Result<Plan>& b) {
  RC_ASSERT(a.has_value() == b.has_value());
  if (!a) {
    RC_ASSERT(a.error() == b.error());
    return;
  }
  RC_ASSERT(a->changes == b->changes);
  RC_ASSERT(a->warnings == b->warnings);
}

/// The same histories in every run; RC_PARAMS in the environment chooses others.
class PropertiesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ::setenv("RC_PARAMS", "seed=20260101", 0); }
};

TEST_F(PropertiesTest, A1HoldsAndRefusalsAreCompleteOverAnyHistory) {
  EXPECT_TRUE(rc::check([] {
    ledger::State state = testing::device(*rc::gen::inRange(1, 13));
    const Policy policy = anyPolicy();
    Occupancy occupancy(state);
    for (int step = 0; step < 40; ++step) {
      if (step == 20)
        state.kubernetes.kubelet_attached = state.kubernetes.enabled && policy.capabilities.dmem;
      const Request request = anyRequest(state);
      const Result<Plan> plan = decide(state, request, policy);
      checkSameAnswer(plan, decide(state, request, policy));             // Deterministic,
      checkSameAnswer(plan, decide(state, occupancy, request, policy));  // and the same by index.
      if (plan) {
        state = apply(std::move(state), *plan);
        occupancy.apply(*plan);
        RC_ASSERT(violation(state) == "");
        RC_ASSERT(occupancy == Occupancy(state));
        continue;
      }
      if (plan.error().code != ErrorCode::Refused) continue;
      RC_ASSERT(!plan.error().reason.empty());
      // B17: whatever could have been any GPU has looked at every GPU.
      if (wantsAnyGpu(request)) RC_ASSERT(plan.error().details.size() == state.gpus.size());
      RC_ASSERT(!plan.error().details.empty());
    }
  }));
}

TEST_F(PropertiesTest, AShareGoesWhereTheExpectedFragmentGrowsLeast) {
  EXPECT_TRUE(rc::check([] {
    testing::Bench bench(8);
    for (int i = 0; i < 20; ++i) {
      const ContainerClaim claim = testing::share("c" + std::to_string(i), *rc::gen::inRange(1, 101));
      const std::vector<GpuUse> before = countUses(bench.state);
      if (!bench.run(claim)) continue;
      const GpuUuid chosen = bench.berthOf(claim.holder).gpu;
      const auto growth = [&](std::size_t at) {
        GpuUse after = before[at];
        ++after.berths;
        after.compute += claim.compute.value;
        const MiB memory = bench.state.gpus[at].memory;
        return expectedFragment(after, memory) - expectedFragment(before[at], memory);
      };
      const auto at = static_cast<std::size_t>(ledger::findGpu(bench.state, chosen)->index);
      for (std::size_t other = 0; other < before.size(); ++other) {
        if (before[other].compute + claim.compute.value > 100) continue;
        RC_ASSERT(growth(at) <= growth(other));
      }
    }
  }));
}

TEST_F(PropertiesTest, AnEmptyAndAFullGpuHaveNoFragment) {
  const MiB memory{testing::kT4Memory};
  EXPECT_EQ(expectedFragment(GpuUse{}, memory), 0);
  EXPECT_EQ(expectedFragment(GpuUse{.berths = 1, .wholes = 1, .compute = 0, .memory = 0}, memory), 0);
  EXPECT_EQ(expectedFragment({.berths = 2, .wholes = 0, .compute = 100, .memory = memory.value}, memory), 0);
  EXPECT_GT(expectedFragment({.berths = 1, .wholes = 0, .compute = 90, .memory = 0}, memory), 0);
}

}  // namespace
}  // namespace berth::arbiter
