// NVML: what a device is. Constant, as far as a device is.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "nvml/library.h"

using berth::sim::LockedGpu;
using berth::sim::Profile;
using berth::sim::StateFile;
using berth::sim::nvml::copyText;
using berth::sim::nvml::get;
using berth::sim::nvml::library;
using berth::sim::nvml::onGpu;

namespace {

constexpr unsigned int kBrandTesla = 2;
constexpr unsigned int kBrandNvidia = 14;
constexpr unsigned int kArchitectureUnknown = 0xFFFFFFFF;
constexpr unsigned int kPcieWidth = 16;
constexpr unsigned int kTopologySystem = 50;

unsigned int architecture(const Profile& profile) {
  const int capability = profile.compute_major * 10 + profile.compute_minor;
  if (capability == 70 || capability == 72) return 5;  // Volta
  if (capability == 75) return 6;                      // Turing
  if (capability == 89) return 8;                      // Ada
  if (profile.compute_major == 8) return 7;            // Ampere
  if (profile.compute_major == 9) return 9;            // Hopper
  return kArchitectureUnknown;
}

unsigned int pcieGeneration(const Profile& profile) {
  if (profile.compute_major >= 9) return 5;
  return profile.compute_major == 8 ? 4 : 3;
}

struct PciPlace {
  unsigned int domain = 0;
  unsigned int bus = 0;
  unsigned int device = 0;
};

PciPlace placeOf(const StateFile& file) {
  PciPlace place;
  // The address was checked when the file was opened.
  if (std::sscanf(file.pciBusId().c_str(), "%8x:%2x:%2x", &place.domain, &place.bus, &place.device) != 3) {
    return {};
  }
  return place;
}

/// With a domain of four digits, as the older structs have it.
std::string legacyBusId(const StateFile& file) { return file.pciBusId().substr(4); }

template <std::size_t Size>
void put(char (&field)[Size], const std::string& text) {
  std::memset(field, 0, Size);
  std::memcpy(field, text.data(), std::min(text.size(), Size - 1));
}

template <typename Fn>
nvmlReturn_t getText(nvmlDevice_t device, char* out, unsigned int length, Fn&& fn) {
  if (library().initialised() && (out == nullptr || length == 0)) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [&](StateFile& file, LockedGpu&) { return copyText(fn(file), out, length); });
}

template <typename Info, typename Fn>
nvmlReturn_t getPci(nvmlDevice_t device, Info* info, Fn&& fill) {
  if (library().initialised() && info == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(device, [&](StateFile& file, LockedGpu&) {
    const PciPlace place = placeOf(file);
    info->domain = place.domain;
    info->bus = place.bus;
    info->device = place.device;
    info->pciDeviceId = file.profile().pci_device_id;
    info->pciSubSystemId = file.profile().pci_subsystem_id;
    fill(file);
    return NVML_SUCCESS;
  });
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned int length) {
  return getText(device, name, length, [](const StateFile& file) { return file.profile().name; });
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned int length) {
  return getText(device, uuid, length, [](const StateFile& file) { return file.uuid(); });
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char* serial, unsigned int length) {
  return getText(device, serial, length, [](const StateFile& file) { return file.serial(); });
}

nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char* version, unsigned int length) {
  return getText(device, version, length, [](const StateFile&) { return std::string("90.04.38.00.03"); });
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int* index) {
  return get(device, index, [device](StateFile&, LockedGpu&) {
    const auto devices = library().devices();
    return std::find(devices.begin(), devices.end(), device) - devices.begin();
  });
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int* minor_number) {
  return get(device, minor_number, [](StateFile& file, LockedGpu&) { return file.index(); });
}

nvmlReturn_t nvmlDeviceGetBrand(nvmlDevice_t device, unsigned int* brand) {
  return get(device, brand, [](StateFile& file, LockedGpu&) {
    return file.profile().name.starts_with("Tesla") ? kBrandTesla : kBrandNvidia;
  });
}

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned int* value) {
  return get(device, value, [](StateFile& file, LockedGpu&) { return architecture(file.profile()); });
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major_version, int* minor_version) {
  if (library().initialised() && (major_version == nullptr || minor_version == nullptr)) {
    return NVML_ERROR_INVALID_ARGUMENT;
  }
  return onGpu(device, [&](StateFile& file, LockedGpu&) {
    *major_version = file.profile().compute_major;
    *minor_version = file.profile().compute_minor;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned int* cores) {
  return get(device, cores, [](StateFile& file, LockedGpu&) {
    const bool wide = file.profile().compute_major >= 9 || file.profile().compute_minor >= 6;
    return file.profile().sm_count * (wide && file.profile().compute_major >= 8 ? 128U : 64U);
  });
}

nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t device, unsigned int* bits) {
  return get(device, bits, [](StateFile& file, LockedGpu&) { return file.profile().memory_bus_bits; });
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_v2_t* info) {
  return getPci(device, info, [info](const StateFile& file) { put(info->busId, legacyBusId(file)); });
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_v2_t* info) {
  return nvmlDeviceGetPciInfo(device, info);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_v3_t* info) {
  return getPci(device, info, [info](const StateFile& file) {
    put(info->busIdLegacy, legacyBusId(file));
    put(info->busId, file.pciBusId());
  });
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned int* generation) {
  return get(device, generation, [](StateFile& file, LockedGpu&) { return pcieGeneration(file.profile()); });
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned int* generation) {
  return get(device, generation, [](StateFile& file, LockedGpu& gpu) {
    return gpu.telemetry().utilisation > 0 ? pcieGeneration(file.profile()) : 1U;
  });
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned int* width) {
  return get(device, width, [](StateFile&, LockedGpu&) { return kPcieWidth; });
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned int* width) {
  return nvmlDeviceGetMaxPcieLinkWidth(device, width);
}

nvmlReturn_t nvmlDeviceGetMultiGpuBoard(nvmlDevice_t device, unsigned int* multi) {
  return get(device, multi, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int* is_mig) {
  return get(device, is_mig, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int* count) {
  return get(device, count, [](StateFile&, LockedGpu&) { return 0; });
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device, nvmlDevice_t other,
                                                 unsigned int* level) {
  if (library().initialised() && !library().knows(other)) return NVML_ERROR_INVALID_ARGUMENT;
  return get(device, level, [](StateFile&, LockedGpu&) { return kTopologySystem; });
}
}
