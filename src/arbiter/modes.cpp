// Switching how a GPU is shared (A16, B16).
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/decision.h"
#include "arbiter/enforcement.h"
#include "arbiter/explain.h"
#include "base/error.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::Mode;
using ledger::OwnerKind;

Obstacle ownerObstacle(const ledger::Gpu& gpu) {
  switch (gpu.owner.kind) {
    case OwnerKind::Vm:
      return Obstacle::Vm;
    case OwnerKind::Quarantined:
      return Obstacle::Quarantined;
    case OwnerKind::Moving:
      return Obstacle::Moving;
    case OwnerKind::Free:
    case OwnerKind::Kubernetes:
    case OwnerKind::Local:
      break;
  }
  return gpu.health == ledger::Health::Lost ? Obstacle::Lost : Obstacle::None;
}

/// `berth` as it would be in the new mode.
Berth inMode(const Decision& decision, const Berth& berth, Mode mode) {
  Berth changed = berth;
  setRungs(changed, mode, decision.policy().capabilities);
  return changed;
}

/// What the berths on the GPU have against `mode`.
Obstacle modeObstacle(const Decision& decision, std::size_t at, const SetMode& request,
                      const std::vector<const Berth*>& berths) {
  if (const Obstacle obstacle = ownerObstacle(decision.gpu(at)); obstacle != Obstacle::None) return obstacle;
  if (berths.empty()) return Obstacle::None;
  const bool too_many_for_one = request.mode == Mode::Exclusive && berths.size() > 1;
  if (!request.restart || too_many_for_one) return Obstacle::Shared;
  const auto by_other_user = [&](const Berth* berth) { return request.other_users.contains(berth->holder); };
  if (request.mode == Mode::Mps && std::ranges::any_of(berths, by_other_user)) return Obstacle::MpsUser;
  const auto limit = static_cast<std::size_t>(decision.policy().mps_client_limit);
  if (request.mode == Mode::Mps && berths.size() > limit) return Obstacle::MpsClients;
  for (const Berth* berth : berths) {
    const bool newly_unenforced = inMode(decision, *berth, request.mode).best_effort && !berth->best_effort;
    if (newly_unenforced) return Obstacle::Unenforceable;
  }
  return Obstacle::None;
}

Error refuseMode(const Decision& decision, std::size_t at, Obstacle obstacle, Mode mode,
                 const std::vector<const Berth*>& berths) {
  const std::string mode_name(ledger::name(mode));
  Error error = refuseOne(decision, at, obstacle, "mode " + mode_name);
  if (obstacle == Obstacle::Unenforceable) {
    error.details = {
        {target(decision.gpu(at)),
         "nothing on this box enforces the limits of " + describeHolders(berths) + " in mode " + mode_name,
         remedyFor(berths)}};
    error.message = "mode " + mode_name + ": " + error.details.front().message;
  }
  return error;
}

}  // namespace

Result<Plan> decideSetMode(Decision& decision, const SetMode& request) {
  const int position = decision.position(request.gpu);
  if (position < 0) return fail(refuseUnknown(decision, request.gpu.value));
  const auto at = static_cast<std::size_t>(position);
  const ledger::Gpu& gpu = decision.gpu(at);
  if (gpu.mode == request.mode && gpu.health != ledger::Health::Lost) return Plan{};

  const std::vector<const Berth*> berths = decision.berthsByGpu()[at];
  if (const Obstacle obstacle = modeObstacle(decision, at, request, berths); obstacle != Obstacle::None) {
    return fail(refuseMode(decision, at, obstacle, request.mode, berths));
  }
  decision.add(ChangeMode{gpu.uuid, gpu.mode, request.mode, !berths.empty()});
  for (const Berth* berth : berths) {
    Berth changed = inMode(decision, *berth, request.mode);
    if (changed == *berth) continue;
    decision.revoke(*berth);
    decision.add(Grant{std::move(changed)});
  }
  return decision.take();
}

}  // namespace berth::arbiter
