#include "library.h"

#include <algorithm>
#include <string_view>

#include "cuda_api.h"
#include "entry.h"
#include "module.h"

namespace berth::sim::cu {
namespace {

CUresult moduleOf(Driver& driver, const std::shared_ptr<Context>& context, Library& library,
                  std::uintptr_t& module) {
  const std::lock_guard lock(library.mutex);
  const auto known = library.modules.find(context->handle);
  if (known != library.modules.end()) {
    module = known->second;
    return CUDA_SUCCESS;
  }
  const CUresult result = loadModule(driver, context, library.ptx, module);
  if (result == CUDA_SUCCESS) library.modules.emplace(context->handle, module);
  return result;
}

CUresult addLibrary(Driver& driver, CUlibrary* out, PtxModule ptx) {
  auto library = std::make_shared<Library>();
  library->ptx = std::move(ptx);
  *out = handleOf<CUlibrary>(driver.libraries.add(std::move(library)));
  return CUDA_SUCCESS;
}

template <typename Fn>
CUresult onLibrary(CUlibrary handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Library> library = driver.libraries.find(numberOf(handle));
    return library ? fn(driver, library) : CUDA_ERROR_INVALID_HANDLE;
  });
}

/// The handle of a kernel, made on first use; 0 when the library has none of that name.
std::uintptr_t kernelOf(Driver& driver, const std::shared_ptr<Library>& library, std::string_view name) {
  const std::lock_guard lock(library->mutex);
  const auto known = library->kernels.find(name);
  if (known != library->kernels.end()) return known->second;
  const auto found = std::ranges::find(library->ptx.kernels, name, &PtxKernel::name);
  if (found == library->ptx.kernels.end()) return 0;
  auto kernel = std::make_shared<Kernel>();
  kernel->library = library;
  kernel->name = name;
  const std::uintptr_t number = driver.kernels.add(std::move(kernel));
  library->kernels.emplace(name, number);
  return number;
}

}  // namespace

CUresult kernelFunction(Driver& driver, const std::shared_ptr<Context>& context, std::uintptr_t kernel,
                        std::uintptr_t& function) {
  const std::shared_ptr<Kernel> found = driver.kernels.find(kernel);
  const std::shared_ptr<Library> library = found ? found->library.lock() : nullptr;
  if (!library) return CUDA_ERROR_INVALID_HANDLE;
  std::uintptr_t handle = 0;
  if (const CUresult result = moduleOf(driver, context, *library, handle); result != CUDA_SUCCESS)
    return result;
  const std::shared_ptr<Module> module = driver.modules.find(handle);
  return module ? functionOf(driver, module, found->name, function) : CUDA_ERROR_INVALID_HANDLE;
}

BERTH_CUDA_API cuLibraryLoadData(CUlibrary* out, const void* code, unsigned*, void**, unsigned, unsigned*,
                                 void**, unsigned) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || code == nullptr) return CUDA_ERROR_INVALID_VALUE;
    PtxModule ptx;
    const CUresult result = parseImage(code, ptx);
    return result == CUDA_SUCCESS ? addLibrary(driver, out, std::move(ptx)) : result;
  });
}

BERTH_CUDA_API cuLibraryLoadFromFile(CUlibrary* out, const char* path, unsigned*, void**, unsigned, unsigned*,
                                     void**, unsigned) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || path == nullptr) return CUDA_ERROR_INVALID_VALUE;
    PtxModule ptx;
    const CUresult result = parseImageFile(path, ptx);
    return result == CUDA_SUCCESS ? addLibrary(driver, out, std::move(ptx)) : result;
  });
}

