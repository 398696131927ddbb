// cuInit, versions, and what is known of a device before there is a context on it.
#include "device.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "entry.h"

namespace berth::sim::cu {
namespace {

constexpr int kMaxThreadsPerBlock = 1024;
constexpr int kWarp = 32;

struct PciAddress {
  unsigned domain = 0;
  unsigned bus = 0;
  unsigned device = 0;
};

PciAddress parsePci(const std::string& text) {
  PciAddress address;
  unsigned function = 0;
  if (std::sscanf(text.c_str(), "%x:%x:%x.%x", &address.domain, &address.bus, &address.device, &function) < 3)
    return {};
  return address;
}

int sharedPerSm(const Profile& profile) {
  if (profile.compute_major >= 9) return 233472;
  if (profile.compute_major == 8) return profile.compute_minor == 0 ? 167936 : 102400;
  return 65536;
}

int threadsPerSm(const Profile& profile) {
  if (profile.compute_major == 7 && profile.compute_minor == 5) return 1024;
  if (profile.compute_major == 8 && profile.compute_minor != 0) return 1536;
  return 2048;
}

int blocksPerSm(const Profile& profile) {
  if (profile.compute_major == 7 && profile.compute_minor == 5) return 16;
  if (profile.compute_major == 8 && profile.compute_minor == 6) return 16;
  if (profile.compute_major == 8 && profile.compute_minor == 9) return 24;
  return 32;
}

/// What depends on the device's place on the bus.
int pciAttribute(const VisibleGpu& gpu, unsigned attribute) {
  const PciAddress address = parsePci(gpu.pci_bus_id);
  if (attribute == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID) return static_cast<int>(address.bus);
  if (attribute == CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID) return static_cast<int>(address.device);
  return static_cast<int>(address.domain);
}

}  // namespace

int maxThreadsPerSm(const Profile& profile) { return threadsPerSm(profile); }
int maxBlocksPerSm(const Profile& profile) { return blocksPerSm(profile); }
int maxSharedPerSm(const Profile& profile) { return sharedPerSm(profile); }
int maxSharedPerBlockOptIn(const Profile& profile) {
  return profile.compute_major >= 8 ? sharedPerSm(profile) - 1024 : sharedPerSm(profile);
}

int deviceAttribute(const VisibleGpu& gpu, unsigned attribute) {
  const Profile& profile = gpu.profile;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y:
      return kMaxThreadsPerBlock;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z:
      return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X:
      return 2147483647;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z:
      return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK:
      return 49152;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      return kWarp;
    case CU_DEVICE_ATTRIBUTE_MAX_PITCH:
      return 2147483647;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR:
      return 65536;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
      return static_cast<int>(profile.sm_clock_mhz * 1000);
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
    case CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT:
      return 512;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT:
      return 32;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      return static_cast<int>(profile.sm_count);
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID:
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID:
      return pciAttribute(gpu, attribute);
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
      return static_cast<int>(profile.memory_clock_mhz * 1000);
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
      return static_cast<int>(profile.memory_bus_bits);
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE:
      return 4 << 20;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      return threadsPerSm(profile);
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      return 3;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      return profile.compute_major;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      return profile.compute_minor;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return sharedPerSm(profile);
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return maxSharedPerBlockOptIn(profile);
    case CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO:
      return profile.compute_minor == 0 ? 2 : 32;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR:
      return blocksPerSm(profile);
    case CU_DEVICE_ATTRIBUTE_GPU_OVERLAP:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH:
    case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS:
      return 1;
    default:
      return 0;
  }
}

namespace {

CUresult copyUuid(CUuuid* out, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *out = uuidBytes(device->gpu.uuid);
    return CUDA_SUCCESS;
  });
}

CUresult totalMemory(std::size_t* out, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *out = device->gpu.profile.memory_bytes;
    return CUDA_SUCCESS;
  });
}

/// "0000:3b:00.0" and "00000000:3B:00.0" name the same device; so does "3b:00.0".
bool samePci(const std::string& known, const char* asked) {
  PciAddress wanted;
  unsigned function = 0;
  if (std::sscanf(asked, "%x:%x:%x.%x", &wanted.domain, &wanted.bus, &wanted.device, &function) < 3) {
    wanted = {};
    if (std::sscanf(asked, "%x:%x.%x", &wanted.bus, &wanted.device, &function) < 2) return false;
  }
  const PciAddress address = parsePci(known);
  return address.domain == wanted.domain && address.bus == wanted.bus && address.device == wanted.device;
}

}  // namespace

