// What a simulated device says of itself: the answers of cuDeviceGetAttribute and the limits that launches
// and occupancy are checked against. Values of the compute capability's architecture.
#pragma once

#include <string_view>

#include "../engine/session.h"
#include "cuda_api.h"

namespace berth::sim::cu {

/// 0 for what the simulated device does not have.
int deviceAttribute(const VisibleGpu& gpu, unsigned attribute);
/// "GPU-01234567-89ab-..." as 16 bytes; digits that are missing are zero.
CUuuid uuidBytes(std::string_view text);

int maxThreadsPerSm(const Profile& profile);
int maxBlocksPerSm(const Profile& profile);
int maxSharedPerSm(const Profile& profile);
int maxSharedPerBlockOptIn(const Profile& profile);

}  // namespace berth::sim::cu
