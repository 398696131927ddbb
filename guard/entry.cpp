#include "guard/entry.h"

#include <array>
#include <cstring>

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard/elf_symbols.h"

namespace berth::guard {

constinit std::array<std::atomic<void*>, kHooks> g_next{};
constinit std::atomic<Process*> g_process{nullptr};

namespace {

constexpr const char* kCudaLibrary = "libcuda.so.1";
constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

// Plain pointers and maps, which a forked child may go on using.
std::atomic<void*> g_cuda_handle{nullptr};
std::atomic<void*> g_nvml_handle{nullptr};
std::atomic<DlsymFn> g_dlsym{nullptr};
std::atomic<DlvsymFn> g_dlvsym{nullptr};
std::atomic<const LimitsRegion*> g_limits{nullptr};
std::atomic<UsageRegion*> g_usage{nullptr};

using DlopenFn = void* (*)(const char*, int);

bool isNvml(const char* name) noexcept { return name[0] == 'n'; }

void* findInLibc(const char* name) noexcept {
  void* found = findInLibrary("libc.so", name);
  return found != nullptr ? found : findInLibrary("libdl.so", name);  // Before glibc 2.34
}

/// In the libraries after this one, in the driver's own, in one that the program has looked in.
void* findNext(const char* name) noexcept {
  const DlsymFn look = realDlsym();
  if (look == nullptr) return nullptr;
  if (void* found = look(RTLD_NEXT, name); found != nullptr) return found;
  static const auto open = reinterpret_cast<DlopenFn>(findInLibc("dlopen"));
  void* library = nullptr;
  if (open != nullptr) library = open(isNvml(name) ? kNvmlLibrary : kCudaLibrary, RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) library = (isNvml(name) ? g_nvml_handle : g_cuda_handle).load();
  return library != nullptr ? look(library, name) : nullptr;
}

/// A file of the region, mapped whole; null when it is not there or too short.
void* mapFile(const char* path, bool writable, std::size_t& bytes) noexcept {
  const int fd = ::open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) return nullptr;
  // Not fstat, nor dlopen below: their symbols are of glibc 2.33 and newer, and where the guard does not
  // load, ld.so goes on without it.
  const off_t length = ::lseek(fd, 0, SEEK_END);
  void* base = MAP_FAILED;
  if (length > 0) {
    bytes = static_cast<std::size_t>(length);
    base = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  }
  ::close(fd);
  return base != MAP_FAILED ? base : nullptr;
}

void mapRegions() noexcept {
  if (g_limits.load() != nullptr) return;
  std::size_t limits_bytes = 0;
  std::size_t usage_bytes = 0;
  const auto* limits = static_cast<const LimitsRegion*>(mapFile(limitsPath(), false, limits_bytes));
  auto* usage = static_cast<UsageRegion*>(mapFile(usagePath(), true, usage_bytes));
  const bool valid = limits != nullptr && usage != nullptr && limits_bytes >= sizeof(LimitsRegion) &&
                     validLimits(*limits, limits_bytes) && usage_bytes >= sizeof(UsageHeader) &&
                     validUsage(usage->header, usage_bytes, limits->gpu_count);
  if (!valid) return;
  g_usage = usage;
  g_limits = limits;
}

/// Zeros that a fork hands on as zeros. Null on a kernel before 4.14.
Process* makeProcess() noexcept {
  void* base = ::mmap(nullptr, sizeof(Process), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  if (::madvise(base, sizeof(Process), MADV_WIPEONFORK) != 0) {
    ::munmap(base, sizeof(Process));
    return nullptr;
  }
  Process* none = nullptr;
  if (!g_process.compare_exchange_strong(none, static_cast<Process*>(base))) ::munmap(base, sizeof(Process));
  return g_process.load();
}

template <typename Fn>
void load(Fn& function, const char* name, const char* otherwise = nullptr) noexcept {
  void* found = driverSymbol(name);
  if (found == nullptr && otherwise != nullptr) found = driverSymbol(otherwise);
  function = reinterpret_cast<Fn>(found);
}

/// Threads that come here at once write the same values.
void loadDriver(Process& process) noexcept {
  Driver& driver = process.driver;
  load(driver.nvmlGetUuid, "nvmlDeviceGetUUID");
  load(driver.ctxGetDevice, "cuCtxGetDevice");
  load(driver.deviceGetUuid, "cuDeviceGetUuid_v2", "cuDeviceGetUuid");
  load(driver.primaryCtxGetState, "cuDevicePrimaryCtxGetState");
  load(driver.memFree, "cuMemFree_v2");
  load(driver.memGetAddressRange, "cuMemGetAddressRange_v2");
  load(driver.deviceGetMemPool, "cuDeviceGetMemPool");
  load(driver.memPoolGetAttribute, "cuMemPoolGetAttribute");
  load(driver.memPoolTrimTo, "cuMemPoolTrimTo");
  load(driver.deviceGetGraphMemAttribute, "cuDeviceGetGraphMemAttribute");
  load(driver.eventCreate, "cuEventCreate");
  load(driver.eventDestroy, "cuEventDestroy_v2");
  load(driver.eventRecord, "cuEventRecord");
  load(driver.eventQuery, "cuEventQuery");
  load(driver.eventElapsedTime, "cuEventElapsedTime");
  load(driver.streamIsCapturing, "cuStreamIsCapturing");
  load(driver.exchangeCaptureMode, "cuThreadExchangeStreamCaptureMode");
  load(driver.ctxGetCurrent, "cuCtxGetCurrent");
  if (driver.ctxGetCurrent != nullptr) process.ready.store(true, std::memory_order_release);
}

void startOnce(Process& process) noexcept {
  State fresh = State::Fresh;
  if (process.state.compare_exchange_strong(fresh, State::Starting)) {
    mapRegions();
    start(process, g_limits.load(), g_usage.load(), systemClock());
  }
  while (process.state.load(std::memory_order_acquire) == State::Starting) ::sched_yield();
}

/// Started, with a slot; or null.
Process* startedProcess() noexcept {
  Process* process = g_process.load();
  if (process == nullptr) process = makeProcess();
  if (process == nullptr) return nullptr;
  startOnce(*process);
  return process->state.load() == State::Ready ? process : nullptr;
}

constexpr const char* kSuffixes[] = {"", "_v2", "_v3", "_v4"};

/// Whether `full` is `base`, a version suffix, and `_ptsz` or `_ptds` where `per_thread`.
bool isFormOf(const char* full, const char* base, bool per_thread) noexcept {
  const std::size_t length = std::strlen(base);
  if (std::strncmp(full, base, length) != 0) return false;
  const char* rest = full + length;
  for (const char* suffix : kSuffixes) {
    const std::size_t taken = std::strlen(suffix);
    if (std::strncmp(rest, suffix, taken) != 0) continue;
    const char* end = rest + taken;
    if (per_thread ? std::strcmp(end, "_ptsz") == 0 || std::strcmp(end, "_ptds") == 0 : *end == '\0')
      return true;
  }
  return false;
}

/// The newest form that a program of this CUDA version knows.
const HookEntry* newestForm(const char* base, int version, bool per_thread) noexcept {
  const HookEntry* best = nullptr;
  for (std::size_t i = 0; i < kHooks; ++i) {
    const HookEntry& entry = hookEntry(static_cast<Hook>(i));
    if (entry.version > version || !isFormOf(entry.name, base, per_thread)) continue;
    if (best == nullptr || entry.version > best->version) best = &entry;
  }
  return best;
}

}  // namespace

DlsymFn realDlsym() noexcept {
  DlsymFn found = g_dlsym.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = reinterpret_cast<DlsymFn>(findInLibc("dlsym"));
    g_dlsym = found;
  }
  return found;
}

