// Changing the counted shares of containers that run (B13 to B15).
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/decision.h"
#include "arbiter/enforcement.h"
#include "arbiter/explain.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::Rung;

constexpr int kMaxPercent = 100;

/// One berth as it is and as it is asked to be.
struct Resize {
  std::size_t at = 0;  // Its GPU's position.
  const Berth* from = nullptr;
  Berth to;
};

std::string placeOf(const ShareChange& change) {
  return change.place.empty() ? describe(change.holder) : change.place;
}

Result<void> checkNumbers(const ShareChange& change) {
  const auto bad = [&change](std::string_view what) {
    return fail(ErrorCode::InvalidArgument, placeOf(change) + ": " + std::string(what));
  };
  if (!change.compute && !change.memory) return bad("say which limit to change, compute or memory");
  if (change.compute && (change.compute->value < 1 || change.compute->value > kMaxPercent)) {
    return bad("a compute share is 1 to 100 percent");
  }
  if (change.memory && change.memory->value < 1) return bad("a memory share is a number of MiB above 0");
  return {};
}

/// Only a container that was started with a share can be given another one: what enforces it is put in at the
/// start.
Result<Resize> resizeOf(const Decision& decision, const ShareChange& change) {
  const std::vector<const Berth*> berths = decision.berthsOf(change.holder);
  if (berths.empty()) {
    return fail(ErrorCode::NotFound, placeOf(change) + ": " + describe(change.holder) + " has no berth");
  }
  const Berth& berth = *berths.front();
  const bool has_share = berth.compute.value > 0 || berth.memory.value > 0;
  if (!has_share) {
    const std::string what = berth.whole ? " has its GPU whole" : " was started without a limit";
    return fail(
        Error{ErrorCode::Refused,
              placeOf(change) + ": " + describe(change.holder) + what + ", so there is none to change",
              std::string(reasons::kNoShare),
              {{describe(change.holder), "holds no share of compute or memory",
                "state berth.dev/gpu-compute or berth.dev/gpu-memory in its manifest"}}});
  }
  Resize resize{static_cast<std::size_t>(decision.position(berth.gpu)), &berth, berth};
  if (change.compute) resize.to.compute = *change.compute;
  if (change.memory) resize.to.memory = *change.memory;
  setRungs(resize.to, decision.gpu(resize.at).mode, decision.policy().capabilities);
  return resize;
}

/// An MPS client's limits are those it connected with.
bool needsRestart(const Resize& resize) {
  const bool compute = resize.from->compute != resize.to.compute && resize.to.compute_rung == Rung::MpsV2;
  const bool memory = resize.from->memory != resize.to.memory && resize.to.memory_rung == Rung::MpsV2;
  return compute || memory;
}

Error refuseWithoutRestart(const Decision& decision, const Resize& resize, const ShareChange& change) {
  const std::string gpu = target(decision.gpu(resize.at));
  return Error{
      ErrorCode::Refused,
      placeOf(change) + ": " + gpu + " is in mode mps, where a limit holds from a container's start on",
      std::string(reasons::kNeedsRestart),
      {{gpu, "MPS gives a program the limits it connects with",
        "the same with --restart, or " + std::string("berth gpu mode ") +
            std::to_string(decision.gpu(resize.at).index) + " timeslice"}}};
}

Obstacle obstacleTo(const Decision& decision, const Resize& resize) {
  const ledger::Gpu& gpu = decision.gpu(resize.at);
  if (gpu.owner.kind == ledger::OwnerKind::Moving) return Obstacle::Moving;
  if (decision.use(resize.at).compute > kMaxPercent) return Obstacle::Compute;
  if (decision.use(resize.at).memory > gpu.memory.value) return Obstacle::Memory;
  return resize.to.best_effort && !resize.from->best_effort ? Obstacle::Unenforceable : Obstacle::None;
}

/// Takes the old shares off and puts the new ones on, of all at once: one may grow by what another gives up.
std::vector<Obstacle> obstaclesTo(Decision& decision, const std::vector<Resize>& resizes) {
  for (const Resize& resize : resizes) decision.replace(resize.at, *resize.from, resize.to);
  std::vector<Obstacle> obstacles;
  obstacles.reserve(resizes.size());
  for (const Resize& resize : resizes) obstacles.push_back(obstacleTo(decision, resize));
  return obstacles;
}

/// What would be left without the change, and who has the rest.
Error refuseResize(const Decision& before, const Resize& resize, const ShareChange& change,
                   Obstacle obstacle) {
  const std::string asked = describeShare(change.compute.value_or(Percent{}), change.memory.value_or(MiB{}));
  return refuseOne(before, resize.at, obstacle, placeOf(change) + ": " + asked);
}

}  // namespace

Result<Plan> decideChangeShares(Decision& decision, const ChangeShares& request) {
  std::vector<Resize> resizes;
  std::set<std::string_view> names;
  for (const ShareChange& change : request.shares) {
    TRY_VOID(checkNumbers(change));
    if (!names.insert(change.holder.name).second) {
      return fail(ErrorCode::InvalidArgument,
                  placeOf(change) + ": " + change.holder.name + " is changed twice");
    }
    TRY(Resize resize, resizeOf(decision, change));
    resizes.push_back(std::move(resize));
  }
  const Decision before = decision;
  const std::vector<Obstacle> obstacles = obstaclesTo(decision, resizes);
  for (std::size_t i = 0; i < resizes.size(); ++i) {
    if (obstacles[i] != Obstacle::None) {
      return fail(refuseResize(before, resizes[i], request.shares[i], obstacles[i]));
    }
    if (!request.restart && needsRestart(resizes[i])) {
      return fail(refuseWithoutRestart(decision, resizes[i], request.shares[i]));
    }
  }
  for (const Resize& resize : resizes) {
    if (resize.to == *resize.from) continue;
    decision.revoke(*resize.from);
    decision.add(Grant{resize.to});
  }
  return decision.take();
}

}  // namespace berth::arbiter
