// Device, managed and pinned memory: allocated, freed, registered, asked about.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <sys/mman.h>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "graph_memory.h"

namespace berth::sim::cu {
namespace {

constexpr std::size_t kPitchAlignment = 512;

/// What cuMemFree takes: also buffers in external memory, which the program frees as its own.
bool isDeviceMemory(const Allocation& allocation) {
  return allocation.kind == MemoryKind::Device || allocation.kind == MemoryKind::Managed ||
         allocation.external != nullptr;
}
bool isPinned(const Allocation& allocation) { return allocation.kind == MemoryKind::Pinned; }

CUresult allocatePinned(void** out, std::size_t bytes, unsigned flags) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || bytes == 0 || (flags & ~kMemHostFlagsMask) != 0) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Allocation> made;
    const CUresult result = driver.allocate(context, bytes, MemoryKind::Pinned, made, kPageBytes);
    if (result != CUDA_SUCCESS) return result;
    made->flags = flags;
    *out = made->base;
    return CUDA_SUCCESS;
  });
}

CUresult allocateDevice(CUdeviceptr* out, std::size_t bytes, MemoryKind kind, unsigned flags) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Allocation> made;
    const CUresult result = driver.allocate(context, bytes, kind, made);
    if (result != CUDA_SUCCESS) return result;
    made->flags = flags;
    *out = devicePointer(made->base);
    return CUDA_SUCCESS;
  });
}

/// True when the process has all of it mapped.
bool isMapped(const void* base, std::size_t bytes) {
  constexpr std::size_t kPagesAtOnce = 4096;
  std::array<unsigned char, kPagesAtOnce> resident{};
  const std::uintptr_t first = numberOf(base) / kPageBytes * kPageBytes;
  if (bytes > std::numeric_limits<std::uintptr_t>::max() - numberOf(base) - kPageBytes) return false;
  const std::uintptr_t end = roundUp(numberOf(base) + bytes, kPageBytes);
  for (std::uintptr_t at = first; at < end; at += kPagesAtOnce * kPageBytes) {
    const std::size_t length = std::min<std::size_t>(end - at, kPagesAtOnce * kPageBytes);
    if (::mincore(handleOf<void*>(at), length, resident.data()) != 0) return false;
  }
  return true;
}

CUresult registerHost(void* base, std::size_t bytes, unsigned flags) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (base == nullptr || bytes == 0 || (flags & ~kMemHostRegisterFlagsMask) != 0 || !isMapped(base, bytes))
      return CUDA_ERROR_INVALID_VALUE;
    auto allocation = std::make_shared<Allocation>();
    allocation->base = static_cast<std::byte*>(base);
    allocation->bytes = bytes;
    allocation->kind = MemoryKind::Registered;
    allocation->device = context->device;
    allocation->context = context;
    allocation->flags = flags;
    return driver.addresses.add(allocation) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  });
}

/// Waits for the device as cuMemFree does, then gives the range back.
CUresult freeBase(const void* base, bool (*kind)(const Allocation&)) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return initialised([&](Driver& driver) -> CUresult {
    std::shared_ptr<Context> current;
    if (const CUresult result = driver.current(current); result != CUDA_SUCCESS) return result;
    if (const std::shared_ptr<GraphMemory> memory = graphMemoryAt(driver, devicePointer(base)))
      return freeGraphMemory(driver, *memory);
    const std::shared_ptr<Allocation> allocation =
        driver.addresses.take(base, [&](const Allocation& found) { return kind(found); });
    if (!allocation) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = CUDA_SUCCESS;
    if (const std::shared_ptr<Context> owner = allocation->context.lock())
      result = toResult(owner->session->waitAll());
    driver.giveBack(*allocation);
    driver.trimPools(allocation->device);
    return result;
  });
}

bool isHost(const Allocation& allocation) {
  return allocation.kind == MemoryKind::Pinned || allocation.kind == MemoryKind::Registered;
}

template <typename T>
void put(void* out, T value) {
  std::memcpy(out, &value, sizeof(value));
}

