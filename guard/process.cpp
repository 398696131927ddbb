#include "guard/process.h"

#include <cstring>

#include <unistd.h>

namespace berth::guard {
namespace {

constinit thread_local ThreadState t_state{};

/// 16 bytes as NVML writes them: GPU-00112233-4455-6677-8899-aabbccddeeff.
std::array<char, 48> textOf(const CUuuid& uuid) noexcept {
  constexpr const char* kDigits = "0123456789abcdef";
  std::array<char, 48> text{'G', 'P', 'U', '-'};
  std::size_t at = 4;
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
    text[at++] = kDigits[uuid.bytes[i] >> 4U];
    text[at++] = kDigits[uuid.bytes[i] & 15U];
  }
  return text;
}

CUresult askGpuOfDevice(const Process& process, CUdevice device, std::uint32_t& gpu) noexcept {
  CUuuid uuid{};
  if (process.driver.deviceGetUuid == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (const CUresult result = process.driver.deviceGetUuid(&uuid, device); result != CUDA_SUCCESS)
    return result;
  return gpuOfUuid(*process.limits, textOf(uuid).data(), gpu) ? CUDA_SUCCESS : CUDA_ERROR_NOT_PERMITTED;
}

State takeSlot(Process& process) noexcept {
  if (process.limits == nullptr || process.usage == nullptr) return State::Failed;
  Slots slots(*process.usage, *process.limits);
  switch (slots.claim(process.identity, process.slot)) {
    case Slots::Claim::Taken:
      return State::Ready;
    case Slots::Claim::AlreadyMine:
      return State::Passive;
    case Slots::Claim::Full:
      break;
  }
  return State::Failed;
}

}  // namespace

ThreadState& thread(const Process& process) noexcept {
  ThreadState& state = t_state;
  if (state.serial != process.serial) {
    state = {};
    state.serial = process.serial;
  }
  return state;
}

void start(Process& process, const LimitsRegion* limits, UsageRegion* usage, const Clock& clock) noexcept {
  process.limits = limits;
  process.usage = usage;
  process.clock = &clock;
  process.identity = self();
  process.serial = static_cast<std::uint32_t>(::getpid());
  const State state = takeSlot(process);
  if (state == State::Ready) process.first_counters = &process.counters(0);
  process.state.store(state, std::memory_order_release);
}

bool gpuOfUuid(const LimitsRegion& limits, const char* uuid, std::uint32_t& gpu) noexcept {
  for (std::uint32_t i = 0; i < limits.gpu_count; ++i) {
    if (std::strncmp(limits.gpus[i].uuid.data(), uuid, limits.gpus[i].uuid.size()) != 0) continue;
    gpu = i;
    return true;
  }
  return false;
}

CUresult gpuOfDevice(Process& process, CUdevice device, std::uint32_t& gpu) noexcept {
  if (device < 0 || static_cast<std::size_t>(device) >= kMaxDevices) return CUDA_ERROR_INVALID_DEVICE;
  std::atomic<std::uint32_t>& known = process.gpu_of[static_cast<std::size_t>(device)];
  if (const std::uint32_t index = known.load(std::memory_order_relaxed); index != 0) {
    gpu = index - 1;
    return CUDA_SUCCESS;
  }
  const CUresult result = askGpuOfDevice(process, device, gpu);
  if (result == CUDA_SUCCESS) known.store(gpu + 1, std::memory_order_relaxed);
  return result;
}

CUresult currentPlace(Process& process, Place& place) noexcept {
  CUcontext context = nullptr;
  if (process.driver.ctxGetCurrent == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (const CUresult result = process.driver.ctxGetCurrent(&context); result != CUDA_SUCCESS) return result;
  if (context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
  place.context = reinterpret_cast<std::uint64_t>(context);
  ThreadState& state = thread(process);
  const std::uint64_t epoch = process.contexts_epoch.load(std::memory_order_relaxed) + 1;
  if (state.context == context && state.epoch == epoch) {
    place.gpu = state.gpu;
    return CUDA_SUCCESS;
  }
  CUdevice device = 0;
  if (process.driver.ctxGetDevice == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (const CUresult result = process.driver.ctxGetDevice(&device); result != CUDA_SUCCESS) return result;
  if (const CUresult result = gpuOfDevice(process, device, place.gpu); result != CUDA_SUCCESS) return result;
  state.context = context;
  state.epoch = epoch;
  state.gpu = place.gpu;
  return CUDA_SUCCESS;
}

}  // namespace berth::guard
