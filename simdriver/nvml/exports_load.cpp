// NVML: what a device does at the moment: memory, load, heat, power, clocks, modes, errors.
#include <algorithm>
#include <cmath>

#include <unistd.h>

#include "nvml/library.h"

using berth::sim::LockedGpu;
using berth::sim::StateFile;
using berth::sim::Status;
using berth::sim::nvml::get;
using berth::sim::nvml::library;
using berth::sim::nvml::onGpu;

namespace {

constexpr unsigned int kClockTypes = 4;
constexpr unsigned int kMemoryClock = 2;
constexpr unsigned int kVideoClock = 3;
constexpr unsigned int kComputeModes = 4;
constexpr unsigned int kSampleUs = 167'000;  // Sampling period that is told for the video engines.
constexpr unsigned long long kThrottleIdle = 0x1;
constexpr unsigned long long kThrottlePower = 0x4;
constexpr unsigned long long kThrottleThermal = 0x40;
constexpr unsigned int kSlowdownC = 93;
constexpr unsigned int kShutdownC = 96;
constexpr unsigned int kMaximumC = 85;

unsigned int percent(double share) { return static_cast<unsigned int>(std::lround(share * 100)); }

nvmlReturn_t clockOf(nvmlDevice_t device, unsigned int type, unsigned int* mhz, bool highest) {
  if (library().initialised() && type >= kClockTypes) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, mhz, [type, highest](StateFile& file, LockedGpu& gpu) {
    const auto telemetry = gpu.telemetry();
    const unsigned int sm = highest ? file.profile().sm_clock_mhz : telemetry.sm_clock_mhz;
    if (type == kMemoryClock) return highest ? file.profile().memory_clock_mhz : telemetry.memory_clock_mhz;
    return type == kVideoClock ? sm * 9 / 10 : sm;
  });
}

nvmlReturn_t videoUtilisation(nvmlDevice_t device, unsigned int* utilisation, unsigned int* sample_us) {
  if (library().initialised() && sample_us == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, utilisation, [sample_us](StateFile&, LockedGpu&) {
    *sample_us = kSampleUs;
    return 0;  // No video engines are simulated.
  });
}

/// A value that only root may change.
template <typename Fn>
nvmlReturn_t set(nvmlDevice_t device, bool valid, Fn&& fn) {
  if (library().initialised() && !valid) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [&](StateFile& file, LockedGpu& gpu) {
    if (::geteuid() != 0) return NVML_ERROR_NO_PERMISSION;
    fn(gpu.state().health);
    return file.saveHealth() == Status::Ok ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
  });
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  return get(device, memory, [](StateFile& file, LockedGpu& gpu) {
    return nvmlMemory_t{file.profile().memory_bytes, gpu.freeBytes(), gpu.usedBytes()};
  });
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  if (library().initialised() && memory != nullptr && memory->version != nvmlMemory_v2) {
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  }
  return get(device, memory, [](StateFile& file, LockedGpu& gpu) {
    return nvmlMemory_v2_t{nvmlMemory_v2, file.profile().memory_bytes, 0, gpu.freeBytes(), gpu.usedBytes()};
  });
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t* memory) {
  constexpr unsigned long long kBar1Bytes = 256ULL << 20U;
  constexpr unsigned long long kBar1Used = 2ULL << 20U;
  return get(device, memory, [](StateFile&, LockedGpu&) {
    return nvmlBAR1Memory_t{kBar1Bytes, kBar1Bytes - kBar1Used, kBar1Used};
  });
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* utilisation) {
  return get(device, utilisation, [](StateFile&, LockedGpu& gpu) {
    const double load = gpu.telemetry().utilisation;
    return nvmlUtilization_t{percent(load), percent(load / 4)};
  });
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int* utilisation,
                                             unsigned int* sample_us) {
  return videoUtilisation(device, utilisation, sample_us);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int* utilisation,
                                             unsigned int* sample_us) {
  return videoUtilisation(device, utilisation, sample_us);
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned int sensor, unsigned int* celsius) {
  if (library().initialised() && sensor != 0) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, celsius, [](StateFile&, LockedGpu& gpu) { return gpu.telemetry().temperature_c; });
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, unsigned int kind,
                                               unsigned int* celsius) {
  constexpr unsigned int kThresholds[] = {kShutdownC, kSlowdownC, kSlowdownC, kMaximumC};
  if (library().initialised() && kind > 7) return NVML_ERROR_INVALID_ARGUMENT;
  if (library().initialised() && kind > 3) return NVML_ERROR_NOT_SUPPORTED;
  return get(device, celsius, [&](StateFile&, LockedGpu&) { return kThresholds[kind]; });
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int* speed) {
  if (library().initialised() && speed == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [](StateFile&, LockedGpu&) { return NVML_ERROR_NOT_SUPPORTED; });  // Passive cards.
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int* milliwatts) {
  return get(device, milliwatts, [](StateFile&, LockedGpu& gpu) { return gpu.telemetry().power_mw; });
}

