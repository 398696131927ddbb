// Whole GPUs, named GPUs and shares for containers (A10 to A12, B13 to B15, B18).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/decision.h"
#include "arbiter/enforcement.h"
#include "arbiter/explain.h"
#include "arbiter/placement.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::Mode;
using ledger::OwnerKind;

constexpr int kMaxPercent = 100;
constexpr std::string_view kAnyGpu = "all";

enum class Way : std::uint8_t { Named, Whole, Share, Nothing };

Way wayOf(const ContainerClaim& claim) {
  if (!claim.named.empty()) return Way::Named;
  if (claim.whole > 0) return Way::Whole;
  const bool shares = claim.compute.value > 0 || claim.memory.value > 0 || claim.thread_percentage.value > 0;
  return shares ? Way::Share : Way::Nothing;
}

/// "pods.yaml:12: container c", or who it is for when the input is not known.
std::string placeOf(const ContainerClaim& claim) {
  return claim.place.empty() ? describe(claim.holder) : claim.place;
}

bool isPercent(Percent percent) { return percent.value >= 0 && percent.value <= kMaxPercent; }

Result<void> checkNumbers(const ContainerClaim& claim) {
  const auto bad = [&claim](std::string_view what) {
    return fail(ErrorCode::InvalidArgument, placeOf(claim) + ": " + std::string(what));
  };
  if (claim.whole < 0) return bad("a number of GPUs is 0 or more");
  if (!isPercent(claim.compute)) return bad("a compute share is 1 to 100 percent");
  if (!isPercent(claim.thread_percentage)) return bad("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE is 1 to 100");
  if (claim.memory.value < 0) return bad("a memory share is a number of MiB above 0");
  const bool share = claim.compute.value > 0 || claim.memory.value > 0;
  if ((claim.whole > 0 ? 1 : 0) + (claim.named.empty() ? 0 : 1) + (share ? 1 : 0) > 1) {
    return bad("ask for whole GPUs, a named GPU or a share, not for several of these");
  }
  return {};
}

Result<void> checkHolders(const Decision& decision, const ClaimContainers& claim) {
  std::set<std::string_view> names;
  for (const ContainerClaim& container : claim.containers) {
    if (container.holder.kind != ledger::HolderKind::Container || container.holder.name.empty()) {
      return fail(ErrorCode::InvalidArgument, placeOf(container) + ": a container needs a name");
    }
    if (!names.insert(container.holder.name).second) {
      return fail(ErrorCode::InvalidArgument,
                  placeOf(container) + ": " + container.holder.name + " is claimed for twice");
    }
    if (!decision.berthsOf(container.holder).empty()) {
      return fail(Error{ErrorCode::Conflict,
                        placeOf(container) + ": " + describe(container.holder) + " has a GPU already",
                        std::string(reasons::kAlreadyGranted),
                        {}});
    }
  }
  return {};
}

/// What stands against one more shared berth on a GPU that the container may use.
Obstacle sharingObstacle(const Decision& decision, std::size_t at, const ContainerClaim& claim) {
  if (const Obstacle obstacle = containerObstacle(decision, at); obstacle != Obstacle::None) return obstacle;
  const ledger::Gpu& gpu = decision.gpu(at);
  if (decision.use(at).wholes > 0) return Obstacle::HeldWhole;
  if (gpu.mode == Mode::Exclusive) return Obstacle::ExclusiveMode;
  if (gpu.mode != Mode::Mps) return Obstacle::None;
  if (claim.other_user) return Obstacle::MpsUser;
  if (decision.use(at).berths >= decision.policy().mps_client_limit) return Obstacle::MpsClients;
  return Obstacle::None;
}

bool isEnforceableOn(const Decision& decision, std::size_t at, const ContainerClaim& claim) {
  return isEnforceable(claim.compute, claim.memory, decision.gpu(at).mode, decision.policy().capabilities);
}

Obstacle shareObstacle(const Decision& decision, std::size_t at, const ContainerClaim& claim) {
  if (const Obstacle obstacle = sharingObstacle(decision, at, claim); obstacle != Obstacle::None)
    return obstacle;
  const GpuUse& use = decision.use(at);
  if (claim.compute.value > kMaxPercent - use.compute) return Obstacle::Compute;
  if (claim.memory.value > 0 && claim.memory.value > decision.gpu(at).memory.value - use.memory) {
    return Obstacle::Memory;
  }
  if (!claim.best_effort && !isEnforceableOn(decision, at, claim)) return Obstacle::Unenforceable;
  return Obstacle::None;
}

