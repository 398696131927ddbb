// Captures in progress, and what they forbid: a call that cannot be captured fails while a stream is being
// captured, and takes the capture with it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "objects.h"

namespace berth::sim::cu {

/// Safe from several threads.
class CaptureList {
 public:
  void add(const std::shared_ptr<Capture>& capture);
  /// Marks it as ended and forgets it.
  void end(Capture& capture);

  /// For a call that is unsafe while capturing (it allocates, frees, asks or waits): by the rules of
  /// cuThreadExchangeStreamCaptureMode, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED and the captures in its way
  /// become invalid; else CUDA_SUCCESS.
  CUresult forbidUnsafe();
  /// For work in the default stream of `context`, which would wait for a stream that is being captured:
  /// CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, and the capture becomes invalid.
  CUresult forbidImplicit(const Context& context);

  /// The calling thread's mode, which it may exchange.
  static unsigned& threadMode();

 private:
  template <typename Predicate>
  bool invalidateIf(Predicate in_the_way);

  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::vector<std::weak_ptr<Capture>> captures_;
};

}  // namespace berth::sim::cu
