#include "gpu/nvml/nvml_library.h"

#include <string>
#include <system_error>

#include <dlfcn.h>

namespace berth::gpu::nvml {
namespace {

constexpr const char* kName = "libnvidia-ml.so.1";
constexpr const char* kSimulatedMarker = "berthSimulatedDriver";

ErrorCode codeOf(Return code) {
  switch (code) {
    case kInvalidArgument:
    case kNotSupported:
      return ErrorCode::InvalidArgument;
    case kNoPermission:
      return ErrorCode::Denied;
    case kNotFound:
    case kGpuNotFound:
      return ErrorCode::NotFound;
    case kInUse:
      return ErrorCode::Conflict;
    case kTimeout:
      return ErrorCode::Timeout;
    case kUninitialized:
    case kDriverNotLoaded:
    case kLibraryNotFound:
    case kFunctionNotFound:
    case kGpuIsLost:
    case kResetRequired:
    case kLibRmVersionMismatch:
      return ErrorCode::Unavailable;
    default:
      return ErrorCode::Io;
  }
}

const char* reasonOf(Return code) {
  switch (code) {
    case kGpuIsLost:
    case kResetRequired:
      return "GpuLost";
    case kNotSupported:
      return "NotSupported";
    case kUninitialized:
    case kDriverNotLoaded:
    case kLibraryNotFound:
    case kLibRmVersionMismatch:
      return "DriverNotLoaded";
    default:
      return "";
  }
}

template <typename Fn>
bool find(void* handle, const char* name, Fn& function) {
  function = reinterpret_cast<Fn>(::dlsym(handle, name));
  return function != nullptr;
}

/// Null when everything we cannot do without is there, else the name of the first that is missing.
const char* bindRequired(void* handle, Functions& functions) {
#define BERTH_BIND(name) \
  if (!find(handle, #name, functions.name)) return #name
  BERTH_BIND(nvmlInit_v2);
  BERTH_BIND(nvmlShutdown);
  BERTH_BIND(nvmlErrorString);
  BERTH_BIND(nvmlSystemGetDriverVersion);
  BERTH_BIND(nvmlSystemGetCudaDriverVersion_v2);
  BERTH_BIND(nvmlDeviceGetCount_v2);
  BERTH_BIND(nvmlDeviceGetHandleByIndex_v2);
  BERTH_BIND(nvmlDeviceGetHandleByUUID);
  BERTH_BIND(nvmlDeviceGetUUID);
  BERTH_BIND(nvmlDeviceGetName);
  BERTH_BIND(nvmlDeviceGetPciInfo_v3);
  BERTH_BIND(nvmlDeviceGetMemoryInfo);
  BERTH_BIND(nvmlDeviceGetComputeMode);
  BERTH_BIND(nvmlDeviceSetComputeMode);
#undef BERTH_BIND
  return nullptr;
}

void bindOptional(void* handle, Functions& functions) {
#define BERTH_BIND(name) find(handle, #name, functions.name)
  BERTH_BIND(nvmlDeviceGetPersistenceMode);
  BERTH_BIND(nvmlDeviceSetPersistenceMode);
  BERTH_BIND(nvmlDeviceGetMemoryInfo_v2);
  BERTH_BIND(nvmlDeviceGetCudaComputeCapability);
  BERTH_BIND(nvmlDeviceGetMinorNumber);
  BERTH_BIND(nvmlDeviceGetUtilizationRates);
  BERTH_BIND(nvmlDeviceGetTemperature);
  BERTH_BIND(nvmlDeviceGetPowerUsage);
  BERTH_BIND(nvmlDeviceGetEnforcedPowerLimit);
  BERTH_BIND(nvmlDeviceGetClockInfo);
  BERTH_BIND(nvmlDeviceGetTotalEnergyConsumption);
  BERTH_BIND(nvmlDeviceGetComputeRunningProcesses_v3);
  BERTH_BIND(nvmlDeviceGetGraphicsRunningProcesses_v3);
  BERTH_BIND(nvmlDeviceGetMPSComputeRunningProcesses_v3);
  BERTH_BIND(nvmlDeviceGetProcessUtilization);
  BERTH_BIND(nvmlEventSetCreate);
  BERTH_BIND(nvmlDeviceRegisterEvents);
  BERTH_BIND(nvmlEventSetWait_v2);
  BERTH_BIND(nvmlEventSetFree);
#undef BERTH_BIND
}

Error noLibrary(const std::filesystem::path& driver_root, const std::string& last_error) {
  std::string message = "no usable " + std::string(kName) + " below " + driver_root.string();
  if (!last_error.empty()) message += ": " + last_error;
  return {ErrorCode::Unavailable, std::move(message), "DriverNotLoaded", {}};
}

}  // namespace

std::vector<std::filesystem::path> libraryCandidates(const std::filesystem::path& driver_root) {
  std::vector<std::filesystem::path> candidates;
  for (const char* folder :
       {"lib", "lib64", "usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib"}) {
    candidates.push_back(driver_root / folder / kName);
  }
  if (driver_root == "/") candidates.emplace_back(kName);
  return candidates;
}

void Library::Close::operator()(void* handle) const { ::dlclose(handle); }

Result<std::unique_ptr<Library>> Library::open(const std::filesystem::path& driver_root) {
  std::unique_ptr<void, Close> handle;
  std::string last_error;
  for (const std::filesystem::path& candidate : libraryCandidates(driver_root)) {
    std::error_code none;
    if (candidate.has_parent_path() && !std::filesystem::exists(candidate, none)) continue;
    handle.reset(::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL));
    if (handle) break;
    const char* const why = ::dlerror();
    last_error = why == nullptr ? "" : why;
  }
  if (!handle) return fail(noLibrary(driver_root, last_error));
  std::unique_ptr<Library> library(new Library(std::move(handle)));
  const char* const missing = bindRequired(library->handle_.get(), library->functions_);
  if (missing != nullptr) return fail(noLibrary(driver_root, "it lacks " + std::string(missing)));
  bindOptional(library->handle_.get(), library->functions_);
  TRY_VOID(library->check(library->functions_.nvmlInit_v2(), "nvmlInit_v2"));
  library->initialised_ = true;
  return library;
}

Library::~Library() {
  if (initialised_) functions_.nvmlShutdown();
}

bool Library::simulated() const { return ::dlsym(handle_.get(), kSimulatedMarker) != nullptr; }

Result<void> Library::reinitialise() {
  initialised_ = false;
  TRY_VOID(check(functions_.nvmlShutdown(), "nvmlShutdown"));
  TRY_VOID(check(functions_.nvmlInit_v2(), "nvmlInit_v2"));
  initialised_ = true;
  return {};
}

Result<void> Library::check(Return code, std::string_view call, std::string_view object) const {
  if (code == kSuccess) return {};
  std::string message(call);
  if (!object.empty()) message.append(" on ").append(object);
  const char* const text = functions_.nvmlErrorString(code);
  message.append(": ").append(text == nullptr ? "unknown error" : text);
  message.append(" (").append(std::to_string(code)).append(")");
  return fail(Error{codeOf(code), std::move(message), reasonOf(code), {}});
}

}  // namespace berth::gpu::nvml
