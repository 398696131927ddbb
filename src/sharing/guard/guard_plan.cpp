#include "sharing/guard/guard_plan.h"

#include <algorithm>
#include <cstdint>

namespace berth::sharing {
namespace {

constexpr std::uint32_t kPermillePerPercent = 10;
constexpr unsigned kMiBShift = 20;

guard::GpuShare shareOf(const ledger::Berth& berth) {
  guard::GpuShare share;
  share.memory_bytes = static_cast<std::uint64_t>(berth.memory.value) << kMiBShift;
  if (berth.compute_rung == ledger::Rung::Guard) {
    share.compute_permille = static_cast<std::uint32_t>(berth.compute.value) * kPermillePerPercent;
  }
  return share;
}

/// The GPUs a container sees are fixed at its start; only their shares can differ.
bool sameGpus(const GuardedGpus& a, const GuardedGpus& b) {
  return std::ranges::equal(a, b, {}, &GuardedGpu::gpu, &GuardedGpu::gpu);
}

}  // namespace

GuardedGpus guardedBy(const std::vector<ledger::Berth>& berths) {
  const auto has_share = [](const ledger::Berth& berth) {
    return !berth.whole && (berth.compute.value > 0 || berth.memory.value > 0);
  };
  if (std::ranges::none_of(berths, has_share)) return {};
  GuardedGpus gpus;
  gpus.reserve(berths.size());
  for (const ledger::Berth& berth : berths) gpus.push_back({berth.gpu, shareOf(berth)});
  return gpus;
}

RegionSteps planRegions(const std::map<std::string, GuardedGpus>& wanted, const PresentRegions& present) {
  RegionSteps steps;
  for (const auto& [name, gpus] : wanted) {
    const auto found = present.find(name);
    if (found == present.end() || !found->second || !sameGpus(*found->second, gpus)) {
      steps.missing.push_back(name);
    } else if (*found->second != gpus) {
      steps.set.push_back(name);
    }
  }
  for (const auto& [name, gpus] : present) {
    if (!wanted.contains(name)) steps.remove.push_back(name);
  }
  return steps;
}

std::map<std::string, std::vector<std::uint32_t>> turnsOf(
    const std::map<std::string, GuardedGpus>& containers) {
  std::map<GpuUuid, int> sharers;
  for (const auto& [name, gpus] : containers) {
    for (const GuardedGpu& each : gpus) sharers[each.gpu] += each.share.compute_permille > 0 ? 1 : 0;
  }
  std::map<std::string, std::vector<std::uint32_t>> turns;
  std::map<GpuUuid, std::uint32_t> begins;
  for (const auto& [name, gpus] : containers) {
    for (const GuardedGpu& each : gpus) {
      const bool takes_turns = each.share.compute_permille > 0 && sharers[each.gpu] > 1;
      turns[name].push_back(takes_turns ? 1 + begins[each.gpu] : 0);
      begins[each.gpu] += each.share.compute_permille;
    }
  }
  return turns;
}

}  // namespace berth::sharing
