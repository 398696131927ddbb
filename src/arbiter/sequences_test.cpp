// Every sequence of up to six operations on devices of one and two GPUs (A1, A2). States that differ only in
// numbers of berths and generations are visited once.
#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "arbiter/arbiter.h"
#include "arbiter/arbiter_testing.h"
#include "arbiter/occupancy.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Mode;
using ledger::OwnerKind;
using testing::bestEffort;
using testing::container;
using testing::named;
using testing::reservation;
using testing::share;
using testing::vm;
using testing::whole;

constexpr int kSteps = 6;

struct Operation {
  std::string name;
  Request request;
};

std::vector<Operation> alphabet(const ledger::State& device) {
  const auto run = [](ContainerClaim claim) { return ClaimContainers{{std::move(claim)}}; };
  std::vector<Operation> all{{"reserve a", ClaimWholeGpus{reservation("a"), 1}},
                             {"reserve b 2", ClaimWholeGpus{reservation("b"), 2}},
                             {"vm a", ClaimWholeGpus{vm("a"), 1}},
                             {"unreserve a", ReleaseHolder{reservation("a")}},
                             {"unreserve b", ReleaseHolder{reservation("b")}},
                             {"delete vm a", ReleaseHolder{vm("a")}},
                             {"resize vm a 2", ClaimWholeGpus{vm("a"), 2, true}},
                             {"resize vm a 1", ClaimWholeGpus{vm("a"), 1, true}},
                             {"lend vm a", LendHeld{vm("a")}},
                             {"recall vm a", RecallLent{vm("a"), true}},
                             {"withdraw vm a", RecallLent{vm("a"), false}},
                             {"vm c", ClaimWholeGpus{vm("c"), 1}},
                             {"delete vm c", ReleaseHolder{vm("c")}},
                             {"enable", EnableKubernetes{}},
                             {"disable", DisableKubernetes{}},
                             {"release all", ReleaseFromKubernetes{}},
                             {"run w", run(whole("w"))},
                             {"run n", run(named("n", "0"))},
                             {"run s", run(share("s", 60, 9000))},
                             {"run t", run(bestEffort(share("t", 60, 9000)))},
                             {"run pair", ClaimContainers{{whole("w"), share("s", 60)}}},
                             {"end w", ReleaseHolder{container("w")}},
                             {"end n", ReleaseHolder{container("n")}},
                             {"end s", ReleaseHolder{container("s")}},
                             {"end t", ReleaseHolder{container("t")}}};
  for (const ledger::Gpu& gpu : device.gpus) {
    const std::string index = std::to_string(gpu.index);
    all.push_back({"release " + index, ReleaseFromKubernetes{gpu.uuid}});
    all.push_back({"mps " + index, SetMode{gpu.uuid, Mode::Mps, gpu.index == 0}});
    all.push_back({"timeslice " + index, SetMode{gpu.uuid, Mode::TimeSlice, true}});
    all.push_back({"exclusive " + index, SetMode{gpu.uuid, Mode::Exclusive, true}});
  }
  return all;
}

/// The state without the numbers that only count history.
std::string essence(const ledger::State& state) {
  std::string text;
  for (const ledger::Gpu& gpu : state.gpus) {
    text += std::string(ledger::name(gpu.owner.kind)) + " " + gpu.owner.name + " " +
            std::string(ledger::name(gpu.mode)) + ";";
  }
  std::vector<std::string> berths;
  for (const ledger::Berth& berth : state.berths) {
    berths.push_back(berth.gpu.value + berth.holder.name + std::string(ledger::name(berth.holder.kind)) +
                     std::string(ledger::name(berth.compute_rung)));
  }
  for (const ledger::Loan& loan : state.loans) {
    berths.push_back("loan " + loan.gpu.value + loan.vm + (loan.recalled ? "!" : ""));
  }
  std::ranges::sort(berths);
  for (const std::string& berth : berths) text += berth + ";";
  return text + (state.kubernetes.enabled ? "k" : "");
}

/// A2: VMs and reservations hold whole GPUs, one each, and what they hold is owned as theirs.
std::string brokenA2(const ledger::State& state) {
  std::size_t berths_of_vms = 0;
  std::size_t gpus_of_vms = 0;
  for (const ledger::Berth& berth : state.berths) {
    if (berth.holder.kind == ledger::HolderKind::Container) continue;
    ++berths_of_vms;
    const ledger::Gpu* gpu = ledger::findGpu(state, berth.gpu);
    if (!berth.whole || gpu->owner != ledger::Owner{OwnerKind::Vm, berth.holder.name}) return "a vm's berth";
  }
  for (const ledger::Gpu& gpu : state.gpus) {
    if (gpu.owner.kind == OwnerKind::Vm) ++gpus_of_vms;
    const bool abandoned = gpu.owner.kind == OwnerKind::Local && ledger::berthsOn(state, gpu.uuid).empty();
    if (abandoned) return "a local GPU without a container (B18)";
  }
  return berths_of_vms == gpus_of_vms ? "" : "the sum over VMs";
}