CUresult attributeOf(const Allocation& found, CUdeviceptr pointer, unsigned attribute, void* out) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: {
      const std::shared_ptr<Context> context = found.context.lock();
      put(out, context ? context->handle : std::uintptr_t{0});
      return CUDA_SUCCESS;
    }
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      put(out, static_cast<unsigned>(isHost(found) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE));
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      put(out, pointer);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (!isHost(found) && found.kind != MemoryKind::Managed) return CUDA_ERROR_INVALID_VALUE;
      put(out, pointer);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      put(out, 0U);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      put(out, std::uint64_t{found.id});
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      put(out, found.kind == MemoryKind::Managed ? 1U : 0U);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      put(out, found.device);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      put(out, found.kind == MemoryKind::Device && !found.pool);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      put(out, devicePointer(found.base));
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      put(out, found.bytes);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
      put(out, true);
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      put(out, found.pool ? found.pool->handle : std::uintptr_t{0});
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
}

/// What cuPointerGetAttributes says of an address that CUDA does not know: nothing, which is not an error.
void putUnknown(unsigned attribute, void* out) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      put(out, 0U);
      return;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      put(out, -2);
      return;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
      put(out, false);
      return;
    default:
      put(out, std::uint64_t{0});
  }
}

/// Advice is not kept: whatever a range is asked, no advice was given.
CUresult rangeAttribute(Driver& driver, void* data, std::size_t size, unsigned attribute, CUdeviceptr pointer,
                        std::size_t bytes) {
  constexpr unsigned kReadMostly = 1;
  constexpr unsigned kAccessedBy = 3;
  constexpr unsigned kLastAttribute = 8;
  constexpr int kNoDevice = -2;
  if (data == nullptr || attribute == 0 || attribute > kLastAttribute || size == 0 || size % sizeof(int) != 0)
    return CUDA_ERROR_INVALID_VALUE;
  if (attribute != kAccessedBy && size != sizeof(int)) return CUDA_ERROR_INVALID_VALUE;
  const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
  if (!found || found->kind != MemoryKind::Managed || bytes == 0 ||
      !driver.addresses.covers(addressOf(pointer), bytes))
    return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < size / sizeof(int); ++i)
    put(static_cast<int*>(data) + i, attribute == kReadMostly ? 0 : kNoDevice);
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) -> CUresult {
    if (free_bytes == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const MemoryInfo info = context->session->memoryInfo();
    *free_bytes = info.free_bytes;
    *total = info.total_bytes;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemAlloc_v2(CUdeviceptr* pointer, std::size_t bytes) {
  return allocateDevice(pointer, bytes, MemoryKind::Device, 0);
}

BERTH_CUDA_API cuMemAllocManaged(CUdeviceptr* pointer, std::size_t bytes, unsigned flags) {
  if (flags != kMemAttachGlobal && flags != kMemAttachHost) return CUDA_ERROR_INVALID_VALUE;
  return allocateDevice(pointer, bytes, MemoryKind::Managed, flags);
}

BERTH_CUDA_API cuMemAllocPitch_v2(CUdeviceptr* pointer, std::size_t* pitch, std::size_t width,
                                  std::size_t height, unsigned element) {
  if (pitch == nullptr || width == 0 || height == 0) return CUDA_ERROR_INVALID_VALUE;
  if (element != 4 && element != 8 && element != 16) return CUDA_ERROR_INVALID_VALUE;
  if (width > Arena::kDefaultBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::size_t row = roundUp(width, kPitchAlignment);
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(row, height, &bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = allocateDevice(pointer, bytes, MemoryKind::Device, 0);
  if (result == CUDA_SUCCESS) *pitch = row;
  return result;
}

BERTH_CUDA_API cuMemFree_v2(CUdeviceptr pointer) {
  if (pointer == 0) return initialised([](Driver&) { return CUDA_SUCCESS; });
  return freeBase(addressOf(pointer), isDeviceMemory);
}

BERTH_CUDA_API cuMemAllocHost_v2(void** pointer, std::size_t bytes) {
  return allocatePinned(pointer, bytes, 0);
}
BERTH_CUDA_API cuMemHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
  return allocatePinned(pointer, bytes, flags);
}
BERTH_CUDA_API cuMemFreeHost(void* pointer) { return freeBase(pointer, isPinned); }

BERTH_CUDA_API cuMemHostRegister_v2(void* pointer, std::size_t bytes, unsigned flags) {
  return registerHost(pointer, bytes, flags);
}

BERTH_CUDA_API cuMemHostUnregister(void* pointer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (pointer == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto taken = driver.addresses.take(
        pointer, [](const Allocation& found) { return found.kind == MemoryKind::Registered; });
    return taken ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  });
}

BERTH_CUDA_API cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* pointer, unsigned flags) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Allocation> found = driver.addresses.find(pointer);
    if (!found || !isHost(*found)) return CUDA_ERROR_INVALID_VALUE;
    *out = devicePointer(pointer);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemHostGetFlags(unsigned* flags, void* pointer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Allocation> found = driver.addresses.find(pointer);
    if (!found || !isPinned(*found)) return CUDA_ERROR_INVALID_VALUE;
    *flags = found->flags;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr pointer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
    if (!found) return CUDA_ERROR_NOT_FOUND;
    if (base != nullptr) *base = devicePointer(found->base);
    if (bytes != nullptr) *bytes = found->bytes;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuPointerGetAttribute(void* out, unsigned attribute, CUdeviceptr pointer) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
    return found ? attributeOf(*found, pointer, attribute, out) : CUDA_ERROR_INVALID_VALUE;
  });
}

