// The library's way into a program: which functions are taken over, the originals behind them, and this
// process's state. What an entry point does once it is in is in memory.h, launch.h and telemetry.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

#include "guard/cuda.h"
#include "guard/launch.h"
#include "guard/process.h"

namespace berth::guard {

/// The functions that are taken over.
enum class Hook : std::uint8_t {
#define HOOK(name, version) name,
#include "guard/hooks.def"
#undef HOOK
  Count
};
inline constexpr std::size_t kHooks = static_cast<std::size_t>(Hook::Count);

struct HookEntry {
  const char* name;
  int version;
  void* entry;  // The guard's function
};
/// In the order of Hook.
const HookEntry& hookEntry(Hook hook) noexcept;

/// The hook of a function of this very name, or null.
const HookEntry* findHook(const char* name) noexcept;
/// The hook to answer with where the driver's cuGetProcAddress found `found` for the unsuffixed `name`, or
/// null when that is no function of ours.
const HookEntry* findHookFor(const char* name, const void* found, int version, bool per_thread) noexcept;

/// What nextOf() has found so far.
// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): constinit where it is defined
extern std::array<std::atomic<void*>, kHooks> g_next;
void* findNextOf(Hook hook) noexcept;
/// The function behind a hook: in the next library of the program, else in the driver's. Null: there is none.
inline void* nextOf(Hook hook) noexcept {
  void* found = g_next[static_cast<std::size_t>(hook)].load(std::memory_order_relaxed);
  return found != nullptr ? found : findNextOf(hook);
}
/// A function of the driver that is not taken over.
void* driverSymbol(const char* name) noexcept;
/// A library that a program has looked up one of our functions in; searched last.
void rememberLibrary(const char* name, void* handle) noexcept;

using DlsymFn = void* (*)(void*, const char*);
using DlvsymFn = void* (*)(void*, const char*, const char*);
DlsymFn realDlsym() noexcept;
DlvsymFn realDlvsym() noexcept;

/// Calls the original with these arguments; CUDA_ERROR_NOT_FOUND when there is none.
template <typename Fn, typename... Args>
CUresult callNext(Hook hook, Args... args) noexcept {
  const auto next = reinterpret_cast<Fn>(nextOf(hook));
  return next != nullptr ? next(args...) : CUDA_ERROR_NOT_FOUND;
}

// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): constinit where it is defined
extern std::atomic<Process*> g_process;
Process* readyProcessSlowly() noexcept;
/// This process's state when the guard does the work here, else null; starts it with the first call.
inline Process* readyProcess() noexcept {
  Process* process = g_process.load(std::memory_order_relaxed);
  const bool ready = process != nullptr && process->ready.load(std::memory_order_acquire);
  return ready ? process : readyProcessSlowly();
}
/// The same for a call of NVML, which needs no CUDA driver in the process.
Process* readyForNvml() noexcept;
/// Why not: true when another copy of the guard does the work, false when nobody can.
bool isPassive() noexcept;
/// Where the files are; the test variant of the library has another definition.
const char* limitsPath() noexcept;
const char* usagePath() noexcept;

/// work(process), or what stands in its place: call() alone inside of another guarded call or in a passive
/// copy, CUDA_ERROR_NOT_PERMITTED where there are no valid limits.
template <typename Call, typename Work>
CUresult guarded(Call call, Work work) noexcept {
  Process* process = readyProcess();
  if (process == nullptr) return isPassive() ? call() : CUDA_ERROR_NOT_PERMITTED;
  const Inside inside(thread(*process));
  return inside.outermost ? work(*process) : call();
}

/// The same for a launch.
template <typename Key, typename Call>
CUresult guardedLaunch(Key key, CUstream stream, Call call) noexcept {
  Process* process = readyProcess();
  if (process == nullptr) return isPassive() ? call() : CUDA_ERROR_NOT_PERMITTED;
  return launch(*process, key, stream, call);
}

/// The stream that a function of the _ptsz family means by null.
inline CUstream perThread(CUstream stream) noexcept {
  return stream != nullptr
             ? stream
             : reinterpret_cast<CUstream>(kStreamPerThread);  // NOLINT(performance-no-int-to-ptr)
}

}  // namespace berth::guard

#define GUARD_EXPORT extern "C" __attribute__((visibility("default")))
/// NEXT(cuInit, flags): the original.
#define NEXT(name, ...) ::berth::guard::callNext<decltype(&::name)>(::berth::guard::Hook::name, __VA_ARGS__)
