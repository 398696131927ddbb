// The CUDA driver as the samples use it: libcuda.so.1 by dlopen, so that the program starts and explains
// itself on a machine without one. It links to no CUDA library.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "../../simdriver/cuda/cuda_abi.h"

namespace berth::samples {

/// The entry points the samples call.
struct Cuda {
  sim::cu::CUresult (*init)(unsigned flags) = nullptr;
  sim::cu::CUresult (*device_get_count)(int* count) = nullptr;
  sim::cu::CUresult (*device_get)(sim::cu::CUdevice* device, int ordinal) = nullptr;
  sim::cu::CUresult (*device_get_name)(char* name, int length, sim::cu::CUdevice device) = nullptr;
  sim::cu::CUresult (*device_get_attribute)(int* value, unsigned attribute,
                                            sim::cu::CUdevice device) = nullptr;
  sim::cu::CUresult (*primary_retain)(sim::cu::CUcontext* context, sim::cu::CUdevice device) = nullptr;
  sim::cu::CUresult (*primary_release)(sim::cu::CUdevice device) = nullptr;
  sim::cu::CUresult (*set_current)(sim::cu::CUcontext context) = nullptr;
  sim::cu::CUresult (*module_load_data)(sim::cu::CUmodule* module, const void* image) = nullptr;
  sim::cu::CUresult (*module_get_function)(sim::cu::CUfunction* function, sim::cu::CUmodule module,
                                           const char* name) = nullptr;
  sim::cu::CUresult (*mem_alloc)(sim::cu::CUdeviceptr* pointer, std::size_t bytes) = nullptr;
  sim::cu::CUresult (*mem_free)(sim::cu::CUdeviceptr pointer) = nullptr;
  sim::cu::CUresult (*copy_to_device)(sim::cu::CUdeviceptr to, const void* from, std::size_t bytes) = nullptr;
  sim::cu::CUresult (*copy_to_host)(void* to, sim::cu::CUdeviceptr from, std::size_t bytes) = nullptr;
  sim::cu::CUresult (*stream_create)(sim::cu::CUstream* stream, unsigned flags) = nullptr;
  sim::cu::CUresult (*stream_synchronize)(sim::cu::CUstream stream) = nullptr;
  sim::cu::CUresult (*event_create)(sim::cu::CUevent* event, unsigned flags) = nullptr;
  sim::cu::CUresult (*event_record)(sim::cu::CUevent event, sim::cu::CUstream stream) = nullptr;
  sim::cu::CUresult (*event_synchronize)(sim::cu::CUevent event) = nullptr;
  sim::cu::CUresult (*event_elapsed)(float* milliseconds, sim::cu::CUevent start,
                                     sim::cu::CUevent end) = nullptr;
  sim::cu::CUresult (*launch_kernel)(sim::cu::CUfunction function, unsigned grid_x, unsigned grid_y,
                                     unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                                     unsigned shared_bytes, sim::cu::CUstream stream, void** parameters,
                                     void** extra) = nullptr;
  sim::cu::CUresult (*launch_cooperative)(sim::cu::CUfunction function, unsigned grid_x, unsigned grid_y,
                                          unsigned grid_z, unsigned block_x, unsigned block_y,
                                          unsigned block_z, unsigned shared_bytes, sim::cu::CUstream stream,
                                          void** parameters) = nullptr;
  sim::cu::CUresult (*fill)(sim::cu::CUdeviceptr to, unsigned char value, std::size_t bytes) = nullptr;
  sim::cu::CUresult (*begin_capture)(sim::cu::CUstream stream, unsigned mode) = nullptr;
  sim::cu::CUresult (*end_capture)(sim::cu::CUstream stream, sim::cu::CUgraph* graph) = nullptr;
  sim::cu::CUresult (*graph_instantiate)(sim::cu::CUgraphExec* exec, sim::cu::CUgraph graph,
                                         unsigned long long flags) = nullptr;
  sim::cu::CUresult (*graph_launch)(sim::cu::CUgraphExec exec, sim::cu::CUstream stream) = nullptr;
  sim::cu::CUresult (*get_error_name)(sim::cu::CUresult code, const char** name) = nullptr;
  sim::cu::CUresult (*get_error_string)(sim::cu::CUresult code, const char** text) = nullptr;
};

/// Loads the driver, which stays loaded. Nothing, with the reason in `error`, when there is none.
std::optional<Cuda> loadCuda(std::string& error);

/// "CUDA_ERROR_OUT_OF_MEMORY: out of memory".
std::string describe(const Cuda& cuda, sim::cu::CUresult code);

/// A call that failed, with what was being done.
struct CallError {
  std::string message;
};

/// Throws CallError unless `code` is success.
void check(const Cuda& cuda, sim::cu::CUresult code, const char* doing);

}  // namespace berth::samples