DlvsymFn realDlvsym() noexcept {
  DlvsymFn found = g_dlvsym.load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = reinterpret_cast<DlvsymFn>(findInLibc("dlvsym"));
    g_dlvsym = found;
  }
  return found;
}

const HookEntry* findHook(const char* name) noexcept {
  if (std::strncmp(name, "cu", 2) != 0 && std::strncmp(name, "nvml", 4) != 0) return nullptr;
  for (std::size_t i = 0; i < kHooks; ++i) {
    const HookEntry& entry = hookEntry(static_cast<Hook>(i));
    if (std::strcmp(entry.name, name) == 0) return &entry;
  }
  return nullptr;
}

const HookEntry* findHookFor(const char* name, const void* found, int version, bool per_thread) noexcept {
  for (std::size_t i = 0; i < kHooks; ++i) {
    const HookEntry& entry = hookEntry(static_cast<Hook>(i));
    const bool form = isFormOf(entry.name, name, false) || isFormOf(entry.name, name, true);
    if (form && (nextOf(static_cast<Hook>(i)) == found || entry.entry == found)) return &entry;
  }
  const HookEntry* newest = newestForm(name, version, per_thread);
  return newest != nullptr ? newest : newestForm(name, version, false);
}

void* findNextOf(Hook hook) noexcept {
  void* found = findNext(hookEntry(hook).name);
  g_next[static_cast<std::size_t>(hook)].store(found, std::memory_order_relaxed);
  return found;
}

void* driverSymbol(const char* name) noexcept { return findNext(name); }

void rememberLibrary(const char* name, void* handle) noexcept {
  (isNvml(name) ? g_nvml_handle : g_cuda_handle).store(handle);
}

Process* readyProcessSlowly() noexcept {
  Process* process = startedProcess();
  if (process != nullptr && !process->ready.load()) loadDriver(*process);
  return process;
}

Process* readyForNvml() noexcept {
  Process* process = startedProcess();
  if (process == nullptr) return nullptr;
  process->usage->slots[process->slot].flags.fetch_or(kSlotUsesDriver);
  if (process->driver.nvmlGetUuid == nullptr) load(process->driver.nvmlGetUuid, "nvmlDeviceGetUUID");
  return process;
}

bool isPassive() noexcept {
  const Process* process = g_process.load();
  return process != nullptr && process->state.load() == State::Passive;
}

}  // namespace berth::guard
