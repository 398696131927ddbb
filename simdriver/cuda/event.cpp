// Events: places in streams, and device time between them.
#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "shared_event.h"

namespace berth::sim::cu {
namespace {

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

CUresult record(CUevent event_handle, CUstream handle, unsigned flags) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (flags > kEventRecordExternal) return CUDA_ERROR_INVALID_VALUE;
                    const std::shared_ptr<Event> event = driver.events.find(numberOf(event_handle));
                    if (!event || event->context.lock() != context) return CUDA_ERROR_INVALID_HANDLE;
                    return submit(driver, context, stream,
                                  RecordEvent{event, numberOf(event_handle), flags != 0});
                  });
}

/// What an event waits for, as it is now.
struct Place {
  std::shared_ptr<Context> context;
  bool recorded = false;
  Ticket ticket;
};

/// fn(event, place) with the event looked up. A captured event answers CUDA_ERROR_CAPTURED_EVENT.
template <typename Fn>
CUresult withPlace(CUevent handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Event> event = driver.events.find(numberOf(handle));
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    Place place;
    place.context = event->context.lock();
    if (!place.context) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    {
      const std::lock_guard lock(event->mutex);
      if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
      place.recorded = event->recorded;
      place.ticket = event->ticket;
    }
    return fn(*event, place);
  });
}

/// Device time of a finished event in nanoseconds.
CUresult timeOf(CUevent handle, Place& place, std::uint64_t& at) {
  return withPlace(handle, [&](const Event& event, const Place& found) -> CUresult {
    if (!found.recorded || (event.flags & kEventDisableTiming) != 0) return CUDA_ERROR_INVALID_HANDLE;
    place = found;
    const Status fault = found.context->session->fault();
    if (fault != Status::Ok) return toResult(fault);
    if (!found.context->session->done(found.ticket)) return CUDA_ERROR_NOT_READY;
    at = found.context->session->finishedAt(found.ticket);
    return CUDA_SUCCESS;
  });
}

CUresult elapsed(float* milliseconds, CUevent start, CUevent end) {
  if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Place first;
  Place last;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  if (const CUresult result = timeOf(start, first, from); result != CUDA_SUCCESS) return result;
  if (const CUresult result = timeOf(end, last, to); result != CUDA_SUCCESS) return result;
  // Two contexts may be on two devices, whose times have nothing to do with each other.
  if (first.context != last.context) return CUDA_ERROR_INVALID_HANDLE;
  const double nanoseconds = static_cast<double>(to) - static_cast<double>(from);
  *milliseconds = static_cast<float>(nanoseconds / 1e6);
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuEventCreate(CUevent* out, unsigned flags) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    constexpr unsigned kKnown = kEventBlockingSync | kEventDisableTiming | kEventInterprocess;
    if (out == nullptr || (flags & ~kKnown) != 0) return CUDA_ERROR_INVALID_VALUE;
    if ((flags & kEventInterprocess) != 0 && (flags & kEventDisableTiming) == 0)
      return CUDA_ERROR_INVALID_VALUE;
    auto event = std::make_shared<Event>();
    event->context = context;
    event->flags = flags;
    if ((flags & kEventInterprocess) != 0) {
      event->shared = SharedEvent::make();
      if (!event->shared) return CUDA_ERROR_OPERATING_SYSTEM;
    }
    *out = handleOf<CUevent>(driver.events.add(std::move(event)));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuEventDestroy_v2(CUevent event) {
  return initialised([&](Driver& driver) -> CUresult {
    return driver.events.take(numberOf(event)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}
BERTH_CUDA_API cuEventDestroy(CUevent event) { return cuEventDestroy_v2(event); }

BERTH_CUDA_API cuEventRecord(CUevent event, CUstream stream) { return record(event, stream, 0); }
BERTH_CUDA_API cuEventRecord_ptsz(CUevent event, CUstream stream) {
  return record(event, orPerThread(stream), 0);
}
BERTH_CUDA_API cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
  return record(event, stream, flags);
}
BERTH_CUDA_API cuEventRecordWithFlags_ptsz(CUevent event, CUstream stream, unsigned flags) {
  return record(event, orPerThread(stream), flags);
}

BERTH_CUDA_API cuEventQuery(CUevent handle) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return withPlace(handle, [](const Event& event, const Place& place) -> CUresult {
    if (const Status fault = place.context->session->fault(); fault != Status::Ok) return toResult(fault);
    if (event.shared) return event.shared->done() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
    return !place.recorded || place.context->session->done(place.ticket) ? CUDA_SUCCESS
                                                                         : CUDA_ERROR_NOT_READY;
  });
}

BERTH_CUDA_API cuEventSynchronize(CUevent handle) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return withPlace(handle, [](const Event& event, const Place& place) -> CUresult {
    if (event.shared) return event.shared->wait();
    const Status status = place.recorded ? place.context->session->wait(place.ticket) : Status::Ok;
    if (Driver* driver = Driver::get()) driver->trimPools(place.context->device);
    return toResult(status);
  });
}

BERTH_CUDA_API cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end);
}
BERTH_CUDA_API cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return elapsed(milliseconds, start, end);
}

}  // namespace berth::sim::cu
