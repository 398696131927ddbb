#include "module.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "cuda_api.h"
#include "device.h"
#include "entry.h"
#include "library.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned char kElf[] = {0x7f, 'E', 'L', 'F'};
constexpr unsigned char kFatBinary[] = {0x50, 0xed, 0x55, 0xba};
constexpr unsigned char kFatWrapper[] = {0xb1, 0x43, 0x62, 0x46};

/// Machine code, which the simulated GPU has no use for: its cost hints are in PTX.
bool isBinary(const void* image) {
  return std::memcmp(image, kElf, 1) == 0 || std::memcmp(image, kFatBinary, 2) == 0 ||
         std::memcmp(image, kFatWrapper, 2) == 0;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

CUresult parseText(std::string_view text, PtxModule& ptx) {
  std::optional<PtxModule> parsed = parsePtx(text);
  if (!parsed) return CUDA_ERROR_INVALID_PTX;
  ptx = *std::move(parsed);
  return CUDA_SUCCESS;
}

CUresult load(CUmodule* out, const void* image) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    PtxModule ptx;
    if (const CUresult result = parseImage(image, ptx); result != CUDA_SUCCESS) return result;
    std::uintptr_t handle = 0;
    const CUresult result = loadModule(driver, context, ptx, handle);
    if (result == CUDA_SUCCESS) *out = handleOf<CUmodule>(handle);
    return result;
  });
}

int settingOr(Function& function, unsigned attribute, int fallback) {
  const std::lock_guard lock(function.mutex);
  const auto set = function.settings.find(attribute);
  return set == function.settings.end() ? fallback : set->second;
}

}  // namespace

CUresult parseImage(const void* image, PtxModule& ptx) {
  if (isBinary(image)) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  const auto* text = static_cast<const char*>(image);
  const std::size_t length = ::strnlen(text, kMaxPtxBytes + 1);
  return length > kMaxPtxBytes ? CUDA_ERROR_INVALID_IMAGE : parseText({text, length}, ptx);
}

CUresult readImageFile(const char* path, std::string& bytes) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path, "re"));
  if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
  char chunk[65536];
  for (std::size_t got = 0; (got = std::fread(chunk, 1, sizeof(chunk), file.get())) != 0;) {
    bytes.append(chunk, got);
    if (bytes.size() > kMaxPtxBytes) return CUDA_ERROR_INVALID_IMAGE;
  }
  return CUDA_SUCCESS;
}

CUresult parseImageFile(const char* path, PtxModule& ptx) {
  std::string bytes;
  const CUresult result = readImageFile(path, bytes);
  return result == CUDA_SUCCESS ? parseImage(bytes.c_str(), ptx) : result;
}

CUresult loadModule(Driver& driver, const std::shared_ptr<Context>& context, const PtxModule& ptx,
                    std::uintptr_t& handle) {
  const Profile& profile = context->session->profile();
  if (ptx.target > profile.compute_major * 10 + profile.compute_minor) return CUDA_ERROR_NO_BINARY_FOR_GPU;
  auto module = std::make_shared<Module>();
  module->context = context;
  module->ptx = ptx;
  CUresult result = CUDA_SUCCESS;
  for (const PtxVariable& variable : ptx.variables) {
    if (variable.bytes == 0 || module->variables.contains(variable.name)) continue;
    std::shared_ptr<Allocation> memory;
    result = driver.allocate(context, variable.bytes, MemoryKind::Device, memory);
    if (result != CUDA_SUCCESS) break;
    module->variables.emplace(variable.name, std::move(memory));
  }
  handle = driver.modules.add(module);
  module->handle = handle;
  if (result != CUDA_SUCCESS) static_cast<void>(unloadModule(driver, handle));
  return result;
}

CUresult unloadModule(Driver& driver, std::uintptr_t handle) {
  const std::shared_ptr<Module> module = driver.modules.take(handle);
  if (!module) return CUDA_ERROR_INVALID_HANDLE;
  for (const auto& [name, function] : module->functions) driver.functions.take(function);
  for (const auto& [name, memory] : module->variables) {
    if (driver.addresses.take(memory->base, [](const Allocation&) { return true; })) driver.giveBack(*memory);
  }
  return CUDA_SUCCESS;
}

CUresult functionOf(Driver& driver, const std::shared_ptr<Module>& module, std::string_view name,
                    std::uintptr_t& handle) {
  const std::lock_guard lock(module->mutex);
  const auto known = module->functions.find(name);
  if (known != module->functions.end()) {
    handle = known->second;
    return CUDA_SUCCESS;
  }
  for (const PtxKernel& kernel : module->ptx.kernels) {
    if (kernel.name != name) continue;
    auto function = std::make_shared<Function>();
    function->module = module;
    function->kernel = kernel;
    function->ptx_version = module->ptx.version;
    function->target = module->ptx.target;
    handle = driver.functions.add(function);
    function->handle = handle;
    module->functions.emplace(name, handle);
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_NOT_FOUND;
}

std::shared_ptr<Function> findFunction(Driver& driver, const std::shared_ptr<Context>& context,
                                       CUfunction handle) {
  if (std::shared_ptr<Function> function = driver.functions.find(numberOf(handle))) return function;
  std::uintptr_t resolved = 0;
  if (kernelFunction(driver, context, numberOf(handle), resolved) != CUDA_SUCCESS) return nullptr;
  return driver.functions.find(resolved);
}

BERTH_CUDA_API cuModuleLoad(CUmodule* out, const char* path) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || path == nullptr) return CUDA_ERROR_INVALID_VALUE;
    PtxModule ptx;
    if (const CUresult result = parseImageFile(path, ptx); result != CUDA_SUCCESS) return result;
    std::uintptr_t handle = 0;
    const CUresult result = loadModule(driver, context, ptx, handle);
    if (result == CUDA_SUCCESS) *out = handleOf<CUmodule>(handle);
    return result;
  });
}

