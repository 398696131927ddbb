// A simulated GPU's state as JSON, for `berth-sim status` and for tests.
#pragma once

#include <string>
#include <string_view>

#include "engine/gpu.h"

namespace berth::sim {

/// `text` as a JSON string, quotes included.
std::string jsonString(std::string_view text);

/// One object: index, uuid, pciBusId, name, profile, binding, lost, hung, computeMode, memory in bytes, load,
/// and the processes. The lock is held by the caller.
std::string statusJson(const StateFile& file, LockedGpu& gpu);

}  // namespace berth::sim
