// One decision in the making: the state it is about, what has been planned so far, and why GPUs were passed
// over. Internal to the arbiter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/occupancy.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

/// Why a GPU does not serve a claim. None: it would.
enum class Obstacle : std::uint8_t {
  None,
  Vm,
  KubernetesIdle,  // A5: free for the asking, but not by itself.
  KubernetesBusy,
  Cluster,  // B18: a kubelet is attached.
  Local,
  Quarantined,
  Moving,
  Unhealthy,
  Lost,
  HeldWhole,      // B13
  Shared,         // B13, the other direction.
  ExclusiveMode,  // B13
  Compute,        // B14
  Memory,         // B14
  MpsClients,
  MpsUser,
  Unenforceable,  // B15
  Lent,           // B7: another VM's, which is deallocated.
  LentInUse,      // B7: the VM's own, and containers use it.
  Recalled,       // B7: a VM waits for it.
};

std::string_view reasonFor(Obstacle obstacle);

class Decision {
 public:
  /// `index` is the one of `state`, or nullptr: then the berths are walked once, here.
  Decision(const ledger::State& state, const Occupancy* index, const Policy& policy);

  const ledger::State& state() const { return state_; }
  const Policy& policy() const { return policy_; }
  const ledger::Gpu& gpu(std::size_t at) const { return state_.gpus[at]; }
  std::size_t gpus() const { return state_.gpus.size(); }
  /// What is on the GPU, counting what place() has put there.
  const GpuUse& use(std::size_t at) const { return uses_[at]; }

  /// Position of a GPU in the state, or -1.
  int position(const GpuUuid& uuid) const;
  std::vector<const ledger::Berth*> berthsOf(const ledger::Holder& holder) const;
  /// The berths of every GPU, by position, placed ones included: one pass, for explanations.
  std::vector<std::vector<const ledger::Berth*>> berthsByGpu() const;

  /// Takes room for a berth (its id comes later) without planning anything yet.
  void place(std::size_t at, const ledger::Berth& berth);
  /// Counts `to` on the GPU where `from` was counted, without planning anything yet.
  void replace(std::size_t at, const ledger::Berth& from, const ledger::Berth& to);

  /// The loan on the GPU, if it is lent.
  const ledger::Loan* loan(std::size_t at) const { return ledger::loanOf(state_, gpu(at).uuid); }
  /// The loans of a VM; none for any other holder.
  std::vector<const ledger::Loan*> loansOf(const ledger::Holder& holder) const;

  void changeOwner(std::size_t at, ledger::Owner to);
  /// Grants under the next id.
  void grant(ledger::Berth berth);
  void revoke(const ledger::Berth& berth);
  /// Made in place: g++ 12 at -O3 takes the move of a temporary Change for one of an uninitialised string.
  template <typename OneChange>
  void add(OneChange change) {
    plan_.changes.emplace_back(std::in_place_type<OneChange>, std::move(change));
  }
  void warn(std::string warning) { plan_.warnings.push_back(std::move(warning)); }
  Plan take() { return std::move(plan_); }

 private:
  const ledger::State& state_;
  const Occupancy* index_;
  const Policy& policy_;
  std::vector<GpuUse> uses_;
  std::vector<ledger::Berth> placed_;
  std::int64_t next_berth_;
  Plan plan_;
};

/// What a container may not have a GPU for, whatever it asks: its owner (A1, B18) or its health.
Obstacle containerObstacle(const Decision& decision, std::size_t at);

/// None for a GPU in good health.
Obstacle healthObstacle(const ledger::Gpu& gpu);

// The deciders, one per kind of request. Each returns its plan or a refusal.
Result<Plan> decideWholeGpus(Decision& decision, const ClaimWholeGpus& claim);
Result<Plan> decideContainers(Decision& decision, const ClaimContainers& claim);
Result<Plan> decideLend(Decision& decision, const LendHeld& lend);
Result<Plan> decideRecall(Decision& decision, const RecallLent& recall);
Result<Plan> decideRelease(Decision& decision, const ReleaseHolder& release);
Result<Plan> decideEnableKubernetes(Decision& decision);
Result<Plan> decideDisableKubernetes(Decision& decision);
Result<Plan> decideReleaseFromKubernetes(Decision& decision, const ReleaseFromKubernetes& release);
Result<Plan> decideSetMode(Decision& decision, const SetMode& request);
Result<Plan> decideChangeShares(Decision& decision, const ChangeShares& request);

}  // namespace berth::arbiter
