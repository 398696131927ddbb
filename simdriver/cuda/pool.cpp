// Memory in stream order, and the pools it comes from. Memory is there as soon as the call returns and gone
// as soon as it is freed: programs that order their work by streams cannot tell the difference.
#include <cstring>
#include <iterator>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "graph.h"
#include "graph_memory.h"

namespace berth::sim::cu {
namespace {

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

/// In a capture, an allocation becomes a node and its memory the graph's. False when nothing is captured.
bool captureAllocation(Driver& driver, const std::shared_ptr<Context>& context, Stream& stream,
                       std::size_t bytes, CUdeviceptr* out, CUresult& result) {
  const std::lock_guard lock(stream.mutex);
  if (!stream.capture) return false;
  MemAlloc made;
  result = makeGraphMemory(driver, context, bytes, made);
  if (result != CUDA_SUCCESS) return true;
  const CUdeviceptr pointer = devicePointer(made.memory->memory()->base);
  result = captureOperation(driver, stream, std::move(made));
  if (result == CUDA_SUCCESS) *out = pointer;
  return true;
}

bool captureFree(Driver& driver, Stream& stream, CUdeviceptr pointer, CUresult& result) {
  const std::lock_guard lock(stream.mutex);
  if (!stream.capture) return false;
  std::shared_ptr<GraphMemory> memory = graphMemoryAt(driver, pointer);
  result = memory ? captureOperation(driver, stream, MemFree{std::move(memory)}) : CUDA_ERROR_INVALID_VALUE;
  return true;
}

std::shared_ptr<MemoryPool> currentPool(Device& device) {
  const std::lock_guard lock(device.mutex);
  return device.current_pool;
}

/// From `pool`, or from the device's current one when that is null.
CUresult allocateAsync(CUdeviceptr* out, std::size_t bytes, const CUmemoryPool* pool_handle,
                       CUstream handle) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    CUresult captured = CUDA_SUCCESS;
                    if (captureAllocation(driver, context, *stream, bytes, out, captured)) return captured;
                    const std::shared_ptr<MemoryPool> pool =
                        pool_handle == nullptr ? currentPool(*driver.device(context->device))
                                               : driver.pools.find(numberOf(*pool_handle));
                    if (!pool || pool->device != context->device) return CUDA_ERROR_INVALID_VALUE;
                    std::shared_ptr<Allocation> made;
                    const CUresult result = driver.allocateFromPool(context, pool, bytes, made);
                    if (result != CUDA_SUCCESS) return result;
                    *out = devicePointer(made->base);
                    return submit(driver, context, stream, Nothing{});
                  });
}

CUresult freeAsync(CUdeviceptr pointer, CUstream handle) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    CUresult captured = CUDA_SUCCESS;
                    if (captureFree(driver, *stream, pointer, captured)) return captured;
                    if (const std::shared_ptr<GraphMemory> memory = graphMemoryAt(driver, pointer))
                      return freeGraphMemory(driver, *memory);
                    const std::shared_ptr<Allocation> allocation = driver.addresses.take(
                        addressOf(pointer),
                        [](const Allocation& found) { return found.kind == MemoryKind::Device; });
                    if (!allocation) return CUDA_ERROR_INVALID_VALUE;
                    const CUresult result = submit(driver, context, stream, Nothing{});
                    driver.giveBack(*allocation);
                    return result;
                  });
}

template <typename Fn>
CUresult onPool(CUmemoryPool handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<MemoryPool> pool = driver.pools.find(numberOf(handle));
    return pool ? fn(driver, pool) : CUDA_ERROR_INVALID_VALUE;
  });
}

template <typename T>
CUresult put(void* out, T value) {
  std::memcpy(out, &value, sizeof(value));
  return CUDA_SUCCESS;
}

std::uint64_t reservedBytes(const MemoryPool& pool) {
  std::uint64_t bytes = pool.used;
  for (const auto& [context, kept] : pool.kept) bytes += kept;
  return bytes;
}

