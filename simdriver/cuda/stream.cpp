// Streams: made, waited for, asked; callbacks; and their capture into graphs.
#include <algorithm>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "graph.h"

namespace berth::sim::cu {
namespace {

constexpr int kGreatestPriority = -5;

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

CUresult create(CUstream* out, unsigned flags, int priority) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || flags > kStreamNonBlocking) return CUDA_ERROR_INVALID_VALUE;
    auto stream = std::make_shared<Stream>();
    stream->context = context;
    stream->flags = flags;
    stream->priority = std::clamp(priority, kGreatestPriority, 0);
    stream->engine_stream = context->session->createStream(stream->priority);
    stream->handle = driver.streams.add(stream);
    if ((flags & kStreamNonBlocking) == 0) {
      const std::lock_guard lock(context->mutex);
      context->blocking_streams.push_back(stream);
    }
    *out = handleOf<CUstream>(stream->handle);
    return CUDA_SUCCESS;
  });
}

CUresult waitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    constexpr unsigned kWaitExternal = 1;
                    if (flags > kWaitExternal) return CUDA_ERROR_INVALID_VALUE;
                    const std::shared_ptr<Event> event = driver.events.find(numberOf(event_handle));
                    if (!event) return CUDA_ERROR_INVALID_HANDLE;
                    std::shared_ptr<Capture> capture;
                    std::vector<std::shared_ptr<GraphNode>> after;
                    {
                      const std::lock_guard lock(event->mutex);
                      capture = event->capture;
                      after = event->captured_after;
                    }
                    if (!capture)
                      return submit(driver, context, stream, AwaitEvent{event, numberOf(event_handle)});
                    // Waiting for a captured event takes the stream into that capture.
                    const std::lock_guard lock(stream->mutex);
                    if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
                    if (stream->capture && stream->capture != capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
                    if (!stream->capture) {
                      stream->capture = capture;
                      stream->capture_tail.clear();
                      const std::lock_guard capture_lock(capture->mutex);
                      capture->streams.push_back(stream);
                    }
                    stream->capture_tail.insert(stream->capture_tail.end(), after.begin(), after.end());
                    return CUDA_SUCCESS;
                  });
}

CUresult beginCapture(CUstream handle, unsigned mode) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>&,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
                    if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
                    const std::lock_guard lock(stream->mutex);
                    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
                    auto capture = std::make_shared<Capture>();
                    capture->graph = makeGraph(driver);
                    capture->id = driver.nextId();
                    capture->streams.push_back(stream);
                    stream->capture = std::move(capture);
                    stream->capture_origin = true;
                    stream->capture_tail.clear();
                    return CUDA_SUCCESS;
                  });
}

/// True when every node a joined stream ended with has a follower or is one the origin ended with.
bool joined(const Capture& capture, const Stream& origin) {
  const auto followed = [&](const std::shared_ptr<GraphNode>& node) {
    for (const std::shared_ptr<GraphNode>& tail : origin.capture_tail) {
      if (tail == node) return true;
    }
    for (const std::shared_ptr<GraphNode>& other : capture.graph->nodes) {
      for (const std::shared_ptr<GraphNode>& before : other->after) {
        if (before == node) return true;
      }
    }
    return false;
  };
  for (const std::weak_ptr<Stream>& weak : capture.streams) {
    const std::shared_ptr<Stream> stream = weak.lock();
    if (!stream || stream.get() == &origin) continue;
    for (const std::shared_ptr<GraphNode>& node : stream->capture_tail) {
      if (!followed(node)) return false;
    }
  }
  return true;
}

CUresult endCapture(CUstream handle, CUgraph* out) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>&,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    *out = nullptr;
                    std::shared_ptr<Capture> capture;
                    bool complete = false;
                    {
                      const std::lock_guard lock(stream->mutex);
                      if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
                      if (!stream->capture_origin) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
                      capture = stream->capture;
                      complete = joined(*capture, *stream);
                    }
                    for (const std::weak_ptr<Stream>& weak : capture->streams) {
                      const std::shared_ptr<Stream> member = weak.lock();
                      if (!member) continue;
                      const std::lock_guard lock(member->mutex);
                      member->capture = nullptr;
                      member->capture_origin = false;
                      member->capture_tail.clear();
                    }
                    if (capture->invalid || !complete) {
                      forgetGraph(driver, *capture->graph);
                      return capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                                              : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
                    }
                    *out = handleOf<CUgraph>(capture->graph->handle);
                    return CUDA_SUCCESS;
                  });
}

