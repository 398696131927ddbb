// Entry points of NVML whose numbers are to be the container's: memory, and who uses it. Names and arguments
// are NVIDIA's; the driver's answer is asked for first, for its errors.
#include <algorithm>

#include "guard/entry.h"
#include "guard/memory.h"

using namespace berth::guard;  // NOLINT(google-build-using-namespace): the entry points are not in it

namespace {

constexpr std::size_t kUuidText = 96;  // NVML_DEVICE_UUID_V2_BUFFER_SIZE

bool gpuOf(Process& process, nvmlDevice_t device, std::uint32_t& gpu) noexcept {
  char uuid[kUuidText] = {};
  const auto ask = process.driver.nvmlGetUuid;
  return ask != nullptr && ask(device, uuid, kUuidText) == NVML_SUCCESS &&
         gpuOfUuid(*process.limits, uuid, gpu);
}

template <typename Fn, typename... Args>
nvmlReturn_t callNvml(Hook hook, Args... args) noexcept {
  const auto next = reinterpret_cast<Fn>(nextOf(hook));
  return next != nullptr ? next(args...) : NVML_ERROR_NOT_SUPPORTED;
}

/// work(process, gpu) after the driver's answer was good; its answer alone for a GPU that was not granted.
template <typename Call, typename Work>
nvmlReturn_t guardedNvml(nvmlDevice_t device, Call call, Work work) noexcept {
  Process* process = readyForNvml();
  if (process == nullptr) return isPassive() ? call() : NVML_ERROR_NO_PERMISSION;
  const Inside inside(thread(*process));
  const nvmlReturn_t result = call();
  std::uint32_t gpu = 0;
  if (!inside.outermost || !gpuOf(*process, device, gpu)) return result;
  return work(*process, gpu, result);
}

template <typename Memory>
void showMemory(Process& process, std::uint32_t gpu, Memory& memory) noexcept {
  if (process.limitsOf(gpu).memory_bytes.load() == 0) return;
  std::uint64_t free = memory.free;
  std::uint64_t total = memory.total;
  showShare(process, gpu, free, total);
  memory.free = free;
  memory.total = total;
  memory.used = total - free;
}

nvmlProcessInfo_v1_t entryOf(std::uint32_t pid, std::uint64_t bytes, const nvmlProcessInfo_v1_t*) noexcept {
  return {pid, bytes};
}
nvmlProcessInfo_v2_t entryOf(std::uint32_t pid, std::uint64_t bytes, const nvmlProcessInfo_v2_t*) noexcept {
  return {pid, bytes, NVML_NO_INSTANCE, NVML_NO_INSTANCE};
}

/// The container's processes with memory on the GPU, as their slots have it: NVML's own list shows
/// everyone's, with pids that mean nothing here.
template <typename Info>
nvmlReturn_t listProcesses(Process& process, std::uint32_t gpu, unsigned* count, Info* infos) noexcept {
  Slots(*process.usage, *process.limits).reap(process.identity);
  const unsigned room = infos != nullptr ? *count : 0;
  const std::uint32_t end = std::min(process.usage->header.slots_end.load(), kMaxProcesses);
  unsigned found = 0;
  for (std::uint32_t i = 0; i < end; ++i) {
    const std::uint64_t owner = process.usage->slots[i].owner.load();
    const std::uint64_t granules = process.accounting(gpu).usedBy(i);
    if (owner == 0 || granules == 0) continue;
    if (found < room) infos[found] = entryOf(SlotOwner::of(owner).pid, granules * kGranule, infos);
    ++found;
  }
  const bool fits = found <= *count && (infos != nullptr || found == 0);
  *count = found;
  return fits ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

enum class List : std::uint8_t { Ours, Empty };

template <typename Info, typename Call>
nvmlReturn_t showProcesses(List list, nvmlDevice_t device, unsigned* count, Info* infos, Call call) noexcept {
  const unsigned room = count != nullptr ? *count : 0;
  return guardedNvml(device, call, [&](Process& process, std::uint32_t gpu, nvmlReturn_t result) {
    if (count == nullptr || (result != NVML_SUCCESS && result != NVML_ERROR_INSUFFICIENT_SIZE)) return result;
    *count = room;
    if (list == List::Ours) return listProcesses(process, gpu, count, infos);
    *count = 0;
    return NVML_SUCCESS;
  });
}

}  // namespace

GUARD_EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) noexcept {
  const auto call = [&] {
    return callNvml<decltype(&::nvmlDeviceGetMemoryInfo)>(Hook::nvmlDeviceGetMemoryInfo, device, memory);
  };
  return guardedNvml(device, call, [&](Process& process, std::uint32_t gpu, nvmlReturn_t result) {
    if (result == NVML_SUCCESS) showMemory(process, gpu, *memory);
    return result;
  });
}
GUARD_EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) noexcept {
  const auto call = [&] {
    return callNvml<decltype(&::nvmlDeviceGetMemoryInfo_v2)>(Hook::nvmlDeviceGetMemoryInfo_v2, device,
                                                             memory);
  };
  return guardedNvml(device, call, [&](Process& process, std::uint32_t gpu, nvmlReturn_t result) {
    if (result != NVML_SUCCESS) return result;
    showMemory(process, gpu, *memory);
    if (process.limitsOf(gpu).memory_bytes.load() != 0)
      memory->reserved = 0;  // The driver's, not the container's
    return result;
  });
}

#define PROCESS_LIST(name, Info, list)                                                                   \
  GUARD_EXPORT nvmlReturn_t name(nvmlDevice_t device, unsigned* count, Info* infos) noexcept {           \
    return showProcesses(list, device, count, infos,                                                     \
                         [&] { return callNvml<decltype(&::name)>(Hook::name, device, count, infos); }); \
  }
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t, List::Ours)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, List::Ours)
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_v3_t, List::Ours)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t, List::Empty)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t, List::Empty)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_v3_t, List::Empty)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t, List::Empty)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, List::Empty)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_v3_t, List::Empty)