CUresult getAttribute(MemoryPool& pool, unsigned attribute, void* out) {
  const std::lock_guard lock(pool.mutex);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      return put(out, pool.reuse[attribute - 1]);
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      return put(out, pool.release_threshold);
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      return put(out, reservedBytes(pool));
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      return put(out, pool.reserved_high);
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      return put(out, pool.used);
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      return put(out, pool.used_high);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult setAttribute(MemoryPool& pool, unsigned attribute, const void* value) {
  const std::lock_guard lock(pool.mutex);
  std::uint64_t wide = 0;
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      std::memcpy(&pool.reuse[attribute - 1], value, sizeof(int));
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      std::memcpy(&pool.release_threshold, value, sizeof(wide));
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      // High marks can only be set back.
      std::memcpy(&wide, value, sizeof(wide));
      if (wide != 0) return CUDA_ERROR_INVALID_VALUE;
      if (attribute == CU_MEMPOOL_ATTR_USED_MEM_HIGH) pool.used_high = pool.used;
      if (attribute == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH) pool.reserved_high = reservedBytes(pool);
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

bool validAccess(unsigned flags) {
  return flags == kMemAccessNone || flags == kMemAccessRead || flags == kMemAccessReadWrite;
}

CUresult setAccess(Driver& driver, MemoryPool& pool, const CUmemAccessDesc* accesses, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const CUmemAccessDesc& access = accesses[i];
    if (access.location.type != kMemLocationDevice || !validAccess(access.flags))
      return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(access.location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    // The device that has the memory cannot lose its own access.
    if (access.location.id == pool.device && access.flags != kMemAccessReadWrite)
      return CUDA_ERROR_INVALID_VALUE;
  }
  const std::lock_guard lock(pool.mutex);
  for (std::size_t i = 0; i < count; ++i) {
    if (accesses[i].flags == kMemAccessReadWrite) {
      pool.accessible_from.insert(accesses[i].location.id);
    } else {
      pool.accessible_from.erase(accesses[i].location.id);
    }
  }
  return CUDA_SUCCESS;
}

}  // namespace

CUresult checkPool(Driver& driver, const CUmemPoolProps& properties) {
  if (properties.allocType != kMemAllocationPinned) return CUDA_ERROR_INVALID_VALUE;
  if (properties.handleTypes != kMemHandleTypeNone) return CUDA_ERROR_NOT_SUPPORTED;
  if (properties.location.type != kMemLocationDevice) return CUDA_ERROR_NOT_SUPPORTED;
  return driver.device(properties.location.id) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

BERTH_CUDA_API cuMemAllocAsync(CUdeviceptr* pointer, std::size_t bytes, CUstream stream) {
  return allocateAsync(pointer, bytes, nullptr, stream);
}
BERTH_CUDA_API cuMemAllocAsync_ptsz(CUdeviceptr* pointer, std::size_t bytes, CUstream stream) {
  return allocateAsync(pointer, bytes, nullptr, orPerThread(stream));
}
BERTH_CUDA_API cuMemAllocFromPoolAsync(CUdeviceptr* pointer, std::size_t bytes, CUmemoryPool pool,
                                       CUstream stream) {
  return allocateAsync(pointer, bytes, &pool, stream);
}
BERTH_CUDA_API cuMemAllocFromPoolAsync_ptsz(CUdeviceptr* pointer, std::size_t bytes, CUmemoryPool pool,
                                            CUstream stream) {
  return allocateAsync(pointer, bytes, &pool, orPerThread(stream));
}
BERTH_CUDA_API cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) { return freeAsync(pointer, stream); }
BERTH_CUDA_API cuMemFreeAsync_ptsz(CUdeviceptr pointer, CUstream stream) {
  return freeAsync(pointer, orPerThread(stream));
}

BERTH_CUDA_API cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* properties) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult result = checkPool(driver, *properties); result != CUDA_SUCCESS) return result;
    auto pool = std::make_shared<MemoryPool>();
    pool->device = properties->location.id;
    pool->max_size = properties->maxSize;
    pool->handle = driver.pools.add(pool);
    *out = handleOf<CUmemoryPool>(pool->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemPoolDestroy(CUmemoryPool handle) {
  return onPool(handle, [](Driver& driver, const std::shared_ptr<MemoryPool>& pool) -> CUresult {
    if (pool->owned_by_driver) return CUDA_ERROR_INVALID_VALUE;
    driver.pools.take(pool->handle);
    {
      Device& device = *driver.device(pool->device);
      const std::lock_guard lock(device.mutex);
      if (device.current_pool == pool) device.current_pool = device.default_pool;
    }
    driver.trim(*pool, 0);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemPoolTrimTo(CUmemoryPool handle, std::size_t keep) {
  return onPool(handle, [&](Driver& driver, const std::shared_ptr<MemoryPool>& pool) {
    driver.trim(*pool, keep);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemPoolGetAttribute(CUmemoryPool handle, unsigned attribute, void* value) {
  return onPool(handle, [&](Driver&, const std::shared_ptr<MemoryPool>& pool) {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : getAttribute(*pool, attribute, value);
  });
}
BERTH_CUDA_API cuMemPoolSetAttribute(CUmemoryPool handle, unsigned attribute, void* value) {
  return onPool(handle, [&](Driver&, const std::shared_ptr<MemoryPool>& pool) {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : setAttribute(*pool, attribute, value);
  });
}

BERTH_CUDA_API cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc* accesses, std::size_t count) {
  return onPool(handle, [&](Driver& driver, const std::shared_ptr<MemoryPool>& pool) {
    return accesses == nullptr && count != 0 ? CUDA_ERROR_INVALID_VALUE
                                             : setAccess(driver, *pool, accesses, count);
  });
}
BERTH_CUDA_API cuMemPoolGetAccess(unsigned* flags, CUmemoryPool handle, const CUmemLocation* location) {
  return onPool(handle, [&](Driver& driver, const std::shared_ptr<MemoryPool>& pool) -> CUresult {
    if (flags == nullptr || location == nullptr || location->type != kMemLocationDevice)
      return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(location->id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::lock_guard lock(pool->mutex);
    const bool reaches = location->id == pool->device || pool->accessible_from.contains(location->id);
    *flags = reaches ? kMemAccessReadWrite : kMemAccessNone;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetDefaultMemPool(CUmemoryPool* pool, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *pool = handleOf<CUmemoryPool>(device->default_pool->handle);
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *pool = handleOf<CUmemoryPool>(currentPool(*device)->handle);
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuDeviceSetMemPool(CUdevice ordinal, CUmemoryPool handle) {
  return onPool(handle, [&](Driver& driver, const std::shared_ptr<MemoryPool>& pool) -> CUresult {
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if (pool->device != ordinal) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(device->mutex);
    device->current_pool = pool;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDeviceGetGraphMemAttribute(CUdevice ordinal, unsigned attribute, void* value) {
  return initialised([&](Driver& driver) -> CUresult {
    constexpr unsigned kSame[] = {CU_MEMPOOL_ATTR_USED_MEM_CURRENT, CU_MEMPOOL_ATTR_USED_MEM_HIGH,
                                  CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH};
    if (value == nullptr || attribute >= std::size(kSame)) return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    return device == nullptr ? CUDA_ERROR_INVALID_DEVICE
                             : getAttribute(*device->graph_pool, kSame[attribute], value);
  });
}
BERTH_CUDA_API cuDeviceSetGraphMemAttribute(CUdevice ordinal, unsigned attribute, void* value) {
  return initialised([&](Driver& driver) -> CUresult {
    constexpr unsigned kUsedHigh = 1;
    constexpr unsigned kReservedHigh = 3;
    if (value == nullptr || (attribute != kUsedHigh && attribute != kReservedHigh))
      return CUDA_ERROR_INVALID_VALUE;
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    return setAttribute(
        *device->graph_pool,
        attribute == kUsedHigh ? CU_MEMPOOL_ATTR_USED_MEM_HIGH : CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, value);
  });
}
BERTH_CUDA_API cuDeviceGraphMemTrim(CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    const Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    driver.trim(*device->graph_pool, 0);
    return CUDA_SUCCESS;
  });
}

// No pool can be shared (its handle types are refused above), so none is ever given out or taken in.
BERTH_CUDA_API cuMemPoolExportToShareableHandle(void* out, CUmemoryPool handle, unsigned,
                                                unsigned long long) {
  return onPool(handle, [&](Driver&, const std::shared_ptr<MemoryPool>&) {
    return out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
  });
}
BERTH_CUDA_API cuMemPoolImportFromShareableHandle(CUmemoryPool* out, void*, unsigned, unsigned long long) {
  return initialised(
      [&](Driver&) { return out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED; });
}
BERTH_CUDA_API cuMemPoolExportPointer(void* out, CUdeviceptr) {
  return initialised(
      [&](Driver&) { return out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED; });
}
BERTH_CUDA_API cuMemPoolImportPointer(CUdeviceptr* out, CUmemoryPool handle, void*) {
  return onPool(handle, [&](Driver&, const std::shared_ptr<MemoryPool>&) {
    return out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
  });
}

}  // namespace berth::sim::cu
