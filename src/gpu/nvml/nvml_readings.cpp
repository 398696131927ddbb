#include "gpu/nvml/nvml_readings.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include <string.h>

#include "gpu/pci.h"

namespace berth::gpu::nvml {
namespace {

constexpr std::size_t kFirstProcesses = 64;
constexpr std::size_t kMaxProcesses = 16384;
constexpr std::chrono::seconds kUtilizationWindow{2};

template <std::size_t N>
std::string textOf(const std::array<char, N>& buffer) {
  return {buffer.data(), ::strnlen(buffer.data(), N)};
}

/// Calls a reader that an older driver may lack.
template <typename Fn, typename... Args>
Return ask(Fn function, Args... args) {
  return function == nullptr ? kFunctionNotFound : function(args...);
}

/// nullopt for a reading that this GPU does not give; an error only when the GPU is lost.
Result<std::optional<int>> optionalReading(const Library& library, Return code, unsigned value,
                                           const char* call, const GpuUuid& uuid) {
  if (code == kSuccess) return std::optional<int>(static_cast<int>(value));
  if (code == kGpuIsLost) return fail(library.check(code, call, uuid.value).error());
  return std::optional<int>{};
}

Result<std::string> readText(const Library& library, ReadString function, const char* call, Device device,
                             const std::string& object) {
  std::array<char, kStringSize> buffer{};
  TRY_VOID(library.check(function(device, buffer.data(), kStringSize), call, object));
  return textOf(buffer);
}

ComputeMode modeOf(int raw) {
  if (raw == kComputeDefault) return ComputeMode::Default;
  if (raw == kComputeProhibited) return ComputeMode::Prohibited;
  return ComputeMode::ExclusiveProcess;
}

Result<void> readMemory(const Library& library, Device device, const GpuUuid& uuid, GpuSample& sample) {
  // Version 1 counts what the driver keeps for itself as used, version 2 does not.
  MemoryV2 memory{};
  memory.version = kMemoryV2;
  if (ask(library.functions().nvmlDeviceGetMemoryInfo_v2, device, &memory) == kSuccess) {
    sample.memory_used_bytes = static_cast<std::int64_t>(memory.used);
    sample.memory_total_bytes = static_cast<std::int64_t>(memory.total);
    return {};
  }
  Memory old{};
  TRY_VOID(library.check(library.functions().nvmlDeviceGetMemoryInfo(device, &old), "nvmlDeviceGetMemoryInfo",
                         uuid.value));
  sample.memory_used_bytes = static_cast<std::int64_t>(old.used);
  sample.memory_total_bytes = static_cast<std::int64_t>(old.total);
  return {};
}

Result<void> readUtilization(const Library& library, Device device, const GpuUuid& uuid, GpuSample& sample) {
  Utilization rates{};
  const Return code = ask(library.functions().nvmlDeviceGetUtilizationRates, device, &rates);
  TRY(sample.utilization_percent,
      optionalReading(library, code, rates.gpu, "nvmlDeviceGetUtilizationRates", uuid));
  TRY(sample.memory_utilization_percent,
      optionalReading(library, code, rates.memory, "nvmlDeviceGetUtilizationRates", uuid));
  return {};
}

Result<void> readPowerAndHeat(const Library& library, Device device, const GpuUuid& uuid, GpuSample& sample) {
  const Functions& nvml = library.functions();
  unsigned value = 0;
  Return code = ask(nvml.nvmlDeviceGetTemperature, device, kTemperatureGpu, &value);
  TRY(sample.temperature_c, optionalReading(library, code, value, "nvmlDeviceGetTemperature", uuid));
  code = ask(nvml.nvmlDeviceGetPowerUsage, device, &value);
  TRY(sample.power_mw, optionalReading(library, code, value, "nvmlDeviceGetPowerUsage", uuid));
  code = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, device, &value);
  TRY(sample.power_limit_mw, optionalReading(library, code, value, "nvmlDeviceGetEnforcedPowerLimit", uuid));
  unsigned long long energy = 0;
  if (ask(nvml.nvmlDeviceGetTotalEnergyConsumption, device, &energy) == kSuccess) {
    sample.energy_mj = static_cast<std::int64_t>(energy);
  }
  return {};
}

Result<void> readClocks(const Library& library, Device device, const GpuUuid& uuid, GpuSample& sample) {
  const auto read = library.functions().nvmlDeviceGetClockInfo;
  unsigned value = 0;
  Return code = ask(read, device, kClockSm, &value);
  TRY(sample.sm_clock_mhz, optionalReading(library, code, value, "nvmlDeviceGetClockInfo", uuid));
  code = ask(read, device, kClockMemory, &value);
  TRY(sample.memory_clock_mhz, optionalReading(library, code, value, "nvmlDeviceGetClockInfo", uuid));
  return {};
}

/// Calls `read(count, buffer)` with growing buffers until everything fits. A kind of list that the GPU or the
/// driver does not have is an empty list.
template <typename Entry, typename Read>
Result<std::vector<Entry>> readList(const Library& library, const char* call, const GpuUuid& uuid,
                                    Read read) {
  for (std::size_t size = kFirstProcesses; size <= kMaxProcesses; size *= 4) {
    std::vector<Entry> entries(size);
    auto count = static_cast<unsigned>(size);
    const Return code = read(&count, entries.data());
    if (code == kInsufficientSize) continue;
    if (code == kNotSupported || code == kFunctionNotFound || code == kNotFound) return std::vector<Entry>{};
    TRY_VOID(library.check(code, call, uuid.value));
    entries.resize(std::min<std::size_t>(count, size));
    return entries;
  }
  return fail(ErrorCode::Io, std::string(call) + " on " + uuid.value + " names too many processes");
}

using ByPid = std::map<std::int64_t, GpuProcess>;

Result<void> addProcesses(const Library& library, Device device, const GpuUuid& uuid, ReadProcesses function,
                          const char* call, bool mps, ByPid& processes) {
  TRY(const std::vector<ProcessInfo> found,
      readList<ProcessInfo>(library, call, uuid, [&](unsigned* count, ProcessInfo* entries) {
        return ask(function, device, count, entries);
      }));
  for (const ProcessInfo& info : found) {
    GpuProcess& process = processes[info.pid];
    process.pid = info.pid;
    process.mps_client = process.mps_client || mps;
    if (info.used_gpu_memory == kValueNotAvailable) continue;
    process.memory_bytes = std::max(process.memory_bytes, static_cast<std::int64_t>(info.used_gpu_memory));
  }
  return {};
}

Result<void> addUtilization(const Library& library, Device device, const GpuUuid& uuid, ByPid& processes) {
  const auto since = std::chrono::system_clock::now().time_since_epoch() - kUtilizationWindow;
  const auto since_us =
      static_cast<unsigned long long>(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
  TRY(std::vector<ProcessUtilization> samples,
      readList<ProcessUtilization>(library, "nvmlDeviceGetProcessUtilization", uuid,
                                   [&](unsigned* count, ProcessUtilization* entries) {
                                     return ask(library.functions().nvmlDeviceGetProcessUtilization, device,
                                                entries, count, since_us);
                                   }));
  std::ranges::sort(samples, {}, &ProcessUtilization::time_stamp);
  for (const ProcessUtilization& sample : samples) {
    const auto process = processes.find(sample.pid);
    if (process != processes.end()) process->second.sm_percent = static_cast<int>(sample.sm_util);
  }
  return {};
}

}  // namespace

Result<DriverInfo> readDriver(const Library& library) {
  DriverInfo info;
  std::array<char, kStringSize> version{};
  TRY_VOID(library.check(library.functions().nvmlSystemGetDriverVersion(version.data(), kStringSize),
                         "nvmlSystemGetDriverVersion"));
  int cuda = 0;
  TRY_VOID(library.check(library.functions().nvmlSystemGetCudaDriverVersion_v2(&cuda),
                         "nvmlSystemGetCudaDriverVersion_v2"));
  info.driver_version = textOf(version);
  info.cuda_version = std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10);
  info.simulated = library.simulated();
  return info;
}

