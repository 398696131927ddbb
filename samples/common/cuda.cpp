#include "cuda.h"

#include <dlfcn.h>

namespace berth::samples {
namespace {

/// Looks up one name after the other and remembers the first that is missing.
class Resolver {
 public:
  explicit Resolver(void* library) : library_(library) {}

  template <typename Function>
  void operator()(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library_, name));
    if (function == nullptr && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

}  // namespace

std::optional<Cuda> loadCuda(std::string& error) {
  // Not closed: the driver must outlive everything, exit handlers included.
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    error = ::dlerror();
    return std::nullopt;
  }
  Cuda cuda;
  Resolver resolve(library);
  resolve(cuda.init, "cuInit");
  resolve(cuda.device_get_count, "cuDeviceGetCount");
  resolve(cuda.device_get, "cuDeviceGet");
  resolve(cuda.device_get_name, "cuDeviceGetName");
  resolve(cuda.device_get_attribute, "cuDeviceGetAttribute");
  resolve(cuda.primary_retain, "cuDevicePrimaryCtxRetain");
  resolve(cuda.primary_release, "cuDevicePrimaryCtxRelease_v2");
  resolve(cuda.set_current, "cuCtxSetCurrent");
  resolve(cuda.module_load_data, "cuModuleLoadData");
  resolve(cuda.module_get_function, "cuModuleGetFunction");
  resolve(cuda.mem_alloc, "cuMemAlloc_v2");
  resolve(cuda.mem_free, "cuMemFree_v2");
  resolve(cuda.copy_to_device, "cuMemcpyHtoD_v2");
  resolve(cuda.copy_to_host, "cuMemcpyDtoH_v2");
  resolve(cuda.stream_create, "cuStreamCreate");
  resolve(cuda.stream_synchronize, "cuStreamSynchronize");
  resolve(cuda.event_create, "cuEventCreate");
  resolve(cuda.event_record, "cuEventRecord");
  resolve(cuda.event_synchronize, "cuEventSynchronize");
  resolve(cuda.event_elapsed, "cuEventElapsedTime");
  resolve(cuda.launch_kernel, "cuLaunchKernel");
  resolve(cuda.launch_cooperative, "cuLaunchCooperativeKernel");
  resolve(cuda.fill, "cuMemsetD8_v2");
  resolve(cuda.begin_capture, "cuStreamBeginCapture_v2");
  resolve(cuda.end_capture, "cuStreamEndCapture");
  resolve(cuda.graph_instantiate, "cuGraphInstantiateWithFlags");
  resolve(cuda.graph_launch, "cuGraphLaunch");
  resolve(cuda.get_error_name, "cuGetErrorName");
  resolve(cuda.get_error_string, "cuGetErrorString");
  if (resolve.missing().empty()) return cuda;
  error = "libcuda.so.1 has no " + resolve.missing();
  return std::nullopt;
}

std::string describe(const Cuda& cuda, sim::cu::CUresult code) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (cuda.get_error_name(code, &name) != sim::cu::CUDA_SUCCESS || name == nullptr)
    return "error " + std::to_string(static_cast<unsigned>(code));
  static_cast<void>(cuda.get_error_string(code, &text));
  return std::string(name) + ": " + (text == nullptr ? "" : text);
}

void check(const Cuda& cuda, sim::cu::CUresult code, const char* doing) {
  if (code != sim::cu::CUDA_SUCCESS) throw CallError{std::string(doing) + ": " + describe(cuda, code)};
}

}  // namespace berth::samples
