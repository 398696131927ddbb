// Entry points that give and take device memory. Names and arguments are NVIDIA's.
#include "guard/entry.h"
#include "guard/memory.h"

using namespace berth::guard;  // NOLINT(google-build-using-namespace): the entry points are not in it

namespace {

/// Frees an address that could not be remembered.
auto freeing(Process& process) noexcept {
  return [&process](std::uint64_t pointer) {
    if (process.driver.memFree != nullptr) process.driver.memFree(pointer);
  };
}

template <typename Call>
CUresult allocateLinear(Process& process, CUdeviceptr* out, std::uint64_t bytes, Call call) noexcept {
  Wanted wanted{.kind = BufferKind::Memory, .place = {}, .granules = granulesOf(bytes)};
  if (const CUresult result = currentPlace(process, wanted.place); result != CUDA_SUCCESS) return result;
  const auto make = [&](std::uint64_t& handle, std::uint64_t&) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) handle = *out;
    return result;
  };
  return makeCharged(process, wanted, make, freeing(process));
}

template <typename Call>
CUresult allocatePitched(Process& process, CUdeviceptr* out, std::size_t* pitch, std::size_t width,
                         std::size_t height, Call call) noexcept {
  constexpr std::uint64_t kUsualPitch = 512;
  std::uint64_t bytes = 0;
  if (width > kMaxReservation ||
      __builtin_mul_overflow((width + kUsualPitch - 1) / kUsualPitch * kUsualPitch, height, &bytes)) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  Wanted wanted{.kind = BufferKind::Memory, .place = {}, .granules = granulesOf(bytes)};
  if (const CUresult result = currentPlace(process, wanted.place); result != CUDA_SUCCESS) return result;
  const auto make = [&](std::uint64_t& handle, std::uint64_t& granules) {
    const CUresult result = call();
    if (result != CUDA_SUCCESS) return result;
    handle = *out;
    granules = granulesOf(*pitch * height);
    return result;
  };
  return makeCharged(process, wanted, make, freeing(process));
}

/// From `pool`, or from the device's current one when it is null.
template <typename Call>
CUresult allocateFromPool(Process& process, CUdeviceptr* out, std::uint64_t bytes, CUmemoryPool pool,
                          CUstream stream, Call call) noexcept {
  if (isCaptured(process, stream)) {
    process.graph_memory = true;
    return call();
  }
  Place place;
  if (const CUresult result = currentPlace(process, place); result != CUDA_SUCCESS) return result;
  CUdevice device = 0;
  if (pool == nullptr && process.driver.deviceGetMemPool != nullptr &&
      process.driver.ctxGetDevice(&device) == CUDA_SUCCESS) {
    process.driver.deviceGetMemPool(&pool, device);
  }
  Pool* entry = pool != nullptr ? poolOf(process, pool, place.gpu) : nullptr;
  if (entry == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::uint64_t granules = granulesOf(bytes);
  if (const CUresult result = growPool(process, *entry, granules); result != CUDA_SUCCESS) return result;
  CUresult result = call();
  if (result == CUDA_SUCCESS) {
    const Buffer buffer{granules, place.gpu, 0, linkOf(process, *entry)};
    if (settlePool(process, *entry) && process.buffers.add(BufferKind::Memory, *out, buffer)) return result;
    if (process.driver.memFree != nullptr) process.driver.memFree(*out);
    result = CUDA_ERROR_OUT_OF_MEMORY;
  }
  shrinkPool(process, *entry, granules);
  return result;
}

template <typename Call>
CUresult afterWaiting(Call call) noexcept {
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    settlePools(process);
    return result;
  });
}

