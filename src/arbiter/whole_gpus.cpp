// Whole GPUs for VMs and reservations (A2, A4, A5, B5), and giving back.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/decision.h"
#include "arbiter/explain.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::Holder;
using ledger::HolderKind;
using ledger::OwnerKind;

/// What keeps a lent GPU from the VM that lent it: only its use, whoever owns it meanwhile (B7).
Obstacle ownLoanObstacle(const Decision& decision, std::size_t at) {
  const ledger::Gpu& gpu = decision.gpu(at);
  if (gpu.owner.kind == OwnerKind::Quarantined) return Obstacle::Quarantined;
  if (gpu.owner.kind == OwnerKind::Moving) return Obstacle::Moving;
  if (decision.use(at).berths > 0) return Obstacle::LentInUse;
  return healthObstacle(gpu);
}

Obstacle vmObstacle(const Decision& decision, std::size_t at, const Holder& holder) {
  const ledger::Gpu& gpu = decision.gpu(at);
  if (const ledger::Loan* loan = decision.loan(at)) {
    const bool own = holder.kind == HolderKind::Vm && loan->vm == holder.name;
    return own ? ownLoanObstacle(decision, at) : Obstacle::Lent;
  }
  switch (gpu.owner.kind) {
    case OwnerKind::Vm:
      return Obstacle::Vm;
    case OwnerKind::Local:
      return Obstacle::Local;
    case OwnerKind::Quarantined:
      return Obstacle::Quarantined;
    case OwnerKind::Moving:
      return Obstacle::Moving;
    case OwnerKind::Kubernetes:
      if (decision.use(at).berths > 0) return Obstacle::KubernetesBusy;
      if (decision.policy().arbitration == Arbitration::Appliance) return Obstacle::KubernetesIdle;
      break;
    case OwnerKind::Free:
      break;
  }
  return healthObstacle(gpu);
}

std::string gpuCount(std::size_t count) { return std::to_string(count) + (count == 1 ? " GPU" : " GPUs"); }

Berth wholeBerth(const Decision& decision, std::size_t at, const Holder& holder) {
  Berth berth;
  berth.gpu = decision.gpu(at).uuid;
  berth.holder = holder;
  berth.whole = true;
  return berth;
}

Error alreadyHolds(const Holder& holder, std::size_t held) {
  return Error{ErrorCode::Conflict,
               describe(holder) + " holds " + gpuCount(held) + " already",
               std::string(reasons::kAlreadyGranted),
               {}};
}

/// What a reservation of the VM's name keeps for it, first `count` of them.
std::vector<const Berth*> reservedFor(const Decision& decision, const Holder& holder, std::size_t count) {
  if (holder.kind != HolderKind::Vm) return {};
  std::vector<const Berth*> reserved =
      decision.berthsOf(Holder{.kind = HolderKind::Reservation, .name = holder.name});
  std::erase_if(reserved, [&decision](const Berth* berth) {
    const int at = decision.position(berth->gpu);
    return at < 0 || decision.gpu(static_cast<std::size_t>(at)).owner.kind != OwnerKind::Vm;
  });
  reserved.resize(std::min(reserved.size(), count));
  return reserved;
}

/// Lent ones first (they are the claimant's own, or vmObstacle() had passed them over), then free GPUs, then
/// those of kubernetes (B5); by index within each.
std::vector<std::size_t> usableInOrder(const Decision& decision, const std::vector<Obstacle>& obstacles) {
  const auto rank = [&decision](std::size_t at) {
    const int owner = decision.gpu(at).owner.kind == OwnerKind::Free ? 1 : 2;
    return std::pair(decision.loan(at) != nullptr ? 0 : owner, at);
  };
  std::vector<std::size_t> usable;
  for (std::size_t at = 0; at < obstacles.size(); ++at) {
    if (obstacles[at] == Obstacle::None) usable.push_back(at);
  }
  std::ranges::sort(usable, {}, rank);
  return usable;
}

void endLoans(Decision& decision, const Holder& holder) {
  for (const ledger::Loan* loan : decision.loansOf(holder)) decision.add(ChangeLoan{*loan, std::nullopt});
}

void takeOver(Decision& decision, const Berth& reserved, const Holder& holder) {
  Berth berth = reserved;
  berth.holder = holder;
  decision.revoke(reserved);
  decision.grant(std::move(berth));
}

bool isMoving(const Decision& decision, const Berth& berth) {
  const int at = decision.position(berth.gpu);
  return at >= 0 && decision.gpu(static_cast<std::size_t>(at)).owner.kind == OwnerKind::Moving;
}

/// A GPU that nobody uses any more goes back to free, unless kubernetes owns it.
void freeIfIdle(Decision& decision, const GpuUuid& gpu, int berths_ended) {
  const int at = decision.position(gpu);
  if (at < 0) return;
  const auto position = static_cast<std::size_t>(at);
  const OwnerKind owner = decision.gpu(position).owner.kind;
  const bool returns = owner == OwnerKind::Vm || owner == OwnerKind::Local;
  if (returns && decision.use(position).berths == berths_ended) {
    decision.changeOwner(position, ledger::Owner{OwnerKind::Free, ""});
  }
}