BERTH_CUDA_API cuLibraryUnload(CUlibrary handle) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Library> library = driver.libraries.take(numberOf(handle));
    if (!library) return CUDA_ERROR_INVALID_HANDLE;
    const std::lock_guard lock(library->mutex);
    for (const auto& [name, kernel] : library->kernels) driver.kernels.take(kernel);
    // A module whose context has gone is out of the table already.
    for (const auto& [context, module] : library->modules) static_cast<void>(unloadModule(driver, module));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLibraryGetKernel(CUkernel* out, CUlibrary handle, const char* name) {
  return onLibrary(handle, [&](Driver& driver, const std::shared_ptr<Library>& library) -> CUresult {
    if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::uintptr_t kernel = kernelOf(driver, library, name);
    if (kernel == 0) return CUDA_ERROR_NOT_FOUND;
    *out = handleOf<CUkernel>(kernel);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLibraryGetKernelCount(unsigned* count, CUlibrary handle) {
  return onLibrary(handle, [&](Driver&, const std::shared_ptr<Library>& library) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<unsigned>(library->ptx.kernels.size());
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLibraryEnumerateKernels(CUkernel* out, unsigned count, CUlibrary handle) {
  return onLibrary(handle, [&](Driver& driver, const std::shared_ptr<Library>& library) -> CUresult {
    if (out == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && i < library->ptx.kernels.size(); ++i)
      out[i] = handleOf<CUkernel>(kernelOf(driver, library, library->ptx.kernels[i].name));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLibraryGetModule(CUmodule* out, CUlibrary handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Library> library = driver.libraries.find(numberOf(handle));
    if (!library) return CUDA_ERROR_INVALID_HANDLE;
    std::uintptr_t module = 0;
    const CUresult result = moduleOf(driver, context, *library, module);
    if (result == CUDA_SUCCESS) *out = handleOf<CUmodule>(module);
    return result;
  });
}

BERTH_CUDA_API cuModuleGetGlobal_v2(CUdeviceptr* pointer, std::size_t* bytes, CUmodule module,
                                    const char* name);

BERTH_CUDA_API cuLibraryGetGlobal(CUdeviceptr* pointer, std::size_t* bytes, CUlibrary library,
                                  const char* name) {
  CUmodule module = nullptr;
  const CUresult result = cuLibraryGetModule(&module, library);
  return result == CUDA_SUCCESS ? cuModuleGetGlobal_v2(pointer, bytes, module, name) : result;
}

// PTX has no managed variables and no functions that hosts and devices share.
BERTH_CUDA_API cuLibraryGetManaged(CUdeviceptr* pointer, std::size_t*, CUlibrary library, const char* name) {
  return onLibrary(library, [&](Driver&, const std::shared_ptr<Library>&) {
    return pointer == nullptr || name == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_FOUND;
  });
}
BERTH_CUDA_API cuLibraryGetUnifiedFunction(void** function, CUlibrary library, const char* name) {
  return onLibrary(library, [&](Driver&, const std::shared_ptr<Library>&) {
    return function == nullptr || name == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_FOUND;
  });
}

BERTH_CUDA_API cuKernelGetFunction(CUfunction* out, CUkernel kernel) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::uintptr_t function = 0;
    const CUresult result = kernelFunction(driver, context, numberOf(kernel), function);
    if (result == CUDA_SUCCESS) *out = handleOf<CUfunction>(function);
    return result;
  });
}

BERTH_CUDA_API cuFuncGetAttribute(int* value, unsigned attribute, CUfunction function);
BERTH_CUDA_API cuFuncSetAttribute(CUfunction function, unsigned attribute, int value);

BERTH_CUDA_API cuKernelGetAttribute(int* value, unsigned attribute, CUkernel kernel, CUdevice) {
  return cuFuncGetAttribute(value, attribute, handleOf<CUfunction>(numberOf(kernel)));
}

BERTH_CUDA_API cuKernelSetAttribute(unsigned attribute, int value, CUkernel kernel, CUdevice) {
  return cuFuncSetAttribute(handleOf<CUfunction>(numberOf(kernel)), attribute, value);
}

BERTH_CUDA_API cuFuncGetParamInfo(CUfunction function, std::size_t index, std::size_t* offset,
                                  std::size_t* bytes);
BERTH_CUDA_API cuFuncSetCacheConfig(CUfunction function, unsigned config);

BERTH_CUDA_API cuKernelGetParamInfo(CUkernel kernel, std::size_t index, std::size_t* offset,
                                    std::size_t* bytes) {
  return cuFuncGetParamInfo(handleOf<CUfunction>(numberOf(kernel)), index, offset, bytes);
}
BERTH_CUDA_API cuKernelSetCacheConfig(CUkernel kernel, unsigned config, CUdevice) {
  return cuFuncSetCacheConfig(handleOf<CUfunction>(numberOf(kernel)), config);
}

BERTH_CUDA_API cuKernelGetName(const char** name, CUkernel handle) {
  return initialised([&](Driver& driver) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Kernel> kernel = driver.kernels.find(numberOf(handle));
    if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
    *name = kernel->name.c_str();
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
