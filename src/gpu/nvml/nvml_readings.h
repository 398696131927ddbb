// NVML's answers as our values: one function for each thing read.
#pragma once

#include <optional>
#include <vector>

#include "gpu/driver.h"
#include "gpu/nvml/nvml_library.h"

namespace berth::gpu::nvml {

// Errors are those of Library::check. What a GPU or an older driver does not tell is nullopt or 0; a lost GPU
// is an error whatever was being read.
Result<DriverInfo> readDriver(const Library& library);
Result<GpuInfo> readInfo(const Library& library, unsigned index);
Result<GpuSample> readSample(const Library& library, Device device, const GpuUuid& uuid);
/// Compute, graphics and MPS clients, one entry for each pid, in pid order.
Result<std::vector<GpuProcess>> readProcesses(const Library& library, Device device, const GpuUuid& uuid);
/// nullopt: an event of another kind, or of a GPU that cannot be named any more.
Result<std::optional<GpuEvent>> readEvent(const Library& library, const EventData& data);

}  // namespace berth::gpu::nvml