Result<GpuInfo> readInfo(const Library& library, unsigned index) {
  const Functions& nvml = library.functions();
  const std::string object = "GPU at index " + std::to_string(index);
  Device device = nullptr;
  TRY_VOID(library.check(nvml.nvmlDeviceGetHandleByIndex_v2(index, &device), "nvmlDeviceGetHandleByIndex_v2",
                         object));
  GpuInfo info;
  TRY(info.uuid.value, readText(library, nvml.nvmlDeviceGetUUID, "nvmlDeviceGetUUID", device, object));
  TRY(info.name, readText(library, nvml.nvmlDeviceGetName, "nvmlDeviceGetName", device, object));
  PciInfo pci{};
  TRY_VOID(library.check(nvml.nvmlDeviceGetPciInfo_v3(device, &pci), "nvmlDeviceGetPciInfo_v3", object));
  std::optional<PciAddress> address = parsePciAddress(textOf(pci.bus_id));
  if (!address) return fail(ErrorCode::Corrupt, object + " has no PCI address: " + textOf(pci.bus_id));
  info.pci = *std::move(address);
  info.pci_device_id = pci.pci_device_id;
  Memory memory{};
  TRY_VOID(library.check(nvml.nvmlDeviceGetMemoryInfo(device, &memory), "nvmlDeviceGetMemoryInfo", object));
  info.memory_bytes = static_cast<std::int64_t>(memory.total);
  unsigned minor = 0;
  if (ask(nvml.nvmlDeviceGetMinorNumber, device, &minor) == kSuccess) {
    info.minor_number = static_cast<int>(minor);
  }
  static_cast<void>(
      ask(nvml.nvmlDeviceGetCudaComputeCapability, device, &info.compute_major, &info.compute_minor));
  return info;
}