BERTH_CUDA_API cuModuleLoadData(CUmodule* out, const void* image) { return load(out, image); }
BERTH_CUDA_API cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned, unsigned*, void**) {
  // Options steer the just-in-time compiler; there is none.
  return load(out, image);
}
BERTH_CUDA_API cuModuleLoadFatBinary(CUmodule* out, const void* image) { return load(out, image); }

BERTH_CUDA_API cuModuleUnload(CUmodule module) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) {
    return unloadModule(driver, numberOf(module));
  });
}

BERTH_CUDA_API cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (out == nullptr || name == nullptr || *name == '\0') return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Module> module = driver.modules.find(numberOf(handle));
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    std::uintptr_t function = 0;
    const CUresult result = functionOf(driver, module, name, function);
    if (result == CUDA_SUCCESS) *out = handleOf<CUfunction>(function);
    return result;
  });
}

BERTH_CUDA_API cuModuleGetFunctionCount(unsigned* count, CUmodule handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Module> module = driver.modules.find(numberOf(handle));
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    *count = static_cast<unsigned>(module->ptx.kernels.size());
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuModuleEnumerateFunctions(CUfunction* out, unsigned count, CUmodule handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    const std::shared_ptr<Module> module = driver.modules.find(numberOf(handle));
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    if (out == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count && i < module->ptx.kernels.size(); ++i) {
      std::uintptr_t function = 0;
      const CUresult result = functionOf(driver, module, module->ptx.kernels[i].name, function);
      if (result != CUDA_SUCCESS) return result;
      out[i] = handleOf<CUfunction>(function);
    }
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuModuleGetGlobal_v2(CUdeviceptr* pointer, std::size_t* bytes, CUmodule handle,
                                    const char* name) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (name == nullptr || (pointer == nullptr && bytes == nullptr)) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Module> module = driver.modules.find(numberOf(handle));
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    const auto found = module->variables.find(std::string_view(name));
    if (found == module->variables.end()) return CUDA_ERROR_NOT_FOUND;
    if (pointer != nullptr) *pointer = devicePointer(found->second->base);
    if (bytes != nullptr) *bytes = found->second->bytes;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuModuleGetLoadingMode(unsigned* mode) {
  constexpr unsigned kLazy = 2;
  return initialised([&](Driver&) -> CUresult {
    if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *mode = kLazy;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncGetAttribute(int* value, unsigned attribute, CUfunction handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (value == nullptr || attribute >= CU_FUNC_ATTRIBUTE_MAX) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    constexpr int kRegisters = 32;
    constexpr int kDynamicShared = 49152;
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = function->kernel.max_threads == 0 ? 1024 : static_cast<int>(function->kernel.max_threads);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *value = static_cast<int>(function->kernel.shared_bytes);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *value = kRegisters;
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value = function->target;
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *value = settingOr(*function, attribute, kDynamicShared);
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *value = settingOr(*function, attribute, -1);
        return CUDA_SUCCESS;
      default:
        *value = 0;
        return CUDA_SUCCESS;
    }
  });
}

BERTH_CUDA_API cuFuncSetAttribute(CUfunction handle, unsigned attribute, int value) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    const bool shared = attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    if (!shared && attribute != CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT)
      return CUDA_ERROR_INVALID_VALUE;
    if (shared && (value < 0 || value > maxSharedPerBlockOptIn(context->session->profile())))
      return CUDA_ERROR_INVALID_VALUE;
    const std::lock_guard lock(function->mutex);
    function->settings[attribute] = value;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncSetCacheConfig(CUfunction handle, unsigned config) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (!findFunction(driver, context, handle)) return CUDA_ERROR_INVALID_HANDLE;
    return config <= 3 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

BERTH_CUDA_API cuFuncSetSharedMemConfig(CUfunction handle, unsigned config) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (!findFunction(driver, context, handle)) return CUDA_ERROR_INVALID_HANDLE;
    return config <= 2 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

BERTH_CUDA_API cuFuncGetModule(CUmodule* out, CUfunction handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    const std::shared_ptr<Module> module = function ? function->module.lock() : nullptr;
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    *out = handleOf<CUmodule>(module->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncGetName(const char** name, CUfunction handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    *name = function->kernel.name.c_str();
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncGetParamInfo(CUfunction handle, std::size_t index, std::size_t* offset,
                                  std::size_t* bytes) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (offset == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    if (index >= function->kernel.parameters.size()) return CUDA_ERROR_INVALID_VALUE;
    *offset = function->kernel.parameters[index].offset;
    if (bytes != nullptr) *bytes = function->kernel.parameters[index].bytes;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncIsLoaded(unsigned* state, CUfunction handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (state == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!findFunction(driver, context, handle)) return CUDA_ERROR_INVALID_HANDLE;
    *state = 1;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuFuncLoad(CUfunction handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) {
    return findFunction(driver, context, handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace berth::sim::cu
