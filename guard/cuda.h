// CUDA's and NVML's types under the guard's names, and the driver's functions that the guard itself calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "simdriver/cuda/cuda_abi.h"
#include "simdriver/nvml/nvml_abi.h"

namespace berth::guard {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): the ABI's own names

inline constexpr unsigned kMemoryOnDevice = kMemLocationDevice;
inline constexpr unsigned kArraySparse = 0x40;
inline constexpr unsigned kArrayDeferredMapping = 0x80;
inline constexpr unsigned kPoolReservedCurrent = CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT;
inline constexpr unsigned kGraphReservedCurrent = 2;  // CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT

/// cuLaunchCooperativeKernelMultiDevice's CUDA_LAUNCH_PARAMS.
struct LaunchParams {
  CUfunction function;
  unsigned grid[3];
  unsigned block[3];
  unsigned sharedMemBytes;
  CUstream hStream;
  void** kernelParams;
};

/// What the guard calls below itself. A function that the driver lacks is null; who uses one that old drivers
/// lack asks first. Filled in once; tests put their own here.
struct Driver {
  CUresult (*ctxGetCurrent)(CUcontext*) = nullptr;
  CUresult (*ctxGetDevice)(CUdevice*) = nullptr;
  CUresult (*deviceGetUuid)(CUuuid*, CUdevice) = nullptr;
  CUresult (*primaryCtxGetState)(CUdevice, unsigned* flags, int* active) = nullptr;
  CUresult (*memFree)(CUdeviceptr) = nullptr;
  CUresult (*memGetAddressRange)(CUdeviceptr*, std::size_t*, CUdeviceptr) = nullptr;
  CUresult (*arrayGetMemoryRequirements)(void* requirements, CUarray, CUdevice) = nullptr;
  CUresult (*deviceGetMemPool)(CUmemoryPool*, CUdevice) = nullptr;
  CUresult (*memPoolGetAttribute)(CUmemoryPool, unsigned attribute, void* value) = nullptr;
  CUresult (*memPoolTrimTo)(CUmemoryPool, std::size_t keep) = nullptr;
  CUresult (*deviceGetGraphMemAttribute)(CUdevice, unsigned attribute, void* value) = nullptr;
  CUresult (*eventCreate)(CUevent*, unsigned flags) = nullptr;
  CUresult (*eventDestroy)(CUevent) = nullptr;
  CUresult (*eventRecord)(CUevent, CUstream) = nullptr;
  CUresult (*eventQuery)(CUevent) = nullptr;
  CUresult (*eventElapsedTime)(float*, CUevent, CUevent) = nullptr;
  CUresult (*streamIsCapturing)(CUstream, unsigned* status) = nullptr;
  CUresult (*exchangeCaptureMode)(unsigned* mode) = nullptr;
  nvmlReturn_t (*nvmlGetUuid)(nvmlDevice_t, char*, unsigned) = nullptr;
};

}  // namespace berth::guard
