// A libcuda.so.1 whose calls return at once: what is left of a call's time is the cost of whatever stands
// before it. It knows one GPU and the calls of bench/guard, allocates addresses in turn and has no memory
// behind them.
#include <cstddef>
#include <cstring>

#include "simdriver/cuda/cuda_abi.h"

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): the ABI's own names

#define NULL_DRIVER extern "C" __attribute__((visibility("default")))

namespace {

constexpr std::size_t kMemory = std::size_t{16} << 30;
constexpr CUdeviceptr kFirstAddress = 0x7f0000000000;
CUdeviceptr g_next_address = kFirstAddress;
CUdeviceptr g_freed;
int g_something;  // What every handle points at

template <typename Handle>
CUresult give(Handle* out) {
  *out = reinterpret_cast<Handle>(&g_something);
  return CUDA_SUCCESS;
}

}  // namespace

NULL_DRIVER CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuDriverGetVersion(int* version) {
  *version = 12040;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuDeviceGetCount(int* count) {
  *count = 1;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuDeviceGet(CUdevice* device, int) {
  *device = 0;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice) {
  std::memset(uuid, 0, sizeof *uuid);
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return cuDeviceGetUuid(uuid, device);
}
NULL_DRIVER CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute, CUdevice) {
  *value = 40;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice) {
  *bytes = kMemory;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuCtxCreate_v2(CUcontext* out, unsigned, CUdevice) { return give(out); }
NULL_DRIVER CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice) { return give(out); }
NULL_DRIVER CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuCtxGetCurrent(CUcontext* out) { return give(out); }
NULL_DRIVER CUresult cuCtxGetDevice(CUdevice* device) {
  *device = 0;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuCtxSynchronize() { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuStreamSynchronize(CUstream) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuStreamIsCapturing(CUstream, unsigned* status) {
  *status = 0;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  *free = *total = kMemory;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuMemAlloc_v2(CUdeviceptr* out, std::size_t bytes) {
  // What was freed last comes first, as with the driver's allocator; else new addresses in its granularity.
  // One thread allocates buffers of one size, so nothing else is kept.
  if (g_freed != 0) {
    *out = g_freed;
    g_freed = 0;
    return CUDA_SUCCESS;
  }
  *out = g_next_address;
  g_next_address += (bytes + 511) / 512 * 512;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuMemFree_v2(CUdeviceptr pointer) {
  g_freed = pointer;
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuModuleLoadData(CUmodule* out, const void*) { return give(out); }
NULL_DRIVER CUresult cuModuleGetFunction(CUfunction* out, CUmodule, const char*) { return give(out); }
NULL_DRIVER CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                    unsigned, CUstream, void**, void**) {
  return CUDA_SUCCESS;
}
NULL_DRIVER CUresult cuEventCreate(CUevent* out, unsigned) { return give(out); }
NULL_DRIVER CUresult cuEventDestroy_v2(CUevent) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuEventQuery(CUevent) { return CUDA_SUCCESS; }
NULL_DRIVER CUresult cuEventElapsedTime(float* milliseconds, CUevent, CUevent) {
  *milliseconds = 0;
  return CUDA_SUCCESS;
}
