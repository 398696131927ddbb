// Entry points that start the driver and make and destroy contexts. Names and arguments are NVIDIA's.
#include "guard/entry.h"
#include "guard/memory.h"

using namespace berth::guard;  // NOLINT(google-build-using-namespace): the entry points are not in it

namespace {

void setFlag(Process& process, std::uint32_t flag) noexcept {
  Slot& slot = process.usage->slots[process.slot];
  slot.flags.fetch_or(flag);
  slot.seen_ns.store(process.clock->now());
}

std::uint64_t freeBytes() noexcept {
  std::size_t free = 0;
  std::size_t total = 0;
  const CUresult result =
      callNext<CUresult (*)(std::size_t*, std::size_t*)>(Hook::cuMemGetInfo_v2, &free, &total);
  return result == CUDA_SUCCESS ? free : 0;
}

/// By how much the device's free memory shrinks with a context of the guard's own; 0 when the driver makes
/// none.
std::uint64_t costOfContext(CUdevice device) noexcept {
  CUcontext made = nullptr;
  const std::uint64_t before = freeBytes();
  using Create = CUresult (*)(CUcontext*, unsigned, CUdevice);
  if (callNext<Create>(Hook::cuCtxCreate_v2, &made, 0U, device) != CUDA_SUCCESS) return 0;
  const std::uint64_t after = freeBytes();
  callNext<CUresult (*)(CUcontext)>(Hook::cuCtxDestroy_v2, made);
  return before > after ? before - after : 0;
}

/// The container's first process measures what a context costs, inside of one of its own, because only there
/// the driver says what is free. Twice, and the lesser counts: another container may allocate meanwhile.
void measureContext(Process& process, std::uint32_t gpu, CUdevice device) noexcept {
  if (process.limitsOf(gpu).memory_bytes.load() == 0 || contextGranules(process, gpu) != 0) return;
  CUcontext outer = nullptr;
  using Create = CUresult (*)(CUcontext*, unsigned, CUdevice);
  if (callNext<Create>(Hook::cuCtxCreate_v2, &outer, 0U, device) != CUDA_SUCCESS) return;
  const std::uint64_t first = costOfContext(device);
  const std::uint64_t second = costOfContext(device);
  callNext<CUresult (*)(CUcontext)>(Hook::cuCtxDestroy_v2, outer);
  process.usage->gpu(gpu).context_bytes = first < second ? first : second;
}

/// A context costs memory too. It has its key in the table and dies with what was allocated in it.
template <typename Call>
CUresult createContext(Process& process, CUcontext* out, CUdevice device, Call call) noexcept {
  Wanted wanted{.kind = BufferKind::Context, .place = {}};
  if (const CUresult result = gpuOfDevice(process, device, wanted.place.gpu); result != CUDA_SUCCESS)
    return result;
  measureContext(process, wanted.place.gpu, device);
  wanted.granules = contextGranules(process, wanted.place.gpu);
  const auto make = [&](std::uint64_t& handle, std::uint64_t&) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) handle = reinterpret_cast<std::uint64_t>(*out);
    return result;
  };
  const auto undo = [](std::uint64_t handle) {
    callNext<CUresult (*)(std::uint64_t)>(Hook::cuCtxDestroy_v2, handle);
  };
  process.contexts_epoch.fetch_add(1);
  const CUresult result = makeCharged(process, wanted, make, undo);
  if (result == CUDA_SUCCESS) setFlag(process, kSlotHasContext);
  return result;
}

template <typename Call>
CUresult destroyContext(Process& process, CUcontext context, Call call) noexcept {
  const auto handle = reinterpret_cast<std::uint64_t>(context);
  const CUresult result = freeCharged(process, BufferKind::Context, handle, call);
  if (result == CUDA_SUCCESS) forgetContext(process, handle);
  return result;
}