Result<GpuSample> readSample(const Library& library, Device device, const GpuUuid& uuid) {
  GpuSample sample;
  TRY_VOID(readMemory(library, device, uuid, sample));
  TRY_VOID(readUtilization(library, device, uuid, sample));
  TRY_VOID(readPowerAndHeat(library, device, uuid, sample));
  TRY_VOID(readClocks(library, device, uuid, sample));
  int mode = kComputeDefault;
  TRY_VOID(library.check(library.functions().nvmlDeviceGetComputeMode(device, &mode),
                         "nvmlDeviceGetComputeMode", uuid.value));
  sample.compute_mode = modeOf(mode);
  return sample;
}

Result<std::vector<GpuProcess>> readProcesses(const Library& library, Device device, const GpuUuid& uuid) {
  const Functions& nvml = library.functions();
  ByPid by_pid;
  TRY_VOID(addProcesses(library, device, uuid, nvml.nvmlDeviceGetComputeRunningProcesses_v3,
                        "nvmlDeviceGetComputeRunningProcesses_v3", false, by_pid));
  TRY_VOID(addProcesses(library, device, uuid, nvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
                        "nvmlDeviceGetGraphicsRunningProcesses_v3", false, by_pid));
  TRY_VOID(addProcesses(library, device, uuid, nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
                        "nvmlDeviceGetMPSComputeRunningProcesses_v3", true, by_pid));
  TRY_VOID(addUtilization(library, device, uuid, by_pid));
  std::vector<GpuProcess> processes;
  processes.reserve(by_pid.size());
  for (const auto& [pid, process] : by_pid) processes.push_back(process);
  return processes;
}

Result<std::optional<GpuEvent>> readEvent(const Library& library, const EventData& data) {
  const bool xid = data.event_type == kEventXidCritical;
  if (!xid && data.event_type != kEventDoubleBitEcc) return std::optional<GpuEvent>{};
  const Result<std::string> uuid =
      readText(library, library.functions().nvmlDeviceGetUUID, "nvmlDeviceGetUUID", data.device, "an event");
  if (!uuid) return std::optional<GpuEvent>{};
  return std::optional<GpuEvent>(
      {GpuUuid(*uuid), xid ? EventKind::Xid : EventKind::EccUncorrected, xid ? data.event_data : 0});
}

}  // namespace berth::gpu::nvml