BERTH_CUDA_API cuPointerGetAttributes(unsigned count, unsigned* attributes, void** out, CUdeviceptr pointer) {
  return initialised([&](Driver& driver) -> CUresult {
    if (count == 0 || attributes == nullptr || out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
    for (unsigned i = 0; i < count; ++i) {
      if (out[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
      if (!found || attributeOf(*found, pointer, attributes[i], out[i]) != CUDA_SUCCESS)
        putUnknown(attributes[i], out[i]);
    }
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuPointerSetAttribute(const void* value, unsigned attribute, CUdeviceptr pointer) {
  return initialised([&](Driver& driver) -> CUresult {
    if (value == nullptr || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS) return CUDA_ERROR_INVALID_VALUE;
    return driver.addresses.find(addressOf(pointer)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

// Managed memory is reachable from everywhere at once; hints about its place change nothing.
BERTH_CUDA_API cuMemAdvise(CUdeviceptr pointer, std::size_t bytes, unsigned advice, CUdevice) {
  constexpr unsigned kLastAdvice = 6;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (advice == 0 || advice > kLastAdvice || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    return driver.addresses.covers(addressOf(pointer), bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

BERTH_CUDA_API cuMemPrefetchAsync(CUdeviceptr pointer, std::size_t bytes, CUdevice, CUstream handle) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (bytes == 0 || !driver.addresses.covers(addressOf(pointer), bytes))
                      return CUDA_ERROR_INVALID_VALUE;
                    return submit(driver, context, stream, Nothing{});
                  });
}

BERTH_CUDA_API cuMemPrefetchAsync_ptsz(CUdeviceptr pointer, std::size_t bytes, CUdevice device,
                                       CUstream stream) {
  return cuMemPrefetchAsync(pointer, bytes, device,
                            stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream);
}

// The second forms name places, of which only devices and the host's memory exist.
BERTH_CUDA_API cuMemAdvise_v2(CUdeviceptr pointer, std::size_t bytes, unsigned advice, CUmemLocation place) {
  if (place.type != kMemLocationDevice && place.type != kMemLocationHost && place.type != 0)
    return CUDA_ERROR_INVALID_VALUE;
  return cuMemAdvise(pointer, bytes, advice, place.id);
}
BERTH_CUDA_API cuMemPrefetchAsync_v2(CUdeviceptr pointer, std::size_t bytes, CUmemLocation place,
                                     unsigned flags, CUstream stream) {
  if (flags != 0 || (place.type != kMemLocationDevice && place.type != kMemLocationHost))
    return CUDA_ERROR_INVALID_VALUE;
  return cuMemPrefetchAsync(pointer, bytes, place.id, stream);
}
BERTH_CUDA_API cuMemPrefetchAsync_v2_ptsz(CUdeviceptr pointer, std::size_t bytes, CUmemLocation place,
                                          unsigned flags, CUstream stream) {
  return cuMemPrefetchAsync_v2(pointer, bytes, place, flags,
                               stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream);
}

BERTH_CUDA_API cuMemRangeGetAttribute(void* data, std::size_t size, unsigned attribute, CUdeviceptr pointer,
                                      std::size_t bytes) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) {
    return rangeAttribute(driver, data, size, attribute, pointer, bytes);
  });
}
BERTH_CUDA_API cuMemRangeGetAttributes(void** data, std::size_t* sizes, unsigned* attributes,
                                       std::size_t count, CUdeviceptr pointer, std::size_t bytes) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (data == nullptr || sizes == nullptr || attributes == nullptr || count == 0)
      return CUDA_ERROR_INVALID_VALUE;
    for (std::size_t i = 0; i < count; ++i) {
      const CUresult result = rangeAttribute(driver, data[i], sizes[i], attributes[i], pointer, bytes);
      if (result != CUDA_SUCCESS) return result;
    }
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