CUuuid uuidBytes(std::string_view text) {
  CUuuid uuid{};
  if (text.substr(0, 4) == "GPU-") text.remove_prefix(4);
  std::size_t digits = 0;
  for (const char c : text) {
    unsigned value = 0;
    if (std::from_chars(&c, &c + 1, value, 16).ec != std::errc{}) continue;
    if (digits >= 2 * sizeof(uuid.bytes)) break;
    unsigned char& byte = uuid.bytes[digits / 2];
    byte = static_cast<unsigned char>((unsigned{byte} << 4U) | value);
    ++digits;
  }
  return uuid;
}

BERTH_CUDA_API cuInit(unsigned flags) {
  return contained([&]() -> CUresult {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (Driver::stopped()) return CUDA_ERROR_DEINITIALIZED;
    if (Driver::get() != nullptr) return CUDA_SUCCESS;
    return Driver::start(openEngine());
  });
}

BERTH_CUDA_API cuDriverGetVersion(int* version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = kDriverVersion;
  return CUDA_SUCCESS;
}

BERTH_CUDA_API cuDeviceGetCount(int* count) {
  return initialised([&](Driver& driver) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<int>(driver.deviceCount());
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGet(CUdevice* device, int ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(ordinal) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetName(char* name, int length, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, static_cast<std::size_t>(length), "%s", device->gpu.profile.name.c_str());
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetUuid(CUuuid* uuid, CUdevice device) { return copyUuid(uuid, device); }
BERTH_CUDA_API cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) { return copyUuid(uuid, device); }

BERTH_CUDA_API cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) { return totalMemory(bytes, device); }

BERTH_CUDA_API cuDeviceGetAttribute(int* value, unsigned attribute, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (value == nullptr || attribute == 0 || attribute >= CU_DEVICE_ATTRIBUTE_MAX)
      return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *value = deviceAttribute(device->gpu, attribute);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetProperties(CUdevprop* properties, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const auto of = [&](unsigned attribute) { return deviceAttribute(device->gpu, attribute); };
    *properties = {of(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
                   {of(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X), of(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y),
                    of(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z)},
                   {of(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X), of(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y),
                    of(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z)},
                   of(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK),
                   of(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
                   of(CU_DEVICE_ATTRIBUTE_WARP_SIZE),
                   of(CU_DEVICE_ATTRIBUTE_MAX_PITCH),
                   of(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
                   of(CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
                   of(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT)};
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceComputeCapability(int* major, int* minor, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *major = device->gpu.profile.compute_major;
    *minor = device->gpu.profile.compute_minor;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetPCIBusId(char* text, int length, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (text == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const PciAddress address = parsePci(device->gpu.pci_bus_id);
    std::snprintf(text, static_cast<std::size_t>(length), "%04X:%02X:%02X.0", address.domain, address.bus,
                  address.device);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetByPCIBusId(CUdevice* ordinal, const char* text) {
  return initialised([&](Driver& driver) -> CUresult {
    if (ordinal == nullptr || text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < static_cast<int>(driver.deviceCount()); ++i) {
      if (!samePci(driver.device(i)->gpu.pci_bus_id, text)) continue;
      *ordinal = i;
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_DEVICE;
  });
}

BERTH_CUDA_API cuDeviceGetLuid(char* luid, unsigned* mask, CUdevice) {
  // LUIDs are Windows'.
  if (luid == nullptr || mask == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return CUDA_ERROR_NOT_SUPPORTED;
}

BERTH_CUDA_API cuDeviceGetTexture1DLinearMaxWidth(std::size_t* width, unsigned, unsigned channels,
                                                  CUdevice device) {
  constexpr std::size_t kMaxElements = std::size_t{1} << 27;
  return initialised([&](Driver& driver) -> CUresult {
    if (width == nullptr || channels == 0) return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *width = kMaxElements / channels;
    return CUDA_SUCCESS;
  });
}

// Profilers attach by other ways; a program may still mark where it wants to be watched.
BERTH_CUDA_API cuProfilerStart() {
  return initialised([](Driver&) { return CUDA_SUCCESS; });
}
BERTH_CUDA_API cuProfilerStop() {
  return initialised([](Driver&) { return CUDA_SUCCESS; });
}

BERTH_CUDA_API cuDeviceCanAccessPeer(int* can_access, CUdevice from, CUdevice to) {
  return initialised([&](Driver& driver) -> CUresult {
    if (can_access == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(from) == nullptr || driver.device(to) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *can_access = from != to ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetP2PAttribute(int* value, unsigned attribute, CUdevice from, CUdevice to) {
  constexpr unsigned kAccessSupported = 2;
  constexpr unsigned kLast = 4;
  return initialised([&](Driver& driver) -> CUresult {
    if (value == nullptr || attribute == 0 || attribute > kLast) return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(from) == nullptr || driver.device(to) == nullptr || from == to)
      return CUDA_ERROR_INVALID_DEVICE;
    *value = attribute == kAccessSupported ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