Result<void> checkNotMoving(const Decision& decision, const Holder& holder,
                            const std::vector<const Berth*>& berths) {
  for (const Berth* berth : berths) {
    if (!isMoving(decision, *berth)) continue;
    Error error = refuseOne(decision, static_cast<std::size_t>(decision.position(berth->gpu)),
                            Obstacle::Moving, describe(holder) + " cannot give its GPUs back now");
    error.code = ErrorCode::Conflict;
    return fail(std::move(error));
  }
  return {};
}

/// The last `count` of what the holder has.
Result<Plan> giveUp(Decision& decision, const Holder& holder, std::size_t count) {
  const std::vector<const Berth*> berths = decision.berthsOf(holder);
  const std::vector<const Berth*> ended(berths.end() - static_cast<std::ptrdiff_t>(count), berths.end());
  TRY_VOID(checkNotMoving(decision, holder, ended));
  for (const Berth* berth : ended) {
    decision.revoke(*berth);
    freeIfIdle(decision, berth->gpu, 1);
  }
  return decision.take();
}

/// `more` GPUs beside what the holder has, so that it has `count`.
Result<Plan> claimMore(Decision& decision, const Holder& holder, std::size_t count, std::size_t more) {
  const std::vector<const Berth*> reserved = reservedFor(decision, holder, more);
  std::vector<Obstacle> obstacles(decision.gpus());
  for (std::size_t at = 0; at < obstacles.size(); ++at) obstacles[at] = vmObstacle(decision, at, holder);
  const std::vector<std::size_t> usable = usableInOrder(decision, obstacles);
  const std::size_t can_have = reserved.size() + usable.size();
  if (can_have < more) {
    return fail(refuseAll(decision, reasons::kInsufficientGpu,
                          describe(holder) + " needs " + gpuCount(count) + ", " +
                              std::to_string(can_have + count - more) + " can be had",
                          obstacles));
  }
  for (const Berth* berth : reserved) takeOver(decision, *berth, holder);
  for (std::size_t i = 0; i < more - reserved.size(); ++i) {
    decision.changeOwner(usable[i], ledger::Owner{OwnerKind::Vm, holder.name});
    decision.grant(wholeBerth(decision, usable[i], holder));
  }
  endLoans(decision, holder);
  return decision.take();
}

}  // namespace

Result<Plan> decideWholeGpus(Decision& decision, const ClaimWholeGpus& claim) {
  if (claim.count < 0) return fail(ErrorCode::InvalidArgument, "a number of GPUs is 0 or more");
  if (claim.holder.kind == HolderKind::Container || claim.holder.name.empty()) {
    return fail(ErrorCode::InvalidArgument, "whole GPUs are claimed for a VM or a reservation with a name");
  }
  const auto count = static_cast<std::size_t>(claim.count);
  const std::size_t held = decision.berthsOf(claim.holder).size();
  if (held > 0 && held != count && !claim.resize) return fail(alreadyHolds(claim.holder, held));
  if (held > count) return giveUp(decision, claim.holder, held - count);
  return claimMore(decision, claim.holder, count, count - held);
}

Result<Plan> decideLend(Decision& decision, const LendHeld& lend) {
  if (lend.holder.kind != HolderKind::Vm) return fail(ErrorCode::InvalidArgument, "only a VM lends its GPUs");
  const std::vector<const Berth*> berths = decision.berthsOf(lend.holder);
  TRY_VOID(checkNotMoving(decision, lend.holder, berths));
  for (const Berth* berth : berths) {
    decision.revoke(*berth);
    freeIfIdle(decision, berth->gpu, 1);
    decision.add(ChangeLoan{std::nullopt, ledger::Loan{berth->gpu, lend.holder.name, false}});
  }
  return decision.take();
}

Result<Plan> decideRecall(Decision& decision, const RecallLent& recall) {
  for (const ledger::Loan* loan : decision.loansOf(recall.holder)) {
    if (loan->recalled == recall.recall) continue;
    decision.add(ChangeLoan{*loan, ledger::Loan{loan->gpu, loan->vm, recall.recall}});
  }
  return decision.take();
}

Result<Plan> decideRelease(Decision& decision, const ReleaseHolder& release) {
  const std::vector<const Berth*> berths = decision.berthsOf(release.holder);
  TRY_VOID(checkNotMoving(decision, release.holder, berths));
  for (std::size_t i = 0; i < berths.size(); ++i) {
    decision.revoke(*berths[i]);
    // A GPU is looked at once, when the last of the holder's berths on it has gone.
    const auto same_gpu = [&gpu = berths[i]->gpu](const Berth* berth) { return berth->gpu == gpu; };
    const auto later = berths.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    if (std::any_of(later, berths.end(), same_gpu)) continue;
    const auto ended = std::ranges::count_if(berths, same_gpu);
    freeIfIdle(decision, berths[i]->gpu, static_cast<int>(ended));
  }
  endLoans(decision, release.holder);
  return decision.take();
}

}  // namespace berth::arbiter