CUresult captureInfo(CUstream handle, unsigned* status, std::uint64_t* id) {
  return onStream(
      handle,
      [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>& stream) -> CUresult {
        if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
        const std::lock_guard lock(stream->mutex);
        *status = CU_STREAM_CAPTURE_STATUS_NONE;
        if (!stream->capture) return CUDA_SUCCESS;
        *status =
            stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
        if (id != nullptr) *id = stream->capture->id;
        return CUDA_SUCCESS;
      });
}

CUresult synchronize(CUstream handle) {
  return onStream(
      handle, [](Driver&, const std::shared_ptr<Context>& context, const std::shared_ptr<Stream>& stream) {
        return waitForStream(*context, *stream);
      });
}

CUresult query(CUstream handle) {
  return onStream(
      handle, [](Driver&, const std::shared_ptr<Context>& context, const std::shared_ptr<Stream>& stream) {
        return queryStream(*context, *stream);
      });
}

using Callback = void (*)(CUstream stream, CUresult status, void* data);

}  // namespace

BERTH_CUDA_API cuStreamCreate(CUstream* stream, unsigned flags) { return create(stream, flags, 0); }
BERTH_CUDA_API cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return create(stream, flags, priority);
}

BERTH_CUDA_API cuStreamDestroy_v2(CUstream handle) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Stream> stream = driver.streams.take(numberOf(handle));
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    const std::shared_ptr<Context> context = stream->context.lock();
    if (!context) return CUDA_SUCCESS;
    {
      const std::lock_guard lock(stream->mutex);
      if (stream->capture) stream->capture->invalid = true;
      stream->capture = nullptr;
    }
    // Its queued work still runs; only then may the engine forget the queue.
    const Ticket last = context->session->last(stream->engine_stream);
    if (last.sequence != 0) static_cast<void>(context->session->wait(last));
    context->host_calls->drain(stream->engine_stream);
    context->session->destroyStream(stream->engine_stream);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuStreamSynchronize(CUstream stream) { return synchronize(stream); }
BERTH_CUDA_API cuStreamSynchronize_ptsz(CUstream stream) { return synchronize(orPerThread(stream)); }
BERTH_CUDA_API cuStreamQuery(CUstream stream) { return query(stream); }
BERTH_CUDA_API cuStreamQuery_ptsz(CUstream stream) { return query(orPerThread(stream)); }
BERTH_CUDA_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return waitEvent(stream, event, flags);
}
BERTH_CUDA_API cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned flags) {
  return waitEvent(orPerThread(stream), event, flags);
}

BERTH_CUDA_API cuStreamAddCallback(CUstream handle, Callback callback, void* data, unsigned flags) {
  return onStream(handle,
                  [&](Driver&, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
                    const std::lock_guard lock(stream->mutex);
                    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
                    Ticket ticket;
                    const Status status = context->session->submit(stream->engine_stream, Work{}, ticket);
                    if (status != Status::Ok) return toResult(status);
                    context->host_calls->queue({ticket, [=] { callback(handle, CUDA_SUCCESS, data); }});
                    return CUDA_SUCCESS;
                  });
}

BERTH_CUDA_API cuStreamGetCtx(CUstream handle, CUcontext* out) {
  return onStream(
      handle,
      [&](Driver&, const std::shared_ptr<Context>& context, const std::shared_ptr<Stream>&) -> CUresult {
        if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *out = handleOf<CUcontext>(context->handle);
        return CUDA_SUCCESS;
      });
}

BERTH_CUDA_API cuStreamGetFlags(CUstream handle, unsigned* flags) {
  return onStream(
      handle,
      [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>& stream) -> CUresult {
        if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *flags = stream->flags;
        return CUDA_SUCCESS;
      });
}

BERTH_CUDA_API cuStreamGetPriority(CUstream handle, int* priority) {
  return onStream(
      handle,
      [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>& stream) -> CUresult {
        if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
        *priority = stream->priority;
        return CUDA_SUCCESS;
      });
}