/// Whether the device's primary context exists, as the driver says.
bool primaryIsActive(const Process& process, CUdevice device) noexcept {
  unsigned flags = 0;
  int active = 0;
  const auto ask = process.driver.primaryCtxGetState;
  return ask != nullptr && ask(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

void forgetPrimary(Process& process, CUdevice device) noexcept {
  if (device < 0 || static_cast<std::size_t>(device) >= kMaxDevices) return;
  const std::uint64_t context = process.primary[static_cast<std::size_t>(device)].exchange(0);
  if (context == 0) return;
  Buffer buffer;
  if (process.buffers.take(BufferKind::Context, context, buffer))
    giveBack(process, buffer.gpu, buffer.granules);
  forgetContext(process, context);
}

/// The first retain makes the context; later ones return the same.
template <typename Call>
CUresult retainPrimary(Process& process, CUcontext* out, CUdevice device, Call call) noexcept {
  if (primaryIsActive(process, device)) return call();
  const CUresult result = createContext(process, out, device, call);
  if (result == CUDA_SUCCESS) {
    process.primary[static_cast<std::size_t>(device)] = reinterpret_cast<std::uint64_t>(*out);
  }
  return result;
}

template <typename Call>
CUresult releasePrimary(Process& process, CUdevice device, bool reset, Call call) noexcept {
  const CUresult result = call();
  if (result == CUDA_SUCCESS && (reset || !primaryIsActive(process, device))) forgetPrimary(process, device);
  return result;
}

template <typename Call>
CUresult guardedCreate(CUcontext* out, CUdevice device, Call call) noexcept {
  return guarded(call, [&](Process& process) { return createContext(process, out, device, call); });
}

template <typename Call>
CUresult guardedRelease(CUdevice device, bool reset, Call call) noexcept {
  return guarded(call, [&](Process& process) { return releasePrimary(process, device, reset, call); });
}

}  // namespace

GUARD_EXPORT CUresult cuInit(unsigned flags) noexcept {
  const auto call = [&] { return NEXT(cuInit, flags); };
  return guarded(call, [&](Process& process) {
    setFlag(process, kSlotUsesDriver);
    return call();
  });
}

GUARD_EXPORT CUresult cuCtxCreate(CUcontext* out, unsigned flags, CUdevice device) noexcept {
  return guardedCreate(out, device, [&] { return NEXT(cuCtxCreate, out, flags, device); });
}
GUARD_EXPORT CUresult cuCtxCreate_v2(CUcontext* out, unsigned flags, CUdevice device) noexcept {
  return guardedCreate(out, device, [&] { return NEXT(cuCtxCreate_v2, out, flags, device); });
}
GUARD_EXPORT CUresult cuCtxCreate_v3(CUcontext* out, void* affinity, int count, unsigned flags,
                                     CUdevice device) noexcept {
  return guardedCreate(out, device,
                       [&] { return NEXT(cuCtxCreate_v3, out, affinity, count, flags, device); });
}
GUARD_EXPORT CUresult cuCtxCreate_v4(CUcontext* out, void* parameters, unsigned flags,
                                     CUdevice device) noexcept {
  return guardedCreate(out, device, [&] { return NEXT(cuCtxCreate_v4, out, parameters, flags, device); });
}
GUARD_EXPORT CUresult cuCtxDestroy(CUcontext context) noexcept {
  const auto call = [&] { return NEXT(cuCtxDestroy, context); };
  return guarded(call, [&](Process& process) { return destroyContext(process, context, call); });
}
GUARD_EXPORT CUresult cuCtxDestroy_v2(CUcontext context) noexcept {
  const auto call = [&] { return NEXT(cuCtxDestroy_v2, context); };
  return guarded(call, [&](Process& process) { return destroyContext(process, context, call); });
}

GUARD_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) noexcept {
  const auto call = [&] { return NEXT(cuDevicePrimaryCtxRetain, out, device); };
  return guarded(call, [&](Process& process) { return retainPrimary(process, out, device, call); });
}
GUARD_EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device) noexcept {
  return guardedRelease(device, false, [&] { return NEXT(cuDevicePrimaryCtxRelease, device); });
}
GUARD_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) noexcept {
  return guardedRelease(device, false, [&] { return NEXT(cuDevicePrimaryCtxRelease_v2, device); });
}
GUARD_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device) noexcept {
  return guardedRelease(device, true, [&] { return NEXT(cuDevicePrimaryCtxReset, device); });
}
GUARD_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) noexcept {
  return guardedRelease(device, true, [&] { return NEXT(cuDevicePrimaryCtxReset_v2, device); });
}
