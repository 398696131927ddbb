// Entry points by which programs look up functions: who asks for one that is taken over gets the guard's.
#include <cstring>

#include <dlfcn.h>

#include "guard/entry.h"

using namespace berth::guard;  // NOLINT(google-build-using-namespace): the entry points are not in it

namespace {

/// Whether an answer to dlsym is ours to give. RTLD_NEXT and RTLD_DEFAULT are answered by the loader: they
/// find the guard's own functions first, and what a library asks for behind itself it must get.
const HookEntry* wanted(void* handle, const char* name) noexcept {
  if (handle == RTLD_NEXT || handle == RTLD_DEFAULT || name == nullptr) return nullptr;
  return findHook(name);
}

/// Programs also look up the lookup itself.
void* lookupFunction(const char* name) noexcept {
  if (name == nullptr) return nullptr;
  if (std::strcmp(name, "dlsym") == 0) return reinterpret_cast<void*>(&::dlsym);
  if (std::strcmp(name, "dlvsym") == 0) return reinterpret_cast<void*>(&::dlvsym);
  return nullptr;
}

/// `found` is what the loader found; a function that the library has not stays missing.
void* answer(void* handle, const HookEntry& hook, void* found) noexcept {
  if (found == nullptr) return nullptr;
  if (found != hook.entry) rememberLibrary(hook.name, handle);
  return hook.entry;
}

CUresult answerProcAddress(CUresult result, const char* name, void** function, int version,
                           unsigned long long flags) noexcept {
  if (result != CUDA_SUCCESS || name == nullptr || function == nullptr || *function == nullptr) return result;
  if (readyProcess() == nullptr && isPassive()) return result;
  const bool per_thread = (flags & kProcAddressPerThreadStream) != 0;
  if (const HookEntry* hook = findHookFor(name, *function, version, per_thread); hook != nullptr) {
    *function = hook->entry;
  }
  return result;
}

}  // namespace

GUARD_EXPORT void* dlsym(void* handle, const char* name) noexcept {
  if (const HookEntry* hook = wanted(handle, name); hook != nullptr) {
    return answer(handle, *hook, realDlsym()(handle, name));
  }
  if (handle != RTLD_NEXT && lookupFunction(name) != nullptr) return lookupFunction(name);
  return realDlsym()(handle, name);  // A jump: the loader looks at who called
}

GUARD_EXPORT void* dlvsym(void* handle, const char* name, const char* version) noexcept {
  if (const HookEntry* hook = wanted(handle, name); hook != nullptr) {
    return answer(handle, *hook, realDlvsym()(handle, name, version));
  }
  if (lookupFunction(name) != nullptr) return lookupFunction(name);
  return realDlvsym()(handle, name, version);
}

GUARD_EXPORT CUresult cuGetProcAddress(const char* name, void** function, int version,
                                       unsigned long long flags) noexcept {
  const CUresult result = NEXT(cuGetProcAddress, name, function, version, flags);
  return answerProcAddress(result, name, function, version, flags);
}
GUARD_EXPORT CUresult cuGetProcAddress_v2(const char* name, void** function, int version,
                                          unsigned long long flags,
                                          CUdriverProcAddressQueryResult* status) noexcept {
  const CUresult result = NEXT(cuGetProcAddress_v2, name, function, version, flags, status);
  return answerProcAddress(result, name, function, version, flags);
}
