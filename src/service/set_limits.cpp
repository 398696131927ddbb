// Changing the limits of a workload's containers while they run (B13 to B15).
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "arbiter/reasons.h"
#include "base/text.h"
#include "service/service.h"

namespace berth::service {
namespace {

bool hasShare(const manifest::Container& spec) {
  return spec.gpu.compute.value > 0 || spec.gpu.memory.value > 0;
}

std::vector<std::string> namesOf(const std::vector<manifest::Container>& containers) {
  std::vector<std::string> names;
  for (const manifest::Container& spec : containers) {
    if (hasShare(spec)) names.push_back(spec.name);
  }
  return names;
}

/// The container that is meant: the one named, or the only one with a share.
Result<std::size_t> specMeant(const manifest::Workload& workload, const std::string& container) {
  const std::vector<std::string> limited = namesOf(workload.containers);
  const std::string name = container.empty() && limited.size() == 1 ? limited.front() : container;
  if (name.empty()) {
    if (limited.empty()) {
      return fail(Error{ErrorCode::Refused,
                        "workload " + workload.name.value + " has no share of a GPU to change",
                        std::string(arbiter::reasons::kNoShare),
                        {{workload.name.value, "no container of it states a limit",
                          "state berth.dev/gpu-compute or berth.dev/gpu-memory in its manifest"}}});
    }
    return fail(ErrorCode::InvalidArgument, "workload " + workload.name.value +
                                                " has several containers with a share; name one of " +
                                                join(limited, ", "));
  }
  const auto spec = std::ranges::find(workload.containers, name, &manifest::Container::name);
  if (spec == workload.containers.end()) {
    return fail(ErrorCode::NotFound, "workload " + workload.name.value + " has no container " + name);
  }
  return static_cast<std::size_t>(spec - workload.containers.begin());
}

/// One change for each pod's container that holds a berth.
std::vector<arbiter::ShareChange> sharesOf(const Draft& draft, const WorkloadRecord& workload,
                                           std::size_t spec, const LimitChange& change) {
  std::vector<arbiter::ShareChange> shares;
  for (const ContainerRecord& c : workload.containers) {
    if (c.spec != static_cast<int>(spec)) continue;
    const auto holds = [&c](const ledger::Berth& berth) { return berth.holder.name == c.name; };
    if (std::ranges::none_of(draft.book.state.berths, holds)) continue;
    shares.push_back({{ledger::HolderKind::Container, c.name}, change.compute, change.memory, {}});
  }
  return shares;
}

/// Containers whose new limits are MPS's: they run with the old ones until they are started again.
void startAnew(WorkloadRecord& workload, const arbiter::Plan& plan) {
  std::set<std::string> holders;
  for (const arbiter::Change& change : plan.changes) {
    const auto* grant = std::get_if<arbiter::Grant>(&change);
    if (grant == nullptr) continue;
    const bool by_mps =
        grant->berth.compute_rung == ledger::Rung::MpsV2 || grant->berth.memory_rung == ledger::Rung::MpsV2;
    if (by_mps) holders.insert(grant->berth.holder.name);
  }
  for (ContainerRecord& c : workload.containers) {
    if (c.sharing && holders.contains(c.name)) c.sharing->mps_generation = kOutdatedGeneration;
  }
}

}  // namespace

Result<Accepted> Service::setLimits(const std::string& name, const LimitChange& change, DryRun dry_run) {
  Operation operation;
  operation.kind = "set";
  operation.subject = name;
  operation.targets = {name};
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    WorkloadRecord* workload = draft.workload(name);
    if (workload == nullptr) return fail(ErrorCode::NotFound, "there is no workload " + name);
    if (workload->desired == Desired::Deleted) return fail(ErrorCode::Conflict, name + " is being deleted");
    TRY(const std::size_t spec, specMeant(workload->spec, change.container));
    const std::vector<arbiter::ShareChange> shares = sharesOf(draft, *workload, spec, change);
    if (shares.empty()) {
      return fail(ErrorCode::Conflict, name + " holds no berth now; change its manifest, or start it first");
    }
    TRY(arbiter::Plan plan, draft.decide(arbiter::ChangeShares{shares, change.restart}, desk_.policy()));
    manifest::GpuRequest& asked = workload->spec.containers[spec].gpu;
    if (change.compute) asked.compute = *change.compute;
    if (change.memory) asked.memory = *change.memory;
    startAnew(*workload, plan);
    if (plan.changes.empty()) op.warnings.push_back(name + ": unchanged, its limits are these");
    return plan;
  });
}

}  // namespace berth::service