nvmlReturn_t nvmlDeviceGetPowerManagementMode(nvmlDevice_t device, unsigned int* mode) {
  return get(device, mode, [](StateFile&, LockedGpu&) { return 1; });
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  return get(device, milliwatts, [](StateFile& file, LockedGpu&) { return file.profile().power_limit_mw; });
}

nvmlReturn_t nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  return nvmlDeviceGetPowerManagementLimit(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int* milliwatts) {
  return nvmlDeviceGetPowerManagementLimit(device, milliwatts);
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long* millijoules) {
  return get(device, millijoules, [](StateFile&, LockedGpu& gpu) { return gpu.telemetry().energy_mj; });
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned int type, unsigned int* mhz) {
  return clockOf(device, type, mhz, false);
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned int type, unsigned int* mhz) {
  return clockOf(device, type, mhz, true);
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, unsigned int* state) {
  return get(device, state, [](StateFile&, LockedGpu& gpu) { return gpu.telemetry().performance_state; });
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long* reasons) {
  return get(device, reasons, [](StateFile&, LockedGpu& gpu) {
    const auto telemetry = gpu.telemetry();
    if (telemetry.temperature_c >= kSlowdownC) return kThrottleThermal;
    if (telemetry.utilisation <= 0) return kThrottleIdle;
    return telemetry.utilisation > 0.95 ? kThrottlePower : 0ULL;
  });
}

nvmlReturn_t nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device, unsigned long long* reasons) {
  return get(device, reasons,
             [](StateFile&, LockedGpu&) { return kThrottleIdle | kThrottlePower | kThrottleThermal; });
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long* reasons) {
  return nvmlDeviceGetCurrentClocksThrottleReasons(device, reasons);
}

nvmlReturn_t nvmlDeviceGetSupportedClocksEventReasons(nvmlDevice_t device, unsigned long long* reasons) {
  return nvmlDeviceGetSupportedClocksThrottleReasons(device, reasons);
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, unsigned int counter, unsigned int* kib) {
  if (library().initialised() && counter > 1) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, kib, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned int* mode) {
  return get(device, mode, [](StateFile&, LockedGpu& gpu) {
    return std::min(gpu.state().health.compute_mode, kComputeModes - 1);
  });
}

nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t device, unsigned int mode) {
  return set(device, mode < kComputeModes, [mode](auto& health) { health.compute_mode = mode; });
}

nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t device, unsigned int* mode) {
  return get(device, mode,
             [](StateFile&, LockedGpu& gpu) { return gpu.state().health.persistence != 0 ? 1 : 0; });
}

nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t device, unsigned int mode) {
  return set(device, mode < 2, [mode](auto& health) { health.persistence = mode; });
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned int* current, unsigned int* pending) {
  if (library().initialised() && pending == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, current, [pending](StateFile&, LockedGpu&) {
    *pending = 1;
    return 1;
  });
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, unsigned int error_type,
                                         unsigned int counter_type, unsigned long long* count) {
  if (library().initialised() && (error_type > 1 || counter_type > 1)) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, count, [error_type](StateFile&, LockedGpu& gpu) {
    const auto& health = gpu.state().health;
    return error_type == 0 ? health.ecc_corrected : health.ecc_uncorrected;
  });
}

nvmlReturn_t nvmlDeviceGetDisplayMode(nvmlDevice_t device, unsigned int* mode) {
  return get(device, mode, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t device, unsigned int* active) {
  return get(device, active, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceValidateInforom(nvmlDevice_t device) {
  return onGpu(device, [](StateFile&, LockedGpu&) { return NVML_SUCCESS; });
}
}
