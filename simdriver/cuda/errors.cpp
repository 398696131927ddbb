// Names and sentences of the error codes.
#include <algorithm>
#include <iterator>

#include "cuda_api.h"

namespace berth::sim::cu {
namespace {

struct ErrorText {
  CUresult code;
  const char* name;
  const char* text;
};

#define BERTH_ERROR(code, text) \
  ErrorText { code, #code, text }
constexpr ErrorText kErrors[] = {
    BERTH_ERROR(CUDA_SUCCESS, "no error"),
    BERTH_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    BERTH_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    BERTH_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    BERTH_ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
    BERTH_ERROR(CUDA_ERROR_PROFILER_DISABLED, "profiler disabled while using external profiling tool"),
    BERTH_ERROR(CUDA_ERROR_PROFILER_NOT_INITIALIZED,
                "profiler not initialized: call cudaProfilerInitialize()"),
    BERTH_ERROR(CUDA_ERROR_PROFILER_ALREADY_STARTED, "profiler already started"),
    BERTH_ERROR(CUDA_ERROR_PROFILER_ALREADY_STOPPED, "profiler already stopped"),
    BERTH_ERROR(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
    BERTH_ERROR(CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER,
                "API call is not supported in the installed CUDA driver"),
    BERTH_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA-capable device(s) is/are busy or unavailable"),
    BERTH_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    BERTH_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    BERTH_ERROR(CUDA_ERROR_DEVICE_NOT_LICENSED, "device doesn't have a valid Grid license"),
    BERTH_ERROR(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid"),
    BERTH_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    BERTH_ERROR(CUDA_ERROR_CONTEXT_ALREADY_CURRENT, "context already current"),
    BERTH_ERROR(CUDA_ERROR_MAP_FAILED, "mapping of buffer object failed"),
    BERTH_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping of buffer object failed"),
    BERTH_ERROR(CUDA_ERROR_ARRAY_IS_MAPPED, "array is mapped"),
    BERTH_ERROR(CUDA_ERROR_ALREADY_MAPPED, "resource already mapped"),
    BERTH_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device"),
    BERTH_ERROR(CUDA_ERROR_ALREADY_ACQUIRED, "resource already acquired"),
    BERTH_ERROR(CUDA_ERROR_NOT_MAPPED, "resource not mapped"),
    BERTH_ERROR(CUDA_ERROR_NOT_MAPPED_AS_ARRAY, "resource not mapped as array"),
    BERTH_ERROR(CUDA_ERROR_NOT_MAPPED_AS_POINTER, "resource not mapped as pointer"),
    BERTH_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered"),
    BERTH_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit is not supported on this architecture"),
    BERTH_ERROR(CUDA_ERROR_CONTEXT_ALREADY_IN_USE,
                "exclusive-thread device already in use by a different thread"),
    BERTH_ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "peer access is not supported between these two devices"),
    BERTH_ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
    BERTH_ERROR(CUDA_ERROR_INVALID_GRAPHICS_CONTEXT, "invalid OpenGL or DirectX context"),
    BERTH_ERROR(CUDA_ERROR_NVLINK_UNCORRECTABLE, "uncorrectable NVLink error detected during the execution"),
    BERTH_ERROR(CUDA_ERROR_JIT_COMPILER_NOT_FOUND, "PTX JIT compiler library not found"),
    BERTH_ERROR(CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                "the provided PTX was compiled with an unsupported toolchain."),
    BERTH_ERROR(CUDA_ERROR_JIT_COMPILATION_DISABLED, "PTX JIT compilation was disabled"),
    BERTH_ERROR(CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY, "the provided execution affinity is not supported"),
    BERTH_ERROR(CUDA_ERROR_UNSUPPORTED_DEVSIDE_SYNC,
                "the provided PTX contains unsupported call to cudaDeviceSynchronize"),
    BERTH_ERROR(CUDA_ERROR_INVALID_SOURCE, "device kernel image is invalid"),
    BERTH_ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    BERTH_ERROR(CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND, "shared object symbol not found"),
    BERTH_ERROR(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, "shared object initialization failed"),
    BERTH_ERROR(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
    BERTH_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    BERTH_ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    BERTH_ERROR(CUDA_ERROR_LOSSY_QUERY, "attempted introspection would be semantically lossy"),
    BERTH_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    BERTH_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    BERTH_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    BERTH_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    BERTH_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    BERTH_ERROR(CUDA_ERROR_LAUNCH_INCOMPATIBLE_TEXTURING, "launch uses incompatible texturing mode"),
    BERTH_ERROR(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "peer access is already enabled"),
    BERTH_ERROR(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "peer access has not been enabled"),
    BERTH_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "cannot set while device is active in this process"),
    BERTH_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    BERTH_ERROR(CUDA_ERROR_ASSERT, "device-side assert triggered"),
    BERTH_ERROR(CUDA_ERROR_TOO_MANY_PEERS, "peer mapping resources exhausted"),
    BERTH_ERROR(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
                "part or all of the requested memory range is already mapped"),
    BERTH_ERROR(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
                "pointer does not correspond to a registered memory region"),
    BERTH_ERROR(CUDA_ERROR_HARDWARE_STACK_ERROR, "hardware stack error"),
    BERTH_ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered"),
    BERTH_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    BERTH_ERROR(CUDA_ERROR_INVALID_ADDRESS_SPACE, "operation not supported on global/shared address space"),
    BERTH_ERROR(CUDA_ERROR_INVALID_PC, "invalid program counter"),
    BERTH_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    BERTH_ERROR(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "too many blocks in cooperative launch"),
    BERTH_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    BERTH_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    BERTH_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "system not yet initialized"),
    BERTH_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
                "system has unsupported display driver / cuda driver combination"),
    BERTH_ERROR(CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE,
                "forward compatibility was attempted on non supported HW"),
    BERTH_ERROR(CUDA_ERROR_MPS_CONNECTION_FAILED,
                "MPS client failed to connect to the MPS control daemon or the MPS server"),
    BERTH_ERROR(CUDA_ERROR_MPS_RPC_FAILURE, "MPS client failed to communicate with the MPS server"),
    BERTH_ERROR(CUDA_ERROR_MPS_SERVER_NOT_READY, "MPS server is not ready to accept new MPS client requests"),
    BERTH_ERROR(CUDA_ERROR_MPS_MAX_CLIENTS_REACHED,
                "the hardware resources required to create MPS client have been exhausted"),
    BERTH_ERROR(CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED,
                "the hardware resources required to support device connections have been exhausted"),
    BERTH_ERROR(CUDA_ERROR_MPS_CLIENT_TERMINATED, "the MPS client has been terminated by the server"),
    BERTH_ERROR(CUDA_ERROR_CDP_NOT_SUPPORTED,
                "the module uses dynamic parallelism, which this configuration does not support"),
    BERTH_ERROR(CUDA_ERROR_CDP_VERSION_MISMATCH,
                "unsupported interaction between different versions of dynamic parallelism"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                "operation failed due to a previous error during capture"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_MERGE,
                "operation would result in a merge of separate capture sequences"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not ended in the same stream as it began"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                "dependency created on uncaptured work in another stream"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                "operation would make the legacy stream depend on a capturing blocking stream"),
    BERTH_ERROR(CUDA_ERROR_CAPTURED_EVENT,
                "operation not permitted on an event last recorded in a capturing stream"),
    BERTH_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
                "attempt to terminate a thread-local capture sequence from another thread"),
    BERTH_ERROR(CUDA_ERROR_TIMEOUT, "wait operation timed out"),
    BERTH_ERROR(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
                "the graph update was not performed because it included changes which violated constraints "
                "specific to instantiated graph update"),
    BERTH_ERROR(CUDA_ERROR_EXTERNAL_DEVICE, "an async error has occurred in external entity outside of CUDA"),
    BERTH_ERROR(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                "a kernel launch error has occurred due to cluster misconfiguration"),
    BERTH_ERROR(CUDA_ERROR_FUNCTION_NOT_LOADED,
                "the function handle is not loaded when calling an API that requires a loaded function"),
    BERTH_ERROR(CUDA_ERROR_INVALID_RESOURCE_TYPE,
                "one or more resources passed in are not valid resource types for the operation"),
    BERTH_ERROR(CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION,
                "one or more resources are insufficient or non-applicable for the operation"),
    BERTH_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef BERTH_ERROR

const ErrorText* find(unsigned code) {
  const auto* found = std::find_if(std::begin(kErrors), std::end(kErrors),
                                   [&](const ErrorText& error) { return error.code == code; });
  return found == std::end(kErrors) ? nullptr : found;
}

}  // namespace

BERTH_CUDA_API cuGetErrorName(unsigned code, const char** name) {
  if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* error = find(code);
  *name = error == nullptr ? nullptr : error->name;
  return error == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

BERTH_CUDA_API cuGetErrorString(unsigned code, const char** text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const ErrorText* error = find(code);
  *text = error == nullptr ? nullptr : error->text;
  return error == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace berth::sim::cu