template <typename Call>
CUresult createArray(Process& process, BufferKind kind, void** out, std::uint64_t bytes, Call call) noexcept {
  Wanted wanted{.kind = kind, .place = {}, .granules = granulesOf(bytes)};
  if (const CUresult result = currentPlace(process, wanted.place); result != CUDA_SUCCESS) return result;
  const auto make = [&](std::uint64_t& handle, std::uint64_t&) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) handle = reinterpret_cast<std::uint64_t>(*out);
    return result;
  };
  const auto undo = [kind](std::uint64_t handle) {
    const Hook destroy = kind == BufferKind::Array ? Hook::cuArrayDestroy : Hook::cuMipmappedArrayDestroy;
    callNext<CUresult (*)(std::uint64_t)>(destroy, handle);
  };
  return makeCharged(process, wanted, make, undo);
}

template <typename Handle, typename Call>
CUresult destroyHandle(BufferKind kind, Handle handle, Call call) noexcept {
  return guarded(call, [&](Process& process) {
    return freeCharged(process, kind, reinterpret_cast<std::uint64_t>(handle), call);
  });
}

template <typename Call>
CUresult freePointer(CUdeviceptr pointer, Call call) noexcept {
  return guarded(call, [&](Process& process) { return freeMemory(process, pointer, call); });
}

std::uint64_t bytesOf(const CUDA_ARRAY_DESCRIPTOR* descriptor) noexcept {
  if (descriptor == nullptr) return 0;
  return arrayBytes(
      {descriptor->Width, descriptor->Height, 0, descriptor->Format, descriptor->NumChannels, 0}, 1);
}

std::uint64_t bytesOf(const CUDA_ARRAY3D_DESCRIPTOR* descriptor, unsigned levels = 1) noexcept {
  return descriptor != nullptr ? arrayBytes(*descriptor, levels) : 0;
}

/// What another process allocated: counted here, unless a process of this container counts it.
template <typename Call>
CUresult openIpc(Process& process, CUdeviceptr* out, const CUipcMemHandle& handle, Call call) noexcept {
  Place place;
  if (const CUresult result = currentPlace(process, place); result != CUDA_SUCCESS) return result;
  const CUresult result = call();
  if (result != CUDA_SUCCESS || isExported(process, handle)) return result;
  Buffer buffer;
  if (process.buffers.addToLink(BufferKind::Imported, *out, 1) != 0) return result;  // Opened before
  CUdeviceptr base = 0;
  std::size_t bytes = 0;
  const auto ask = process.driver.memGetAddressRange;
  if (ask == nullptr || ask(&base, &bytes, *out) != CUDA_SUCCESS) bytes = 0;
  buffer = {granulesOf(bytes), place.gpu, place.context, 1};
  const CUresult reserved = reserve(process, place.gpu, buffer.granules);
  if (reserved == CUDA_SUCCESS && process.buffers.add(BufferKind::Imported, *out, buffer)) return result;
  if (reserved == CUDA_SUCCESS) giveBack(process, place.gpu, buffer.granules);
  callNext<CUresult (*)(CUdeviceptr)>(Hook::cuIpcCloseMemHandle, *out);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

void closeIpc(Process& process, CUdeviceptr pointer) noexcept {
  Buffer buffer;
  if (!process.buffers.find(BufferKind::Imported, pointer, buffer)) return;
  if (process.buffers.addToLink(BufferKind::Imported, pointer, -1) != 0) return;
  if (process.buffers.take(BufferKind::Imported, pointer, buffer))
    giveBack(process, buffer.gpu, buffer.granules);
}

void showMemory(Process& process, std::uint32_t gpu, std::size_t* free, std::size_t* total) noexcept {
  std::uint64_t free_bytes = free != nullptr ? *free : 0;
  std::uint64_t total_bytes = *total;
  showShare(process, gpu, free_bytes, total_bytes);
  if (free != nullptr) *free = free_bytes;
  *total = total_bytes;
}

}  // namespace

// ---- Linear ----

