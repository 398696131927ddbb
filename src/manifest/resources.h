// A container's `resources`: memory, CPUs, whole GPUs (A12) and shares of one (B14).
#pragma once

#include <vector>

#include "base/error.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// Reads limits and requests into `container`. A request for a GPU must equal its limit, as in Kubernetes;
/// other requests have no effect here. Refused: InvalidGpuCount, InvalidShare, ConflictingGpuRequest.
Result<void> readResources(const Value& resources, Container& container, std::vector<Warning>& warnings);

}  // namespace berth::manifest
