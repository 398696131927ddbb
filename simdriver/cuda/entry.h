// What every entry point starts with: is the driver up, has the thread a context, is the context well.
// Nothing leaves an entry point as an exception.
#pragma once

#include <memory>
#include <new>
#include <system_error>
#include <utility>

#include "driver.h"

namespace berth::sim::cu {

/// A handle as the number it is.
template <typename Handle>
std::uintptr_t numberOf(Handle handle) {
  return reinterpret_cast<std::uintptr_t>(handle);
}
template <typename Handle>
Handle handleOf(std::uintptr_t number) {
  return reinterpret_cast<Handle>(number);  // NOLINT(performance-no-int-to-ptr): handles are numbers
}
inline std::byte* addressOf(CUdeviceptr pointer) {
  return reinterpret_cast<std::byte*>(pointer);  // NOLINT(performance-no-int-to-ptr): the ABI's pointers are
}
inline CUdeviceptr devicePointer(const void* address) { return reinterpret_cast<CUdeviceptr>(address); }

/// Runs fn and turns what it throws into a CUresult.
template <typename Fn>
CUresult contained(Fn&& fn) noexcept {
  try {
    return std::forward<Fn>(fn)();
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  } catch (const std::system_error&) {
    return CUDA_ERROR_OPERATING_SYSTEM;
  } catch (...) {
    return CUDA_ERROR_UNKNOWN;
  }
}

/// fn(Driver&) after cuInit.
template <typename Fn>
CUresult initialised(Fn&& fn) noexcept {
  return contained([&]() -> CUresult {
    if (Driver::stopped()) return CUDA_ERROR_DEINITIALIZED;
    Driver* driver = Driver::get();
    if (driver == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
    return fn(*driver);
  });
}

/// For calls that allocate, free, ask or wait: what capture.h says of them now.
inline CUresult forbidWhileCapturing() noexcept {
  return initialised([](Driver& driver) { return driver.captures.forbidUnsafe(); });
}

/// fn(Driver&, const std::shared_ptr<Context>&) with the thread's context. A context in a sticky fault
/// answers with it.
template <typename Fn>
CUresult inContext(Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    std::shared_ptr<Context> context;
    if (const CUresult result = driver.current(context); result != CUDA_SUCCESS) return result;
    if (context->host_calls->onOwnThread()) return CUDA_ERROR_NOT_PERMITTED;
    if (const Status fault = context->session->fault(); fault != Status::Ok) return toResult(fault);
    return fn(driver, context);
  });
}

/// fn(Driver&, context, stream) with a stream argument looked up.
template <typename Fn>
CUresult onStream(CUstream handle, Fn&& fn) noexcept {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    std::shared_ptr<Stream> stream;
    if (const CUresult result = driver.stream(context, handle, stream); result != CUDA_SUCCESS) return result;
    const std::shared_ptr<Context> owner = stream->context.lock();
    if (!owner || !owner->alive) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return fn(driver, owner, stream);
  });
}

}  // namespace berth::sim::cu
