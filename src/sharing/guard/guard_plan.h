// Which containers have a guard, with which limits, and what to do about the files that are there: pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "guard/region_files.h"
#include "ledger/state.h"

namespace berth::sharing {

/// One GPU of a limited container, in the order the container sees them.
struct GuardedGpu {
  GpuUuid gpu;
  guard::GpuShare share;
  bool operator==(const GuardedGpu&) const = default;
};
using GuardedGpus = std::vector<GuardedGpu>;

/// What the guard enforces for these berths of one container. Memory shares always, for the container as a
/// whole (B14); compute shares where the guard is their rung. Empty: no share is stated, no guard is needed.
GuardedGpus guardedBy(const std::vector<ledger::Berth>& berths);

/// Region files as they are found; nullopt: damaged, or of another layout.
using PresentRegions = std::map<std::string, std::optional<GuardedGpus>>;

/// What brings the files to what is wanted.
struct RegionSteps {
  std::vector<std::string> set;      // Containers whose limits differ.
  std::vector<std::string> remove;   // Files of containers that are gone.
  std::vector<std::string> missing;  // Wanted, and not there or not usable: their limits cannot change.
  bool operator==(const RegionSteps&) const = default;
};

/// `wanted` holds the limited containers that run or are being started, by name.
RegionSteps planRegions(const std::map<std::string, GuardedGpus>& wanted, const PresentRegions& present);

/// guard::GpuFeedback::turn for each container's GPUs in order: turns one behind the other, by name, on a GPU
/// that several containers share by limits of the guard; 0 elsewhere.
std::map<std::string, std::vector<std::uint32_t>> turnsOf(
    const std::map<std::string, GuardedGpus>& containers);

}  // namespace berth::sharing