/// B7: no VM or reservation but the lender's gets a lent GPU, and a GPU called back gives no new berth.
std::string brokenB7(const ledger::State& before, const Plan& plan) {
  for (const Change& change : plan.changes) {
    const auto* grant = std::get_if<Grant>(&change);
    const ledger::Loan* loan = grant == nullptr ? nullptr : ledger::loanOf(before, grant->berth.gpu);
    if (loan == nullptr) continue;
    const ledger::Holder& holder = grant->berth.holder;
    const bool kept =
        std::ranges::any_of(before.berths, [&](const ledger::Berth& old) { return old.holder == holder; });
    const bool to_container = holder.kind == ledger::HolderKind::Container;
    if (!to_container && holder != vm(loan->vm)) return "a lent GPU given to another VM";
    if (to_container && loan->recalled && !kept) return "a GPU called back given to a container";
  }
  return "";
}

/// Every change starts from what the state says when its turn comes, and every grant is one that was missing.
std::string mismatch(ledger::State state, const Plan& plan) {
  for (const Change& change : plan.changes) {
    if (const auto* owner = std::get_if<ChangeOwner>(&change)) {
      if (ledger::findGpu(state, owner->gpu)->owner != owner->from) return "an owner's from";
      if (owner->from == owner->to) return "a change of owner to the same";
    }
    if (const auto* mode = std::get_if<ChangeMode>(&change)) {
      if (ledger::findGpu(state, mode->gpu)->mode != mode->from) return "a mode's from";
    }
    if (const auto* kubernetes = std::get_if<ChangeKubernetes>(&change)) {
      if (state.kubernetes != kubernetes->from) return "kubernetes' from";
    }
    if (const auto* loan = std::get_if<ChangeLoan>(&change)) {
      const ledger::Loan* there = ledger::loanOf(state, loan->gpu());
      if ((there == nullptr) != !loan->from || (there != nullptr && *there != *loan->from))
        return "a loan's from";
    }
    if (const auto* revoke = std::get_if<Revoke>(&change)) {
      if (std::ranges::find(state.berths, revoke->berth) == state.berths.end()) return "a revoked berth";
    }
    state = apply(std::move(state), Plan{{change}, {}});
  }
  return "";
}

class SequencesTest : public ::testing::TestWithParam<std::pair<int, Arbitration>> {
 protected:
  /// Takes every operation from `from`; returns the states not seen before.
  std::vector<ledger::State> expand(const ledger::State& from) {
    std::vector<ledger::State> next;
    for (const Operation& operation : operations_) {
      const Result<Plan> plan = decide(from, operation.request, policy_);
      EXPECT_EQ(decide(from, Occupancy(from), operation.request, policy_).has_value(), plan.has_value());
      ++decisions_;
      if (!plan) {
        checkRefusal(from, operation, plan.error());
        continue;
      }
      ledger::State after = apply(from, *plan);
      const std::string trace = essence(from) + " then " + operation.name;
      EXPECT_EQ(violation(after), "") << trace;
      EXPECT_EQ(brokenA2(after), "") << trace;
      EXPECT_EQ(mismatch(from, *plan), "") << trace;
      EXPECT_EQ(brokenB7(from, *plan), "") << trace;
      if (seen_.insert(essence(after)).second) next.push_back(std::move(after));
    }
    return next;
  }

  static void checkRefusal(const ledger::State& from, const Operation& operation, const Error& error) {
    const bool says_why = error.code == ErrorCode::Refused || error.code == ErrorCode::Conflict;
    EXPECT_TRUE(says_why && !error.reason.empty()) << essence(from) << " then " << operation.name;
  }

  ledger::State start_ = testing::device(GetParam().first);
  std::vector<Operation> operations_ = alphabet(start_);
  Policy policy_{.arbitration = GetParam().second, .capabilities = {}, .mps_client_limit = 2};
  std::unordered_set<std::string> seen_;
  std::size_t decisions_ = 0;
};

TEST_P(SequencesTest, A1HoldsAfterEverySequenceOfSixOperations) {
  std::vector<ledger::State> frontier{start_};
  seen_.insert(essence(start_));
  for (int step = 0; step < kSteps && !HasFailure(); ++step) {
    std::vector<ledger::State> next;
    for (const ledger::State& state : frontier) {
      std::ranges::move(expand(state), std::back_inserter(next));
    }
    frontier = std::move(next);
  }
  RecordProperty("states", static_cast<int>(seen_.size()));
  RecordProperty("decisions", static_cast<int>(decisions_));
  EXPECT_GT(seen_.size(), GetParam().first == 1 ? 50U : 1000U);  // It did go somewhere.
}

INSTANTIATE_TEST_SUITE_P(OneAndTwoGpus, SequencesTest,
                         ::testing::Values(std::pair{1, Arbitration::Appliance},
                                           std::pair{1, Arbitration::Elastic},
                                           std::pair{2, Arbitration::Appliance},
                                           std::pair{2, Arbitration::Elastic}));

}  // namespace
}  // namespace berth::arbiter
