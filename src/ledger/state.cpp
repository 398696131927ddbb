#include "ledger/state.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "base/types.h"

namespace berth::ledger {
namespace {

constexpr std::array<std::string_view, 6> kOwnerKinds{"free",  "vm",          "kubernetes",
                                                      "local", "quarantined", "moving"};
constexpr std::array<std::string_view, 3> kModes{"exclusive", "timeslice", "mps"};
constexpr std::array<std::string_view, 5> kRungs{"dmem", "mps-v3", "mps-v2", "guard", "none"};
constexpr std::array<std::string_view, 3> kHealths{"ok", "unhealthy", "lost"};
constexpr std::array<std::string_view, 3> kHolderKinds{"vm", "reservation", "container"};

/// Shorter starts of a UUID are too likely to be a slip.
constexpr std::size_t kMinUuidPrefix = 8;

template <typename Enum, std::size_t N>
bool lookUp(const std::array<std::string_view, N>& names, std::string_view name, Enum& out) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return false;
  out = static_cast<Enum>(found - names.begin());
  return true;
}

const Gpu* findByIndex(const State& state, std::int64_t index) {
  const auto found = std::ranges::find_if(state.gpus, [index](const Gpu& gpu) { return gpu.index == index; });
  return found == state.gpus.end() ? nullptr : &*found;
}

const Gpu* findByUuidPrefix(const State& state, std::string_view prefix) {
  const Gpu* match = nullptr;
  for (const Gpu& gpu : state.gpus) {
    if (!gpu.uuid.value.starts_with(prefix)) continue;
    if (match != nullptr) return nullptr;  // Not unique.
    match = &gpu;
  }
  return match;
}

}  // namespace

std::string_view name(OwnerKind kind) { return kOwnerKinds.at(static_cast<std::size_t>(kind)); }
std::string_view name(Mode mode) { return kModes.at(static_cast<std::size_t>(mode)); }
std::string_view name(Rung rung) { return kRungs.at(static_cast<std::size_t>(rung)); }
std::string_view name(Health health) { return kHealths.at(static_cast<std::size_t>(health)); }
std::string_view name(HolderKind kind) { return kHolderKinds.at(static_cast<std::size_t>(kind)); }

bool fromName(std::string_view name, OwnerKind& out) { return lookUp(kOwnerKinds, name, out); }
bool fromName(std::string_view name, Mode& out) { return lookUp(kModes, name, out); }
bool fromName(std::string_view name, Rung& out) { return lookUp(kRungs, name, out); }
bool fromName(std::string_view name, Health& out) { return lookUp(kHealths, name, out); }
bool fromName(std::string_view name, HolderKind& out) { return lookUp(kHolderKinds, name, out); }

const Gpu* findGpu(const State& state, const GpuUuid& uuid) {
  const auto found = std::ranges::find(state.gpus, uuid, &Gpu::uuid);
  return found == state.gpus.end() ? nullptr : &*found;
}

Gpu* findGpu(State& state, const GpuUuid& uuid) {
  const auto found = std::ranges::find(state.gpus, uuid, &Gpu::uuid);
  return found == state.gpus.end() ? nullptr : &*found;
}

const Gpu* findGpuByText(const State& state, std::string_view text) {
  if (const std::optional<std::int64_t> index = parseWholeNumber(text)) {
    if (const Gpu* gpu = findByIndex(state, *index)) return gpu;
  }
  for (const Gpu& gpu : state.gpus) {
    if (gpu.uuid.value == text || gpu.pci.value == text) return &gpu;
  }
  if (text.size() < kMinUuidPrefix) return nullptr;
  return findByUuidPrefix(state, text);
}

const Loan* loanOf(const State& state, const GpuUuid& uuid) {
  const auto found = std::ranges::find(state.loans, uuid, &Loan::gpu);
  return found == state.loans.end() ? nullptr : &*found;
}

std::vector<const Berth*> berthsOn(const State& state, const GpuUuid& uuid) {
  std::vector<const Berth*> berths;
  for (const Berth& berth : state.berths) {
    if (berth.gpu == uuid) berths.push_back(&berth);
  }
  return berths;
}

}  // namespace berth::ledger