Obstacle wholeObstacle(const Decision& decision, std::size_t at) {
  if (const Obstacle obstacle = containerObstacle(decision, at); obstacle != Obstacle::None) return obstacle;
  if (decision.use(at).wholes > 0) return Obstacle::HeldWhole;
  return decision.use(at).berths > 0 ? Obstacle::Shared : Obstacle::None;
}

template <typename ObstacleOf>
std::vector<Obstacle> obstaclesOnAll(const Decision& decision, ObstacleOf&& obstacleOf) {
  std::vector<Obstacle> obstacles(decision.gpus());
  for (std::size_t at = 0; at < obstacles.size(); ++at) obstacles[at] = obstacleOf(at);
  return obstacles;
}

/// The reason for a share that no GPU takes: the one all GPUs agree on; the missing enforcement where only
/// that is in the way of at least one; else simply too few.
std::string_view reasonForAll(const std::vector<Obstacle>& obstacles) {
  if (obstacles.empty()) return reasons::kInsufficientGpu;
  const auto differs = [&obstacles](Obstacle obstacle) {
    return reasonFor(obstacle) != reasonFor(obstacles.front());
  };
  if (std::ranges::none_of(obstacles, differs)) return reasonFor(obstacles.front());
  const bool unenforceable = std::ranges::find(obstacles, Obstacle::Unenforceable) != obstacles.end();
  return unenforceable ? reasons::kUnenforceable : reasons::kInsufficientGpu;
}

using Places = Result<std::vector<std::size_t>>;

Places placeShare(const Decision& decision, const ContainerClaim& claim) {
  std::optional<Rank> best;
  std::size_t chosen = 0;
  for (std::size_t at = 0; at < decision.gpus(); ++at) {
    if (shareObstacle(decision, at, claim) != Obstacle::None) continue;
    const Rank rank = rankFor(decision.gpu(at), decision.use(at), claim.compute, claim.memory,
                              !isEnforceableOn(decision, at, claim));
    if (best && *best <= rank) continue;
    best = rank;
    chosen = at;
  }
  if (best) return std::vector<std::size_t>{chosen};
  const std::vector<Obstacle> obstacles =
      obstaclesOnAll(decision, [&](std::size_t at) { return shareObstacle(decision, at, claim); });
  return fail(refuseAll(decision, reasonForAll(obstacles),
                        placeOf(claim) + ": no GPU gives " + describeShare(claim.compute, claim.memory),
                        obstacles));
}

Places placeWhole(const Decision& decision, const ContainerClaim& claim) {
  const std::vector<Obstacle> obstacles =
      obstaclesOnAll(decision, [&](std::size_t at) { return wholeObstacle(decision, at); });
  std::vector<std::size_t> candidates;
  for (std::size_t at = 0; at < obstacles.size(); ++at) {
    if (obstacles[at] == Obstacle::None) candidates.push_back(at);
  }
  const std::size_t can_have = candidates.size();
  if (auto chosen =
          chooseWhole(decision.state().gpus, std::move(candidates), static_cast<std::size_t>(claim.whole))) {
    return *std::move(chosen);
  }
  const std::string_view reason = can_have == 0 ? reasonForAll(obstacles) : reasons::kInsufficientGpu;
  return fail(refuseAll(decision, reason == reasons::kGpuOwnedByCluster ? reason : reasons::kInsufficientGpu,
                        placeOf(claim) + ": needs " + std::to_string(claim.whole) + " whole, " +
                            std::to_string(can_have) + " can be had",
                        obstacles));
}

/// "all" means the one GPU that containers may use here, when there is just one (A10).
Places placeAny(const Decision& decision, const ContainerClaim& claim) {
  std::vector<Obstacle> obstacles =
      obstaclesOnAll(decision, [&](std::size_t at) { return containerObstacle(decision, at); });
  const auto usable = std::ranges::count(obstacles, Obstacle::None);
  if (usable > 1) {
    return fail(refuseAll(decision, reasons::kMultipleGpusByName,
                          placeOf(claim) + ": NVIDIA_VISIBLE_DEVICES=all names " + std::to_string(usable) +
                              " GPUs, and one is allowed",
                          obstacles));
  }
  if (usable == 0) {
    return fail(
        refuseAll(decision, reasonForAll(obstacles), placeOf(claim) + ": no GPU can be had", obstacles));
  }
  const auto only =
      static_cast<std::size_t>(std::ranges::find(obstacles, Obstacle::None) - obstacles.begin());
  if (const Obstacle obstacle = sharingObstacle(decision, only, claim); obstacle != Obstacle::None) {
    obstacles[only] = obstacle;
    return fail(refuseAll(decision, reasonFor(obstacle), placeOf(claim) + ": no GPU can be had", obstacles));
  }
  return std::vector<std::size_t>{only};
}

