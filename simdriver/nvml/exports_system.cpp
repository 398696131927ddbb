// NVML: initialisation, errors, versions, and finding a device.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <string>

#include "engine/driver_version.h"
#include "nvml/library.h"

using berth::sim::kCudaDriverVersion;
using berth::sim::kDriverVersion;
using berth::sim::kNvmlVersion;
using berth::sim::nvml::copyText;
using berth::sim::nvml::library;

namespace {

struct ErrorText {
  nvmlReturn_t code;
  const char* text;
};

constexpr ErrorText kErrors[] = {
    {NVML_SUCCESS, "The operation was successful"},
    {NVML_ERROR_UNINITIALIZED, "NVML was not first initialized with nvmlInit()"},
    {NVML_ERROR_INVALID_ARGUMENT, "A supplied argument is invalid"},
    {NVML_ERROR_NOT_SUPPORTED, "The requested operation is not available on target device"},
    {NVML_ERROR_NO_PERMISSION, "The current user does not have permission for operation"},
    {5, "Deprecated: Multiple initializations are now allowed through ref counting"},
    {NVML_ERROR_NOT_FOUND, "A query to find an object was unsuccessful"},
    {NVML_ERROR_INSUFFICIENT_SIZE, "An input argument is not large enough"},
    {8, "A device's external power cables are not properly attached"},
    {9, "NVIDIA driver is not loaded"},
    {NVML_ERROR_TIMEOUT, "User provided timeout passed"},
    {11, "NVIDIA Kernel detected an interrupt issue with a GPU"},
    {12, "NVML Shared Library couldn't be found or loaded"},
    {13, "Local version of NVML doesn't implement this function"},
    {14, "infoROM is corrupted"},
    {NVML_ERROR_GPU_IS_LOST, "The GPU has fallen off the bus or has otherwise become inaccessible"},
    {16, "The GPU requires a reset before it can be used again"},
    {17, "The GPU control device has been blocked by the operating system/cgroups"},
    {18, "RM detects a driver/library version mismatch"},
    {19, "An operation cannot be performed because the GPU is currently in use"},
    {NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "The provided version is invalid/unsupported"},
};

template <typename Fn>
nvmlReturn_t whenInitialised(Fn&& fn) {
  return library().initialised() ? fn() : NVML_ERROR_UNINITIALIZED;
}

template <typename Fn>
nvmlReturn_t findDevice(nvmlDevice_t* device, Fn&& matches) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (const nvmlDevice_t candidate : library().devices()) {
    if (!matches(*candidate->file)) continue;
    *device = candidate;
    return NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}

/// Lower case, domain of eight digits: "0000:3B:00.0" and "00000000:3b:00.0" are the same place.
std::string samePci(std::string address) {
  std::transform(address.begin(), address.end(), address.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  const std::size_t colon = address.find(':');
  const bool has_domain = colon != std::string::npos && address.find(':', colon + 1) != std::string::npos;
  if (!has_domain) address.insert(0, "0000:");
  const std::size_t digits = std::min<std::size_t>(address.find(':'), 8);
  return address.insert(0, 8 - digits, '0');
}

std::string processName(unsigned int pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  std::string name;
  std::ifstream command_line(folder + "/cmdline", std::ios::binary);
  std::getline(command_line, name, '\0');
  if (!name.empty()) return name;
  std::ifstream command(folder + "/comm");
  std::getline(command, name);
  return name;
}

}  // namespace

extern "C" {

// Not NVIDIA's: tells a program that looks for it that this driver is the simulated one.
extern const int berthSimulatedDriver;
const int berthSimulatedDriver = 1;

nvmlReturn_t nvmlInit() { return library().init(); }
nvmlReturn_t nvmlInit_v2() { return library().init(); }
nvmlReturn_t nvmlInitWithFlags(unsigned int /*flags*/) { return library().init(); }
nvmlReturn_t nvmlShutdown() { return library().shutdown(); }

const char* nvmlErrorString(nvmlReturn_t code) {
  for (const ErrorText& error : kErrors) {
    if (error.code == code) return error.text;
  }
  return "Unknown Error";
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  return whenInitialised([&] { return copyText(kDriverVersion, version, length); });
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char* version, unsigned int length) {
  return copyText(kNvmlVersion, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int* version) {
  if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *version = kCudaDriverVersion;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  return nvmlSystemGetCudaDriverVersion(version);
}

nvmlReturn_t nvmlSystemGetProcessName(unsigned int pid, char* name, unsigned int length) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (name == nullptr || length == 0) return NVML_ERROR_INVALID_ARGUMENT;
  const std::string found = processName(pid);
  if (found.empty()) return NVML_ERROR_NOT_FOUND;
  return copyText(found.substr(0, length - 1), name, length);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int* count) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *count = static_cast<unsigned int>(library().devices().size());
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int* count) { return nvmlDeviceGetCount_v2(count); }

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t* device) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  const auto devices = library().devices();
  if (device == nullptr || index >= devices.size()) return NVML_ERROR_INVALID_ARGUMENT;
  *device = devices[index];
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByIndex_v2(index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  if (library().initialised() && uuid == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return findDevice(device, [uuid](const auto& file) { return file.uuid() == uuid; });
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char* serial, nvmlDevice_t* device) {
  if (library().initialised() && serial == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return findDevice(device, [serial](const auto& file) { return file.serial() == serial; });
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* address, nvmlDevice_t* device) {
  if (library().initialised() && address == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return findDevice(device,
                    [address](const auto& file) { return samePci(file.pciBusId()) == samePci(address); });
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char* address, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByPciBusId_v2(address, device);
}
}
