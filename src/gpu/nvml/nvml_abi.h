// The part of NVML's binary interface that Berth calls, declared here because Debian has no NVML header.
// Layouts and numbers are those of nvml.h of CUDA 12 (https://docs.nvidia.com/deploy/nvml-api/); the header
// renames functions by macro, so the names to look up are the versioned ones below. NVML keeps old versions.
#pragma once

#include <array>
#include <cstdint>

namespace berth::gpu::nvml {

using Return = int;
inline constexpr Return kSuccess = 0;
inline constexpr Return kUninitialized = 1;
inline constexpr Return kInvalidArgument = 2;
inline constexpr Return kNotSupported = 3;
inline constexpr Return kNoPermission = 4;
inline constexpr Return kNotFound = 6;
inline constexpr Return kInsufficientSize = 7;
inline constexpr Return kDriverNotLoaded = 9;
inline constexpr Return kTimeout = 10;
inline constexpr Return kLibraryNotFound = 12;
inline constexpr Return kFunctionNotFound = 13;
inline constexpr Return kGpuIsLost = 15;
inline constexpr Return kResetRequired = 16;
inline constexpr Return kLibRmVersionMismatch = 18;
inline constexpr Return kInUse = 19;
inline constexpr Return kGpuNotFound = 28;

struct DeviceObject;
using Device = DeviceObject*;
struct EventSetObject;
using EventSet = EventSetObject*;

inline constexpr unsigned kTemperatureGpu = 0;
inline constexpr unsigned kClockSm = 1;
inline constexpr unsigned kClockMemory = 2;
inline constexpr int kComputeDefault = 0;
inline constexpr int kComputeProhibited = 2;
inline constexpr int kComputeExclusiveProcess = 3;
inline constexpr unsigned long long kEventDoubleBitEcc = 0x2;
inline constexpr unsigned long long kEventXidCritical = 0x8;
inline constexpr unsigned long long kValueNotAvailable = ~0ULL;
inline constexpr unsigned kStringSize = 96;  // NVML_DEVICE_NAME_V2_BUFFER_SIZE and UUID_V2.

struct PciInfo {  // nvmlPciInfo_t, version 3
  std::array<char, 16> bus_id_legacy;
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned pci_device_id;
  unsigned pci_subsystem_id;
  std::array<char, 32> bus_id;
};
static_assert(sizeof(PciInfo) == 68);

struct Memory {  // nvmlMemory_t
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct MemoryV2 {  // nvmlMemory_v2_t
  unsigned version;
  unsigned long long total;
  unsigned long long reserved;
  unsigned long long free;
  unsigned long long used;
};
static_assert(sizeof(MemoryV2) == 40);
inline constexpr unsigned kMemoryV2 = sizeof(MemoryV2) | (2U << 24U);

struct Utilization {  // nvmlUtilization_t
  unsigned gpu;
  unsigned memory;
};

struct ProcessInfo {  // nvmlProcessInfo_v2_t, what the _v3 functions fill
  unsigned pid;
  unsigned long long used_gpu_memory;
  unsigned gpu_instance_id;
  unsigned compute_instance_id;
};
static_assert(sizeof(ProcessInfo) == 24);

struct ProcessUtilization {  // nvmlProcessUtilizationSample_t
  unsigned pid;
  unsigned long long time_stamp;  // Microseconds since the epoch.
  unsigned sm_util;
  unsigned mem_util;
  unsigned enc_util;
  unsigned dec_util;
};
static_assert(sizeof(ProcessUtilization) == 32);

struct EventData {  // nvmlEventData_t, version 2
  Device device;
  unsigned long long event_type;
  unsigned long long event_data;
  unsigned gpu_instance_id;
  unsigned compute_instance_id;
};
static_assert(sizeof(EventData) == 32);

using ReadUnsigned = Return (*)(Device, unsigned*);
using ReadString = Return (*)(Device, char*, unsigned);
using ReadProcesses = Return (*)(Device, unsigned* count, ProcessInfo*);

/// The functions, by their exported names. Those after `optional` may be null: an older driver lacks them.
struct Functions {
  Return (*nvmlInit_v2)();
  Return (*nvmlShutdown)();
  const char* (*nvmlErrorString)(Return);
  Return (*nvmlSystemGetDriverVersion)(char*, unsigned);
  Return (*nvmlSystemGetCudaDriverVersion_v2)(int*);
  Return (*nvmlDeviceGetCount_v2)(unsigned*);
  Return (*nvmlDeviceGetHandleByIndex_v2)(unsigned, Device*);
  Return (*nvmlDeviceGetHandleByUUID)(const char*, Device*);
  ReadString nvmlDeviceGetUUID;
  ReadString nvmlDeviceGetName;
  Return (*nvmlDeviceGetPciInfo_v3)(Device, PciInfo*);
  Return (*nvmlDeviceGetMemoryInfo)(Device, Memory*);
  Return (*nvmlDeviceGetComputeMode)(Device, int*);
  Return (*nvmlDeviceSetComputeMode)(Device, int);
  // optional
  Return (*nvmlDeviceGetPersistenceMode)(Device, int*);
  Return (*nvmlDeviceSetPersistenceMode)(Device, int);
  Return (*nvmlDeviceGetMemoryInfo_v2)(Device, MemoryV2*);
  Return (*nvmlDeviceGetCudaComputeCapability)(Device, int*, int*);
  ReadUnsigned nvmlDeviceGetMinorNumber;
  Return (*nvmlDeviceGetUtilizationRates)(Device, Utilization*);
  Return (*nvmlDeviceGetTemperature)(Device, unsigned sensor, unsigned*);
  ReadUnsigned nvmlDeviceGetPowerUsage;
  ReadUnsigned nvmlDeviceGetEnforcedPowerLimit;
  Return (*nvmlDeviceGetClockInfo)(Device, unsigned clock, unsigned*);
  Return (*nvmlDeviceGetTotalEnergyConsumption)(Device, unsigned long long*);
  ReadProcesses nvmlDeviceGetComputeRunningProcesses_v3;
  ReadProcesses nvmlDeviceGetGraphicsRunningProcesses_v3;
  ReadProcesses nvmlDeviceGetMPSComputeRunningProcesses_v3;
  Return (*nvmlDeviceGetProcessUtilization)(Device, ProcessUtilization*, unsigned* count,
                                            unsigned long long last_seen);
  Return (*nvmlEventSetCreate)(EventSet*);
  Return (*nvmlDeviceRegisterEvents)(Device, unsigned long long types, EventSet);
  Return (*nvmlEventSetWait_v2)(EventSet, EventData*, unsigned timeout_ms);
  Return (*nvmlEventSetFree)(EventSet);
};

}  // namespace berth::gpu::nvml
