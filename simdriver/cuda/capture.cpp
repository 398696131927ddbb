#include "capture.h"

#include "driver.h"

namespace berth::sim::cu {

void CaptureList::add(const std::shared_ptr<Capture>& capture) {
  const std::lock_guard lock(mutex_);
  captures_.push_back(capture);
  count_.store(captures_.size());
}

void CaptureList::end(Capture& capture) {
  capture.ended = true;
  const std::lock_guard lock(mutex_);
  std::erase_if(captures_, [&](const std::weak_ptr<Capture>& weak) {
    const std::shared_ptr<Capture> known = weak.lock();
    return !known || known.get() == &capture;
  });
  count_.store(captures_.size());
}

unsigned& CaptureList::threadMode() {
  thread_local unsigned mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  return mode;
}

template <typename Predicate>
bool CaptureList::invalidateIf(Predicate in_the_way) {
  if (count_.load() == 0) return false;
  bool any = false;
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Capture>& weak : captures_) {
    const std::shared_ptr<Capture> capture = weak.lock();
    if (!capture || !in_the_way(*capture)) continue;
    capture->invalid = true;
    any = true;
  }
  return any;
}

CUresult CaptureList::forbidUnsafe() {
  const unsigned mode = threadMode();
  if (mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  const std::uint64_t thread = Driver::threadNumber();
  const bool forbidden = invalidateIf([&](const Capture& capture) {
    if (capture.thread == thread) return capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    return mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture.mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
  });
  return forbidden ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult CaptureList::forbidImplicit(const Context& context) {
  const bool forbidden =
      invalidateIf([&](const Capture& capture) { return capture.blocking && capture.context == &context; });
  return forbidden ? CUDA_ERROR_STREAM_CAPTURE_IMPLICIT : CUDA_SUCCESS;
}

}  // namespace berth::sim::cu