GUARD_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t bytes) noexcept {
  const auto call = [&] { return NEXT(cuMemAlloc_v2, out, bytes); };
  return guarded(call, [&](Process& process) { return allocateLinear(process, out, bytes, call); });
}
GUARD_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr* out, std::size_t* pitch, std::size_t width,
                                         std::size_t height, unsigned element) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocPitch_v2, out, pitch, width, height, element); };
  return guarded(call,
                 [&](Process& process) { return allocatePitched(process, out, pitch, width, height, call); });
}
GUARD_EXPORT CUresult cuMemAllocManaged(CUdeviceptr* out, std::size_t bytes, unsigned flags) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocManaged, out, bytes, flags); };
  return guarded(call, [&](Process& process) { return allocateLinear(process, out, bytes, call); });
}
GUARD_EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) noexcept {
  return freePointer(pointer, [&] { return NEXT(cuMemFree_v2, pointer); });
}
// CUDA before 3.2 had addresses of 32 bits, which no memory of today fits: refused rather than counted.
GUARD_EXPORT CUresult cuMemAlloc(unsigned*, unsigned) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }
GUARD_EXPORT CUresult cuMemAllocPitch(unsigned*, unsigned*, unsigned, unsigned, unsigned) noexcept {
  return CUDA_ERROR_NOT_SUPPORTED;
}
GUARD_EXPORT CUresult cuMemFree(unsigned) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }
GUARD_EXPORT CUresult cuMemGetInfo(unsigned*, unsigned*) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }
GUARD_EXPORT CUresult cuDeviceTotalMem(unsigned*, CUdevice) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }
GUARD_EXPORT CUresult cuArrayCreate(CUarray*, const void*) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }
GUARD_EXPORT CUresult cuArray3DCreate(CUarray*, const void*) noexcept { return CUDA_ERROR_NOT_SUPPORTED; }

GUARD_EXPORT CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) noexcept {
  const auto call = [&] { return NEXT(cuMemGetInfo_v2, free, total); };
  return guarded(call, [&](Process& process) {
    Place place;
    if (const CUresult result = currentPlace(process, place); result != CUDA_SUCCESS) return result;
    const CUresult result = call();
    if (result == CUDA_SUCCESS) showMemory(process, place.gpu, free, total);
    return result;
  });
}
GUARD_EXPORT CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) noexcept {
  const auto call = [&] { return NEXT(cuDeviceTotalMem_v2, bytes, device); };
  return guarded(call, [&](Process& process) {
    std::uint32_t gpu = 0;
    const CUresult result = call();
    if (result == CUDA_SUCCESS && gpuOfDevice(process, device, gpu) == CUDA_SUCCESS) {
      showMemory(process, gpu, nullptr, bytes);
    }
    return result;
  });
}

// ---- Stream-ordered ----

GUARD_EXPORT CUresult cuMemAllocAsync(CUdeviceptr* out, std::size_t bytes, CUstream stream) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocAsync, out, bytes, stream); };
  return guarded(
      call, [&](Process& process) { return allocateFromPool(process, out, bytes, nullptr, stream, call); });
}
GUARD_EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr* out, std::size_t bytes, CUstream stream) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocAsync_ptsz, out, bytes, stream); };
  return guarded(call, [&](Process& process) {
    return allocateFromPool(process, out, bytes, nullptr, perThread(stream), call);
  });
}
GUARD_EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr* out, std::size_t bytes, CUmemoryPool pool,
                                              CUstream stream) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocFromPoolAsync, out, bytes, pool, stream); };
  return guarded(call,
                 [&](Process& process) { return allocateFromPool(process, out, bytes, pool, stream, call); });
}
GUARD_EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* out, std::size_t bytes, CUmemoryPool pool,
                                                   CUstream stream) noexcept {
  const auto call = [&] { return NEXT(cuMemAllocFromPoolAsync_ptsz, out, bytes, pool, stream); };
  return guarded(call, [&](Process& process) {
    return allocateFromPool(process, out, bytes, pool, perThread(stream), call);
  });
}
GUARD_EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) noexcept {
  return freePointer(pointer, [&] { return NEXT(cuMemFreeAsync, pointer, stream); });
}
GUARD_EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream) noexcept {
  return freePointer(pointer, [&] { return NEXT(cuMemFreeAsync_ptsz, pointer, stream); });
}
GUARD_EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool) noexcept {
  const auto call = [&] { return NEXT(cuMemPoolDestroy, pool); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) forgetPool(process, pool);
    return result;
  });
}
GUARD_EXPORT CUresult cuMemPoolTrimTo(CUmemoryPool pool, std::size_t keep) noexcept {
  const auto call = [&] { return NEXT(cuMemPoolTrimTo, pool, keep); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    for (Pool& entry : process.pools) {
      if (entry.handle.load() == reinterpret_cast<std::uint64_t>(pool)) settlePool(process, entry);
    }
    return result;
  });
}

