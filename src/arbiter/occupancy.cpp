#include "arbiter/occupancy.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

/// Up to here comparing UUIDs one by one is faster than hashing them.
constexpr std::size_t kLinearGpus = 8;

/// From here on the changed holders become part of what copies share: rarely enough for that copy of all
/// holders not to matter, often enough for copies of the index to stay cheap.
constexpr std::size_t kMostChanged = 256;

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

Occupancy::Occupancy(const ledger::State& state) : uses_(countUses(state)) {
  Positions positions;
  for (std::size_t i = 0; i < state.gpus.size(); ++i) {
    positions.emplace(state.gpus[i].uuid, static_cast<int>(i));
  }
  Holders holders;
  for (const ledger::Berth& berth : state.berths) holders[berth.holder].push_back(berth.id);
  positions_ = std::make_shared<const Positions>(std::move(positions));
  holders_ = std::make_shared<const Holders>(std::move(holders));
}

void Occupancy::apply(const Plan& plan) {
  for (const Change& change : plan.changes) {
    if (const auto* grant = std::get_if<Grant>(&change)) add(grant->berth);
    if (const auto* revoke = std::get_if<Revoke>(&change)) remove(revoke->berth);
  }
  if (changed_.size() <= kMostChanged) return;
  holders_ = std::make_shared<const Holders>(allHolders());
  changed_.clear();
}

int Occupancy::position(const GpuUuid& gpu) const {
  const auto found = positions_->find(gpu);
  return found == positions_->end() ? -1 : found->second;
}

const std::vector<std::int64_t>* Occupancy::berthsOf(const ledger::Holder& holder) const {
  if (const auto changed = changed_.find(holder); changed != changed_.end()) {
    return changed->second.empty() ? nullptr : &changed->second;
  }
  const auto found = holders_->find(holder);
  return found == holders_->end() ? nullptr : &found->second;
}

bool Occupancy::operator==(const Occupancy& other) const {
  return uses_ == other.uses_ && *positions_ == *other.positions_ && allHolders() == other.allHolders();
}

void Occupancy::add(const ledger::Berth& berth) {
  const int at = position(berth.gpu);
  if (at >= 0) addTo(uses_[static_cast<std::size_t>(at)], berth);
  std::vector<std::int64_t>& ids = idsOf(berth.holder);
  ids.insert(std::ranges::upper_bound(ids, berth.id), berth.id);
}

void Occupancy::remove(const ledger::Berth& berth) {
  const int at = position(berth.gpu);
  if (at >= 0) takeFrom(uses_[static_cast<std::size_t>(at)], berth);
  std::erase(idsOf(berth.holder), berth.id);
}

/// To be changed.
std::vector<std::int64_t>& Occupancy::idsOf(const ledger::Holder& holder) {
  const auto [entry, fresh] = changed_.try_emplace(holder);
  const auto shared = fresh ? holders_->find(holder) : holders_->end();
  if (shared != holders_->end()) entry->second = shared->second;
  return entry->second;
}

Occupancy::Holders Occupancy::allHolders() const {
  Holders all = *holders_;
  for (const auto& [holder, ids] : changed_) {
    if (ids.empty()) {
      all.erase(holder);
    } else {
      all[holder] = ids;
    }
  }
  return all;
}

}  // namespace berth::arbiter
