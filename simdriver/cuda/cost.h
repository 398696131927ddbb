// What work costs on the simulated GPU: pure functions from a profile and a request to the engine's Work.
// The constants are part of docs/formats/simdriver-kernels.md.
#pragma once

#include <array>
#include <cstdint>

#include "../engine/session.h"
#include "ptx.h"

namespace berth::sim::cu {

using Extent = std::array<unsigned, 3>;

/// What a thread of a kernel without a hint does.
inline constexpr double kDefaultFlopPerThread = 64;
/// No launch is over sooner than this.
inline constexpr double kLaunchFloorNs = 2'000;
/// PCIe 3.0 x16 as a pinned copy sees it, bytes per nanosecond.
inline constexpr double kHostLinkBytesPerNs = 12;
/// What starting a copy costs.
inline constexpr double kCopyFloorNs = 1'500;
/// Floating-point operations of one body on another, as NVIDIA's sample counts them.
inline constexpr double kFlopPerInteraction = 20;

/// Bytes per nanosecond of the device's memory: two transfers a clock over the whole bus.
double memoryBandwidth(const Profile& profile);

/// A launch of a kernel that the driver does not know, by its size and hint.
Work kernelWork(const Profile& profile, const CostHint& hint, const Extent& grid, const Extent& block);
/// A launch of the n-body kernel over `bodies` bodies.
Work nbodyWork(const Profile& profile, std::uint64_t bodies, const Extent& grid);
/// A copy or fill. `host_side`: one end is host memory.
Work copyWork(const Profile& profile, std::uint64_t bytes, bool host_side);

}  // namespace berth::sim::cu
