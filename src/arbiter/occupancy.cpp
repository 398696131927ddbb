#include "arbiter/occupancy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

/// Up to here comparing UUIDs one by one is faster than hashing them.
constexpr std::size_t kLinearGpus = 8;

std::vector<GpuUse> countLinear(const ledger::State& state) {
  std::vector<GpuUse> uses(state.gpus.size());
  for (const ledger::Berth& berth : state.berths) {
    for (std::size_t i = 0; i < uses.size(); ++i) {
      if (state.gpus[i].uuid == berth.gpu) addTo(uses[i], berth);
    }
  }
  return uses;
}

}  // namespace

void addTo(GpuUse& use, const ledger::Berth& berth) {
  ++use.berths;
  if (berth.whole) ++use.wholes;
  use.compute += berth.compute.value;
  use.memory += berth.memory.value;
}

void takeFrom(GpuUse& use, const ledger::Berth& berth) {
  --use.berths;
  if (berth.whole) --use.wholes;
  use.compute -= berth.compute.value;
  use.memory -= berth.memory.value;
}

std::vector<GpuUse> countUses(const ledger::State& state) {
  if (state.gpus.size() <= kLinearGpus) return countLinear(state);
  std::vector<GpuUse> uses(state.gpus.size());
  std::unordered_map<std::string_view, std::size_t> positions;
  for (std::size_t i = 0; i < uses.size(); ++i) positions.emplace(state.gpus[i].uuid.value, i);
  for (const ledger::Berth& berth : state.berths) {
    const auto found = positions.find(berth.gpu.value);
    if (found != positions.end()) addTo(uses[found->second], berth);
  }
  return uses;
}

std::size_t HolderHash::operator()(const ledger::Holder& holder) const noexcept {
  return std::hash<std::string>{}(holder.name) * 3 + static_cast<std::size_t>(holder.kind);
}

Occupancy::Occupancy(const ledger::State& state) : uses_(state.gpus.size()) {
  for (std::size_t i = 0; i < state.gpus.size(); ++i) {
    positions_.emplace(state.gpus[i].uuid, static_cast<int>(i));
  }
  for (const ledger::Berth& berth : state.berths) add(berth);
}

void Occupancy::apply(const Plan& plan) {
  for (const Change& change : plan.changes) {
    if (const auto* grant = std::get_if<Grant>(&change)) add(grant->berth);
    if (const auto* revoke = std::get_if<Revoke>(&change)) remove(revoke->berth);
  }
}

int Occupancy::position(const GpuUuid& gpu) const {
  const auto found = positions_.find(gpu);
  return found == positions_.end() ? -1 : found->second;
}

const std::vector<std::int64_t>* Occupancy::berthsOf(const ledger::Holder& holder) const {
  const auto found = holders_.find(holder);
  return found == holders_.end() ? nullptr : &found->second;
}

void Occupancy::add(const ledger::Berth& berth) {
  const int at = position(berth.gpu);
  if (at >= 0) addTo(uses_[static_cast<std::size_t>(at)], berth);
  std::vector<std::int64_t>& ids = holders_[berth.holder];
  ids.insert(std::ranges::upper_bound(ids, berth.id), berth.id);
}

void Occupancy::remove(const ledger::Berth& berth) {
  const int at = position(berth.gpu);
  if (at >= 0) takeFrom(uses_[static_cast<std::size_t>(at)], berth);
  const auto found = holders_.find(berth.holder);
  if (found == holders_.end()) return;
  std::erase(found->second, berth.id);
  if (found->second.empty()) holders_.erase(found);
}

}  // namespace berth::arbiter
