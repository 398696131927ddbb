// Contexts: created, primary, the thread's stack, limits, peer access.
#include "cuda_api.h"
#include "entry.h"
#include "execute.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned kApiVersion = 3020;
constexpr int kGreatestPriority = -5;  // Lower numbers go first
constexpr std::size_t kLimitDefaults[] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0};

CUresult create(CUcontext* out, unsigned flags, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || (flags & ~kCtxFlagsMask) != 0) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    const CUresult result = driver.makeContext(ordinal, flags, false, context);
    if (result != CUDA_SUCCESS) return result;
    context->api_version = kApiVersion;
    driver.push(context->handle);
    *out = handleOf<CUcontext>(context->handle);
    return CUDA_SUCCESS;
  });
}

CUresult destroy(CUcontext handle) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Context> context = driver.contexts.find(numberOf(handle));
    if (!context || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    if (driver.currentHandle() == context->handle) driver.pop();
    driver.destroyContext(context);
    return CUDA_SUCCESS;
  });
}

CUresult pop(CUcontext* out) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::uintptr_t top = driver.pop();
    if (top == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (out != nullptr) *out = handleOf<CUcontext>(top);
    return CUDA_SUCCESS;
  });
}

CUresult push(CUcontext handle) {
  return initialised([&](Driver& driver) -> CUresult {
    if (!driver.contexts.find(numberOf(handle))) return CUDA_ERROR_INVALID_CONTEXT;
    driver.push(numberOf(handle));
    return CUDA_SUCCESS;
  });
}

/// Ends the primary context; the caller holds the device's lock.
void endPrimary(Driver& driver, Device& device) {
  const std::shared_ptr<Context> context = std::exchange(device.primary, nullptr);
  device.primary_retained = 0;
  if (context) driver.destroyContext(context);
}

CUresult releasePrimary(CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::lock_guard lock(device->mutex);
    if (device->primary_retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--device->primary_retained == 0) endPrimary(driver, *device);
    return CUDA_SUCCESS;
  });
}

CUresult resetPrimary(CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::lock_guard lock(device->mutex);
    endPrimary(driver, *device);
    return CUDA_SUCCESS;
  });
}

CUresult setPrimaryFlags(CUdevice ordinal, unsigned flags) {
  return initialised([&](Driver& driver) -> CUresult {
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    if ((flags & ~kCtxFlagsMask) != 0) return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(device->mutex);
    device->primary_flags = flags;
    if (device->primary) device->primary->flags = flags;
    return CUDA_SUCCESS;
  });
}

CUresult synchronize(Driver& driver, const std::shared_ptr<Context>& context) {
  if (const CUresult result = driver.captures.forbidUnsafe(); result != CUDA_SUCCESS) return result;
  return waitForAll(*context);
}

}  // namespace