Places placeNamed(const Decision& decision, const ContainerClaim& claim) {
  if (claim.named == kAnyGpu) return placeAny(decision, claim);
  const ledger::Gpu* gpu = ledger::findGpuByText(decision.state(), claim.named);
  if (gpu == nullptr) {
    Error error = refuseUnknown(decision, claim.named);
    error.message.insert(0, placeOf(claim) + ": ");
    return fail(std::move(error));
  }
  const auto at = static_cast<std::size_t>(gpu - decision.state().gpus.data());
  if (const Obstacle obstacle = sharingObstacle(decision, at, claim); obstacle != Obstacle::None) {
    return fail(refuseOne(decision, at, obstacle, placeOf(claim)));
  }
  return std::vector<std::size_t>{at};
}

Places placeOne(const Decision& decision, const ContainerClaim& claim, Way way) {
  switch (way) {
    case Way::Named:
      return placeNamed(decision, claim);
    case Way::Whole:
      return placeWhole(decision, claim);
    case Way::Share:
      return placeShare(decision, claim);
    case Way::Nothing:
      break;
  }
  return std::vector<std::size_t>{};
}

Berth berthFor(const Decision& decision, std::size_t at, const ContainerClaim& claim) {
  Berth berth;
  berth.gpu = decision.gpu(at).uuid;
  berth.holder = claim.holder;
  berth.whole = claim.whole > 0;
  berth.compute = claim.compute;
  berth.memory = claim.memory;
  berth.thread_percentage = claim.thread_percentage;
  setRungs(berth, decision.gpu(at).mode, decision.policy().capabilities);
  return berth;
}

void warnAbout(Decision& decision, const ledger::Gpu& gpu, const ContainerClaim& claim, const Berth& berth) {
  const std::string where = target(gpu) + " is in mode " + std::string(ledger::name(gpu.mode));
  if (claim.thread_percentage.value > 0 && gpu.mode != Mode::Mps) {
    decision.warn(placeOf(claim) + ": CUDA_MPS_ACTIVE_THREAD_PERCENTAGE has no effect: " + where);
  }
  if (berth.best_effort) {
    decision.warn(placeOf(claim) + ": the limit is not enforced (best-effort): " + where);
  }
}

/// Places everything in the order of `way`; the GPUs of each container, by its position in the claim.
Result<std::vector<std::vector<std::size_t>>> placeAll(Decision& decision, const ClaimContainers& claim) {
  std::vector<std::vector<std::size_t>> places(claim.containers.size());
  for (const Way way : {Way::Named, Way::Whole, Way::Share}) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      const ContainerClaim& container = claim.containers[i];
      if (wayOf(container) != way) continue;
      TRY(places[i], placeOne(decision, container, way));
      for (const std::size_t at : places[i]) decision.place(at, berthFor(decision, at, container));
    }
  }
  return places;
}

}  // namespace

Result<Plan> decideContainers(Decision& decision, const ClaimContainers& claim) {
  for (const ContainerClaim& container : claim.containers) TRY_VOID(checkNumbers(container));
  TRY_VOID(checkHolders(decision, claim));
  TRY(const auto places, placeAll(decision, claim));
  std::set<std::size_t> made_local;
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const std::size_t at : places[i]) {
      const bool is_free = decision.gpu(at).owner.kind == OwnerKind::Free;
      if (is_free && made_local.insert(at).second) {
        decision.changeOwner(at, ledger::Owner{OwnerKind::Local, ""});
      }
      Berth berth = berthFor(decision, at, claim.containers[i]);
      warnAbout(decision, decision.gpu(at), claim.containers[i], berth);
      decision.grant(std::move(berth));
    }
  }
  return decision.take();
}

}  // namespace berth::arbiter