BERTH_CUDA_API cuStreamGetId(CUstream handle, unsigned long long* id) {
  return onStream(handle,
                  [&](Driver&, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    *id = (static_cast<unsigned long long>(context->handle) << 16) + stream->engine_stream;
                    return CUDA_SUCCESS;
                  });
}

BERTH_CUDA_API cuStreamAttachMemAsync(CUstream handle, CUdeviceptr pointer, std::size_t, unsigned flags) {
  return onStream(
      handle,
      [&](Driver& driver, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>&) -> CUresult {
        if (flags != kMemAttachGlobal && flags != kMemAttachHost && flags != kMemAttachSingle)
          return CUDA_ERROR_INVALID_VALUE;
        const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
        return found && found->kind == MemoryKind::Managed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
      });
}

BERTH_CUDA_API cuStreamAddCallback_ptsz(CUstream stream, Callback callback, void* data, unsigned flags) {
  return cuStreamAddCallback(orPerThread(stream), callback, data, flags);
}
BERTH_CUDA_API cuStreamGetCtx_ptsz(CUstream stream, CUcontext* context) {
  return cuStreamGetCtx(orPerThread(stream), context);
}
BERTH_CUDA_API cuStreamGetFlags_ptsz(CUstream stream, unsigned* flags) {
  return cuStreamGetFlags(orPerThread(stream), flags);
}
BERTH_CUDA_API cuStreamGetPriority_ptsz(CUstream stream, int* priority) {
  return cuStreamGetPriority(orPerThread(stream), priority);
}
BERTH_CUDA_API cuStreamGetId_ptsz(CUstream stream, unsigned long long* id) {
  return cuStreamGetId(orPerThread(stream), id);
}
BERTH_CUDA_API cuStreamAttachMemAsync_ptsz(CUstream stream, CUdeviceptr pointer, std::size_t bytes,
                                           unsigned flags) {
  return cuStreamAttachMemAsync(orPerThread(stream), pointer, bytes, flags);
}

BERTH_CUDA_API cuStreamBeginCapture_v2(CUstream stream, unsigned mode) { return beginCapture(stream, mode); }
BERTH_CUDA_API cuStreamBeginCapture_v2_ptsz(CUstream stream, unsigned mode) {
  return beginCapture(orPerThread(stream), mode);
}
BERTH_CUDA_API cuStreamEndCapture(CUstream stream, CUgraph* graph) { return endCapture(stream, graph); }
BERTH_CUDA_API cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return endCapture(orPerThread(stream), graph);
}
BERTH_CUDA_API cuStreamIsCapturing(CUstream stream, unsigned* status) {
  return captureInfo(stream, status, nullptr);
}
BERTH_CUDA_API cuStreamIsCapturing_ptsz(CUstream stream, unsigned* status) {
  return captureInfo(orPerThread(stream), status, nullptr);
}
BERTH_CUDA_API cuStreamGetCaptureInfo(CUstream stream, unsigned* status, std::uint64_t* id) {
  return captureInfo(stream, status, id);
}
BERTH_CUDA_API cuStreamGetCaptureInfo_v2(CUstream stream, unsigned* status, std::uint64_t* id, CUgraph* graph,
                                         const CUgraphNode** dependencies, std::size_t* count) {
  if (dependencies != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  const CUresult result = captureInfo(stream, status, id);
  if (result != CUDA_SUCCESS) return result;
  return onStream(
      stream,
      [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>& found) -> CUresult {
        const std::lock_guard lock(found->mutex);
        if (graph != nullptr) *graph = handleOf<CUgraph>(found->capture ? found->capture->graph->handle : 0);
        if (count != nullptr) *count = found->capture_tail.size();
        return CUDA_SUCCESS;
      });
}

BERTH_CUDA_API cuThreadExchangeStreamCaptureMode(unsigned* mode) {
  // Calls that a capture mode would forbid are never unsafe here; the mode is only kept.
  thread_local unsigned current = CU_STREAM_CAPTURE_MODE_GLOBAL;
  if (mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  std::swap(*mode, current);
  return CUDA_SUCCESS;
}

}  // namespace berth::sim::cu