// The first forms take the same arguments as the second.
BERTH_CUDA_API cuCtxCreate(CUcontext* context, unsigned flags, CUdevice device) {
  return create(context, flags, device);
}
BERTH_CUDA_API cuCtxDestroy(CUcontext context) { return destroy(context); }
BERTH_CUDA_API cuCtxPushCurrent(CUcontext context) { return push(context); }
BERTH_CUDA_API cuCtxPopCurrent(CUcontext* context) { return pop(context); }
BERTH_CUDA_API cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  return create(context, flags, device);
}
BERTH_CUDA_API cuCtxCreate_v3(CUcontext* context, void* affinity, int affinity_count, unsigned flags,
                              CUdevice device) {
  // Execution affinity is MPS's SM partitioning (Volta and later), which the engine does not do per context.
  if (affinity_count < 0 || (affinity == nullptr && affinity_count > 0)) return CUDA_ERROR_INVALID_VALUE;
  if (affinity_count > 0) return CUDA_ERROR_NOT_SUPPORTED;
  return create(context, flags, device);
}
BERTH_CUDA_API cuCtxCreate_v4(CUcontext* context, void* parameters, unsigned flags, CUdevice device) {
  if (parameters != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  return create(context, flags, device);
}
BERTH_CUDA_API cuCtxDestroy_v2(CUcontext context) { return destroy(context); }
BERTH_CUDA_API cuCtxDetach(CUcontext context) { return destroy(context); }
BERTH_CUDA_API cuCtxPushCurrent_v2(CUcontext context) { return push(context); }
BERTH_CUDA_API cuCtxPopCurrent_v2(CUcontext* context) { return pop(context); }

BERTH_CUDA_API cuCtxSetCurrent(CUcontext handle) {
  return initialised([&](Driver& driver) -> CUresult {
    if (handle != nullptr && !driver.contexts.find(numberOf(handle))) return CUDA_ERROR_INVALID_CONTEXT;
    driver.setCurrent(numberOf(handle));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxGetCurrent(CUcontext* out) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = handleOf<CUcontext>(driver.currentHandle());
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxGetDevice(CUdevice* device) {
  return initialised([&](Driver& driver) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    const CUresult result = driver.current(context);
    if (result == CUDA_SUCCESS) *device = context->device;
    return result;
  });
}

BERTH_CUDA_API cuCtxGetId(CUcontext handle, unsigned long long* id) {
  return initialised([&](Driver& driver) -> CUresult {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::uintptr_t number = handle == nullptr ? driver.currentHandle() : numberOf(handle);
    if (!driver.contexts.find(number)) return CUDA_ERROR_INVALID_CONTEXT;
    *id = number;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxGetFlags(unsigned* flags) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = context->flags;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxSetFlags(unsigned flags) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) -> CUresult {
    if ((flags & ~kCtxFlagsMask) != 0) return CUDA_ERROR_INVALID_VALUE;
    context->flags = flags;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxGetApiVersion(CUcontext handle, unsigned* version) {
  return initialised([&](Driver& driver) -> CUresult {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::uintptr_t number = handle == nullptr ? driver.currentHandle() : numberOf(handle);
    if (!driver.contexts.find(number)) return CUDA_ERROR_INVALID_CONTEXT;
    *version = kApiVersion;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxSynchronize() { return inContext(synchronize); }

BERTH_CUDA_API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) -> CUresult {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = kGreatestPriority;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxSetLimit(unsigned limit, std::size_t value) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) -> CUresult {
    if (limit >= std::size(kLimitDefaults)) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    const std::lock_guard lock(context->mutex);
    context->limits[limit] = value;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxGetLimit(std::size_t* value, unsigned limit) {
  return inContext([&](Driver&, const std::shared_ptr<Context>& context) -> CUresult {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (limit >= std::size(kLimitDefaults)) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    const std::lock_guard lock(context->mutex);
    const auto set = context->limits.find(limit);
    *value = set == context->limits.end() ? kLimitDefaults[limit] : set->second;
    return CUDA_SUCCESS;
  });
}

// Cache and bank preferences are hints without effect here, as on most devices.
BERTH_CUDA_API cuCtxGetCacheConfig(unsigned* config) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) -> CUresult {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *config = 0;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuCtxSetCacheConfig(unsigned config) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) {
    return config <= 3 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
BERTH_CUDA_API cuCtxGetSharedMemConfig(unsigned* config) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) -> CUresult {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *config = 1;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuCtxSetSharedMemConfig(unsigned config) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) {
    return config <= 2 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
BERTH_CUDA_API cuCtxResetPersistingL2Cache() {
  return inContext([](Driver&, const std::shared_ptr<Context>&) { return CUDA_SUCCESS; });
}

BERTH_CUDA_API cuCtxAttach(CUcontext* out, unsigned flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (driver.currentHandle() == 0) return CUDA_ERROR_INVALID_CONTEXT;
    *out = handleOf<CUcontext>(driver.currentHandle());
    return CUDA_SUCCESS;
  });
}

// SMs are shared by MPS for whole processes; a context of its own number is not offered.
BERTH_CUDA_API cuCtxGetExecAffinity(void* affinity, unsigned type) {
  return inContext([&](Driver&, const std::shared_ptr<Context>&) {
    return affinity == nullptr || type != 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  });
}
BERTH_CUDA_API cuDeviceGetExecAffinitySupport(int* supported, unsigned type, CUdevice device) {
  return initialised([&](Driver& driver) -> CUresult {
    if (supported == nullptr || type != 0) return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *supported = 0;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice ordinal) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::lock_guard lock(device->mutex);
    if (!device->primary) {
      const CUresult result = driver.makeContext(ordinal, device->primary_flags, true, device->primary);
      if (result != CUDA_SUCCESS) return result;
    }
    ++device->primary_retained;
    *out = handleOf<CUcontext>(device->primary->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuDevicePrimaryCtxRelease(CUdevice device) { return releasePrimary(device); }
BERTH_CUDA_API cuDevicePrimaryCtxRelease_v2(CUdevice device) { return releasePrimary(device); }
BERTH_CUDA_API cuDevicePrimaryCtxReset(CUdevice device) { return resetPrimary(device); }
BERTH_CUDA_API cuDevicePrimaryCtxReset_v2(CUdevice device) { return resetPrimary(device); }
BERTH_CUDA_API cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) {
  return setPrimaryFlags(device, flags);
}
BERTH_CUDA_API cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  return setPrimaryFlags(device, flags);
}

BERTH_CUDA_API cuDevicePrimaryCtxGetState(CUdevice ordinal, unsigned* flags, int* active) {
  return initialised([&](Driver& driver) -> CUresult {
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Device* device = driver.device(ordinal);
    if (device == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::lock_guard lock(device->mutex);
    *flags = device->primary_flags;
    *active = device->primary ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Context> other = driver.contexts.find(numberOf(peer));
    if (!other || other == context) return CUDA_ERROR_INVALID_CONTEXT;
    if (other->device == context->device) return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    const std::lock_guard lock(context->mutex);
    return context->peers.insert(other->handle).second ? CUDA_SUCCESS
                                                       : CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED;
  });
}

BERTH_CUDA_API cuCtxDisablePeerAccess(CUcontext peer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (!driver.contexts.find(numberOf(peer))) return CUDA_ERROR_INVALID_CONTEXT;
    const std::lock_guard lock(context->mutex);
    return context->peers.erase(numberOf(peer)) == 1 ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
  });
}

}  // namespace berth::sim::cu