GUARD_EXPORT CUresult cuStreamSynchronize(CUstream stream) noexcept {
  return afterWaiting([&] { return NEXT(cuStreamSynchronize, stream); });
}
GUARD_EXPORT CUresult cuStreamSynchronize_ptsz(CUstream stream) noexcept {
  return afterWaiting([&] { return NEXT(cuStreamSynchronize_ptsz, stream); });
}
GUARD_EXPORT CUresult cuEventSynchronize(CUevent event) noexcept {
  return afterWaiting([&] { return NEXT(cuEventSynchronize, event); });
}
GUARD_EXPORT CUresult cuCtxSynchronize() noexcept {
  return afterWaiting([] { return callNext<decltype(&::cuCtxSynchronize)>(Hook::cuCtxSynchronize); });
}

// ---- Virtual ----

GUARD_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t bytes,
                                  const CUmemAllocationProp* prop, unsigned long long flags) noexcept {
  const auto call = [&] { return NEXT(cuMemCreate, out, bytes, prop, flags); };
  return guarded(call, [&](Process& process) {
    if (prop == nullptr || prop->location.type != kMemoryOnDevice) return call();
    Wanted wanted{.kind = BufferKind::Physical, .place = {}, .granules = granulesOf(bytes), .link = 1};
    const CUresult known = gpuOfDevice(process, prop->location.id, wanted.place.gpu);
    if (known != CUDA_SUCCESS) return known;
    const auto make = [&](std::uint64_t& handle, std::uint64_t&) {
      const CUresult result = call();
      if (result == CUDA_SUCCESS) handle = *out;
      return result;
    };
    const auto undo = [](std::uint64_t handle) {
      callNext<CUresult (*)(CUmemGenericAllocationHandle)>(Hook::cuMemRelease, handle);
    };
    return makeCharged(process, wanted, make, undo);
  });
}
GUARD_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle) noexcept {
  const auto call = [&] { return NEXT(cuMemRelease, handle); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) dropPhysical(process, handle);
    return result;
  });
}
GUARD_EXPORT CUresult cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset,
                               CUmemGenericAllocationHandle handle, unsigned long long flags) noexcept {
  const auto call = [&] { return NEXT(cuMemMap, address, bytes, offset, handle, flags); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS && process.buffers.addToLink(BufferKind::Physical, handle, 1) != 0) {
      static_cast<void>(process.buffers.add(BufferKind::Mapping, address, {granulesOf(bytes), 0, 0, handle}));
    }
    return result;
  });
}
GUARD_EXPORT CUresult cuMemUnmap(CUdeviceptr address, std::size_t bytes) noexcept {
  const auto call = [&] { return NEXT(cuMemUnmap, address, bytes); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) dropMappings(process, address, bytes);
    return result;
  });
}
GUARD_EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) noexcept {
  const auto call = [&] { return NEXT(cuMemRetainAllocationHandle, out, address); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) process.buffers.addToLink(BufferKind::Physical, *out, 1);
    return result;
  });
}

// ---- Arrays ----

