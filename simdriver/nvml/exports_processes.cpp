// NVML: which processes use a device. Pids are as the caller's namespace knows them; a process that is in
// none of its namespaces is not listed. Several contexts of one process are one entry.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <type_traits>

#include "nvml/library.h"

using berth::sim::LockedGpu;
using berth::sim::SlotKind;
using berth::sim::StateFile;
using berth::sim::nvml::library;
using berth::sim::nvml::onGpu;

namespace {

struct Use {
  unsigned long long memory = 0;
  double utilisation = 0;
};

std::map<unsigned int, Use> usesOf(LockedGpu& gpu, bool mps_clients_only) {
  std::map<unsigned int, Use> uses;
  for (const auto& client : gpu.clients()) {
    if (client.pid <= 0 || (mps_clients_only && client.kind != SlotKind::MpsClient)) continue;
    Use& use = uses[static_cast<unsigned int>(client.pid)];
    use.memory += client.memory_bytes;
    use.utilisation += client.utilisation;
  }
  return uses;
}

template <typename Info>
nvmlReturn_t fill(const std::map<unsigned int, Use>& uses, unsigned int* count, Info* infos) {
  const unsigned int room = *count;
  *count = static_cast<unsigned int>(uses.size());
  if (uses.size() > room) return NVML_ERROR_INSUFFICIENT_SIZE;
  if (!uses.empty() && infos == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (const auto& [pid, use] : uses) {
    Info info{};
    info.pid = pid;
    info.usedGpuMemory = use.memory;
    if constexpr (std::is_same_v<Info, nvmlProcessInfo_v2_t>) {
      info.gpuInstanceId = NVML_NO_INSTANCE;
      info.computeInstanceId = NVML_NO_INSTANCE;
    }
    *infos++ = info;
  }
  return NVML_SUCCESS;
}

template <typename Info>
nvmlReturn_t processes(nvmlDevice_t device, unsigned int* count, Info* infos, bool mps_clients_only) {
  if (library().initialised() && count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device,
               [&](StateFile&, LockedGpu& gpu) { return fill(usesOf(gpu, mps_clients_only), count, infos); });
}

nvmlReturn_t noProcesses(nvmlDevice_t device, unsigned int* count) {
  if (library().initialised() && count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [&](StateFile&, LockedGpu&) {
    *count = 0;
    return NVML_SUCCESS;
  });
}

unsigned long long wallMicroseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<unsigned long long>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                  nvmlProcessInfo_v1_t* infos) {
  return processes(device, count, infos, false);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v2_t* infos) {
  return processes(device, count, infos, false);
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v3_t* infos) {
  return processes(device, count, infos, false);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                     nvmlProcessInfo_v1_t* infos) {
  return processes(device, count, infos, true);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                        nvmlProcessInfo_v2_t* infos) {
  return processes(device, count, infos, true);
}
nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                        nvmlProcessInfo_v3_t* infos) {
  return processes(device, count, infos, true);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t device, unsigned int* count,
                                                   nvmlProcessInfo_v1_t* /*infos*/) {
  return noProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t device, unsigned int* count,
                                                      nvmlProcessInfo_v2_t* /*infos*/) {
  return noProcesses(device, count);
}
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int* count,
                                                      nvmlProcessInfo_v3_t* /*infos*/) {
  return noProcesses(device, count);
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t* samples,
                                             unsigned int* count, unsigned long long last_seen) {
  if (library().initialised() && count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [&](StateFile&, LockedGpu& gpu) {
    const auto uses = usesOf(gpu, false);
    const unsigned long long now = wallMicroseconds();
    if (uses.empty() || last_seen >= now) {
      *count = 0;
      return NVML_ERROR_NOT_FOUND;
    }
    const unsigned int room = samples == nullptr ? 0 : *count;
    *count = static_cast<unsigned int>(uses.size());
    if (uses.size() > room) return NVML_ERROR_INSUFFICIENT_SIZE;
    for (const auto& [pid, use] : uses) {
      const auto load = static_cast<unsigned int>(std::lround(use.utilisation * 100));
      *samples++ =
          nvmlProcessUtilizationSample_t{pid, now, std::min(load, 100U), std::min(load, 100U) / 4, 0, 0};
    }
    return NVML_SUCCESS;
  });
}
}
