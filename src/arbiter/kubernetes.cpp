// What the device's Kubernetes claims and gives back (A3, A4, B9, B18).
#include <cstddef>
#include <string>
#include <utility>

#include "arbiter/arbiter.h"
#include "arbiter/decision.h"
#include "arbiter/explain.h"
#include "base/error.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Health;
using ledger::OwnerKind;

const ledger::Owner kFree{OwnerKind::Free, ""};
const ledger::Owner kLocal{OwnerKind::Local, ""};
const ledger::Owner kKubernetes{OwnerKind::Kubernetes, ""};

Obstacle releaseObstacle(const Decision& decision, std::size_t at) {
  switch (decision.gpu(at).owner.kind) {
    case OwnerKind::Vm:
      return Obstacle::Vm;
    case OwnerKind::Local:
      return Obstacle::Local;
    case OwnerKind::Quarantined:
      return Obstacle::Quarantined;
    case OwnerKind::Moving:
      return Obstacle::Moving;
    case OwnerKind::Kubernetes:
      return decision.use(at).berths > 0 ? Obstacle::Shared : Obstacle::None;
    case OwnerKind::Free:
      break;
  }
  return Obstacle::None;
}

Result<Plan> releaseAllIdle(Decision& decision) {
  const auto berths = decision.berthsByGpu();
  for (std::size_t at = 0; at < decision.gpus(); ++at) {
    if (decision.gpu(at).owner.kind != OwnerKind::Kubernetes) continue;
    if (berths[at].empty()) {
      decision.changeOwner(at, kFree);
    } else {
      decision.warn(target(decision.gpu(at)) + " stays with kubernetes: used by " +
                    describeHolders(berths[at]));
    }
  }
  return decision.take();
}

}  // namespace

Result<Plan> decideEnableKubernetes(Decision& decision) {
  const ledger::Kubernetes& now = decision.state().kubernetes;
  if (!now.enabled) {
    decision.add(ChangeKubernetes{now, {.enabled = true, .kubelet_attached = now.kubelet_attached}});
  }
  for (std::size_t at = 0; at < decision.gpus(); ++at) {
    const ledger::Gpu& gpu = decision.gpu(at);
    // A GPU that is not there cannot be claimed; an unhealthy one may recover and is Kubernetes' to report.
    const ledger::Loan* loan = decision.loan(at);
    const bool called_back = loan != nullptr && loan->recalled;
    const bool claimable = gpu.owner.kind == OwnerKind::Free && gpu.health != Health::Lost && !called_back;
    if (claimable) decision.changeOwner(at, kKubernetes);
  }
  return decision.take();
}

Result<Plan> decideDisableKubernetes(Decision& decision) {
  for (std::size_t at = 0; at < decision.gpus(); ++at) {
    if (decision.gpu(at).owner.kind != OwnerKind::Kubernetes) continue;
    decision.changeOwner(at, decision.use(at).berths > 0 ? kLocal : kFree);
  }
  const ledger::Kubernetes& now = decision.state().kubernetes;
  if (now != ledger::Kubernetes{}) decision.add(ChangeKubernetes{now, ledger::Kubernetes{}});
  return decision.take();
}

Result<Plan> decideReleaseFromKubernetes(Decision& decision, const ReleaseFromKubernetes& release) {
  if (!release.gpu) return releaseAllIdle(decision);
  const int position = decision.position(*release.gpu);
  if (position < 0) return fail(refuseUnknown(decision, release.gpu->value));
  const auto at = static_cast<std::size_t>(position);
  if (const Obstacle obstacle = releaseObstacle(decision, at); obstacle != Obstacle::None) {
    return fail(refuseOne(decision, at, obstacle, "kubernetes cannot give the GPU back"));
  }
  if (decision.gpu(at).owner.kind == OwnerKind::Kubernetes) decision.changeOwner(at, kFree);
  return decision.take();
}

}  // namespace berth::arbiter
