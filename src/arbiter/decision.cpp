#include "arbiter/decision.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/occupancy.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

using ledger::Berth;
using ledger::OwnerKind;

Decision::Decision(const ledger::State& state, const Occupancy* index, const Policy& policy)
    : state_(state),
      index_(index),
      policy_(policy),
      uses_(index != nullptr ? index->uses() : countUses(state)),
      next_berth_(state.next_berth) {}

int Decision::position(const GpuUuid& uuid) const {
  if (index_ != nullptr) return index_->position(uuid);
  const auto found = std::ranges::find(state_.gpus, uuid, &ledger::Gpu::uuid);
  return found == state_.gpus.end() ? -1 : static_cast<int>(found - state_.gpus.begin());
}

std::vector<const Berth*> Decision::berthsOf(const ledger::Holder& holder) const {
  std::vector<const Berth*> berths;
  if (index_ == nullptr) {
    for (const Berth& berth : state_.berths) {
      if (berth.holder == holder) berths.push_back(&berth);
    }
    return berths;
  }
  const std::vector<std::int64_t>* ids = index_->berthsOf(holder);
  if (ids == nullptr) return berths;
  for (const std::int64_t id : *ids) {
    const auto found = std::ranges::lower_bound(state_.berths, id, {}, &Berth::id);
    if (found != state_.berths.end() && found->id == id) berths.push_back(&*found);
  }
  return berths;
}

std::vector<std::vector<const Berth*>> Decision::berthsByGpu() const {
  std::vector<std::vector<const Berth*>> berths(gpus());
  std::unordered_map<std::string_view, std::size_t> positions;
  for (std::size_t at = 0; at < gpus(); ++at) positions.emplace(gpu(at).uuid.value, at);
  const auto add = [&berths, &positions](const Berth& berth) {
    const auto found = positions.find(berth.gpu.value);
    if (found != positions.end()) berths[found->second].push_back(&berth);
  };
  std::ranges::for_each(state_.berths, add);
  std::ranges::for_each(placed_, add);
  return berths;
}

std::vector<const ledger::Loan*> Decision::loansOf(const ledger::Holder& holder) const {
  std::vector<const ledger::Loan*> loans;
  for (const ledger::Loan& loan : state_.loans) {
    if (holder.kind == ledger::HolderKind::Vm && loan.vm == holder.name) loans.push_back(&loan);
  }
  return loans;
}

void Decision::place(std::size_t at, const Berth& berth) {
  addTo(uses_[at], berth);
  placed_.push_back(berth);
}

void Decision::replace(std::size_t at, const Berth& from, const Berth& to) {
  takeFrom(uses_[at], from);
  addTo(uses_[at], to);
}

void Decision::changeOwner(std::size_t at, ledger::Owner to) {
  add(ChangeOwner{gpu(at).uuid, gpu(at).owner, std::move(to)});
}

void Decision::grant(Berth berth) {
  berth.id = next_berth_++;
  add(Grant{std::move(berth)});
}

void Decision::revoke(const Berth& berth) { add(Revoke{berth}); }

Obstacle healthObstacle(const ledger::Gpu& gpu) {
  switch (gpu.health) {
    case ledger::Health::Unhealthy:
      return Obstacle::Unhealthy;
    case ledger::Health::Lost:
      return Obstacle::Lost;
    case ledger::Health::Ok:
      break;
  }
  return Obstacle::None;
}

Obstacle containerObstacle(const Decision& decision, std::size_t at) {
  const ledger::Gpu& gpu = decision.gpu(at);
  switch (gpu.owner.kind) {
    case OwnerKind::Vm:
      return Obstacle::Vm;
    case OwnerKind::Quarantined:
      return Obstacle::Quarantined;
    case OwnerKind::Moving:
      return Obstacle::Moving;
    case OwnerKind::Kubernetes:
      if (decision.state().kubernetes.kubelet_attached) return Obstacle::Cluster;
      break;
    case OwnerKind::Free:
    case OwnerKind::Local:
      break;
  }
  const ledger::Loan* loan = decision.loan(at);
  if (loan != nullptr && loan->recalled) return Obstacle::Recalled;
  return healthObstacle(gpu);
}

}  // namespace berth::arbiter
