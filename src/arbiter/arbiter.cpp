#include "arbiter/arbiter.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "arbiter/decision.h"
#include "arbiter/occupancy.h"
#include "base/error.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

Result<Plan> decideWith(Decision& decision, const Request& request) {
  if (const auto* claim = std::get_if<ClaimWholeGpus>(&request)) return decideWholeGpus(decision, *claim);
  if (const auto* claim = std::get_if<ClaimContainers>(&request)) return decideContainers(decision, *claim);
  if (const auto* release = std::get_if<ReleaseHolder>(&request)) return decideRelease(decision, *release);
  if (std::holds_alternative<EnableKubernetes>(request)) return decideEnableKubernetes(decision);
  if (std::holds_alternative<DisableKubernetes>(request)) return decideDisableKubernetes(decision);
  if (const auto* release = std::get_if<ReleaseFromKubernetes>(&request)) {
    return decideReleaseFromKubernetes(decision, *release);
  }
  if (const auto* change = std::get_if<ChangeShares>(&request)) return decideChangeShares(decision, *change);
  if (const auto* lend = std::get_if<LendHeld>(&request)) return decideLend(decision, *lend);
  if (const auto* recall = std::get_if<RecallLent>(&request)) return decideRecall(decision, *recall);
  return decideSetMode(decision, std::get<SetMode>(request));
}

void applyChange(ledger::State& state, const ChangeOwner& change) {
  ledger::Gpu* gpu = ledger::findGpu(state, change.gpu);
  if (gpu == nullptr) return;
  gpu->owner = change.to;
  ++gpu->generation;
}

void applyChange(ledger::State& state, const Grant& change) {
  const auto after = std::ranges::upper_bound(state.berths, change.berth.id, {}, &ledger::Berth::id);
  state.berths.insert(after, change.berth);
  state.next_berth = std::max(state.next_berth, change.berth.id + 1);
}

void applyChange(ledger::State& state, const Revoke& change) {
  const auto found = std::ranges::lower_bound(state.berths, change.berth.id, {}, &ledger::Berth::id);
  if (found != state.berths.end() && found->id == change.berth.id) state.berths.erase(found);
}

void applyChange(ledger::State& state, const ChangeMode& change) {
  if (ledger::Gpu* gpu = ledger::findGpu(state, change.gpu)) gpu->mode = change.to;
}

void applyChange(ledger::State& state, const ChangeLoan& change) {
  const auto place = std::ranges::lower_bound(state.loans, change.gpu(), {}, &ledger::Loan::gpu);
  const bool there = place != state.loans.end() && place->gpu == change.gpu();
  if (!change.to) {
    if (there) state.loans.erase(place);
  } else if (there) {
    *place = *change.to;
  } else {
    state.loans.insert(place, *change.to);
  }
}

void applyChange(ledger::State& state, const ChangeKubernetes& change) { state.kubernetes = change.to; }

}  // namespace

Result<Plan> decide(const ledger::State& state, const Request& request, const Policy& policy) {
  Decision decision(state, nullptr, policy);
  return decideWith(decision, request);
}

Result<Plan> decide(const ledger::State& state, const Occupancy& occupancy, const Request& request,
                    const Policy& policy) {
  Decision decision(state, &occupancy, policy);
  return decideWith(decision, request);
}

ledger::State apply(ledger::State state, const Plan& plan) {
  for (const Change& change : plan.changes) {
    std::visit([&state](const auto& one) { applyChange(state, one); }, change);
  }
  return state;
}

}  // namespace berth::arbiter