GUARD_EXPORT CUresult cuArrayCreate_v2(CUarray* out, const CUDA_ARRAY_DESCRIPTOR* descriptor) noexcept {
  const auto call = [&] { return NEXT(cuArrayCreate_v2, out, descriptor); };
  return guarded(call, [&](Process& process) {
    return createArray(process, BufferKind::Array, reinterpret_cast<void**>(out), bytesOf(descriptor), call);
  });
}
GUARD_EXPORT CUresult cuArray3DCreate_v2(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) noexcept {
  const auto call = [&] { return NEXT(cuArray3DCreate_v2, out, descriptor); };
  return guarded(call, [&](Process& process) {
    return createArray(process, BufferKind::Array, reinterpret_cast<void**>(out), bytesOf(descriptor), call);
  });
}
GUARD_EXPORT CUresult cuArrayDestroy(CUarray array) noexcept {
  return destroyHandle(BufferKind::Array, array, [&] { return NEXT(cuArrayDestroy, array); });
}
GUARD_EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                             unsigned levels) noexcept {
  const auto call = [&] { return NEXT(cuMipmappedArrayCreate, out, descriptor, levels); };
  return guarded(call, [&](Process& process) {
    return createArray(process, BufferKind::Mipmap, reinterpret_cast<void**>(out),
                       bytesOf(descriptor, levels), call);
  });
}
GUARD_EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) noexcept {
  return destroyHandle(BufferKind::Mipmap, array, [&] { return NEXT(cuMipmappedArrayDestroy, array); });
}

// ---- Of others ----

GUARD_EXPORT CUresult cuIpcGetMemHandle(CUipcMemHandle* out, CUdeviceptr pointer) noexcept {
  const auto call = [&] { return NEXT(cuIpcGetMemHandle, out, pointer); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) rememberExported(process, *out);
    return result;
  });
}
GUARD_EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) noexcept {
  const auto call = [&] { return NEXT(cuIpcOpenMemHandle, out, handle, flags); };
  return guarded(call, [&](Process& process) { return openIpc(process, out, handle, call); });
}
GUARD_EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle,
                                            unsigned flags) noexcept {
  const auto call = [&] { return NEXT(cuIpcOpenMemHandle_v2, out, handle, flags); };
  return guarded(call, [&](Process& process) { return openIpc(process, out, handle, call); });
}
GUARD_EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr pointer) noexcept {
  const auto call = [&] { return NEXT(cuIpcCloseMemHandle, pointer); };
  return guarded(call, [&](Process& process) {
    const CUresult result = call();
    if (result == CUDA_SUCCESS) closeIpc(process, pointer);
    return result;
  });
}
GUARD_EXPORT CUresult cuImportExternalMemory(CUexternalMemory* out,
                                             const CUDA_EXTERNAL_MEMORY_HANDLE_DESC* descriptor) noexcept {
  const auto call = [&] { return NEXT(cuImportExternalMemory, out, descriptor); };
  return guarded(call, [&](Process& process) {
    Wanted wanted{.kind = BufferKind::External, .place = {}};
    if (const CUresult result = currentPlace(process, wanted.place); result != CUDA_SUCCESS) return result;
    wanted.granules = descriptor != nullptr ? granulesOf(descriptor->size) : 0;
    const auto make = [&](std::uint64_t& handle, std::uint64_t&) {
      const CUresult result = call();
      if (result == CUDA_SUCCESS) handle = reinterpret_cast<std::uint64_t>(*out);
      return result;
    };
    const auto undo = [](std::uint64_t handle) {
      callNext<CUresult (*)(std::uint64_t)>(Hook::cuDestroyExternalMemory, handle);
    };
    return makeCharged(process, wanted, make, undo);
  });
}
GUARD_EXPORT CUresult cuDestroyExternalMemory(CUexternalMemory memory) noexcept {
  return destroyHandle(BufferKind::External, memory, [&] { return NEXT(cuDestroyExternalMemory, memory); });
}
