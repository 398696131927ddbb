// Streams: made, waited for, asked; callbacks. Their capture is in stream_capture.cpp.
#include <algorithm>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"

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

/// What `fn` says of the stream, unless a capture forbids to ask. A stream that is itself captured becomes
/// invalid by it.
CUresult ask(CUstream handle, CUresult (*fn)(Context&, Stream&)) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    {
                      const std::lock_guard lock(stream->mutex);
                      if (stream->capture) stream->capture->invalid = true;
                      if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
                    }
                    const CUresult result = driver.captures.forbidUnsafe();
                    return result == CUDA_SUCCESS ? fn(*context, *stream) : result;
                  });
}

CUresult destroy(CUstream handle) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Stream> stream = driver.streams.take(numberOf(handle));
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    const std::shared_ptr<Context> context = stream->context.lock();
    if (!context) return CUDA_SUCCESS;
    {
      const std::lock_guard lock(stream->mutex);
      if (stream->capture) stream->capture->invalid = true;
      if (stream->capture && stream->capture_origin) driver.captures.end(*stream->capture);
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

CUresult synchronize(CUstream handle) { return ask(handle, waitForStream); }

CUresult query(CUstream handle) { return ask(handle, queryStream); }

using Callback = void (*)(CUstream stream, CUresult status, void* data);

}  // namespace

BERTH_CUDA_API cuStreamCreate(CUstream* stream, unsigned flags) { return create(stream, flags, 0); }
BERTH_CUDA_API cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return create(stream, flags, priority);
}

BERTH_CUDA_API cuStreamDestroy_v2(CUstream handle) { return destroy(handle); }
BERTH_CUDA_API cuStreamDestroy(CUstream handle) { return destroy(handle); }

BERTH_CUDA_API cuStreamSynchronize(CUstream stream) { return synchronize(stream); }
BERTH_CUDA_API cuStreamSynchronize_ptsz(CUstream stream) { return synchronize(orPerThread(stream)); }
BERTH_CUDA_API cuStreamQuery(CUstream stream) { return query(stream); }
BERTH_CUDA_API cuStreamQuery_ptsz(CUstream stream) { return query(orPerThread(stream)); }

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

// Attributes of streams are hints, but for the priority, which only creation sets.
BERTH_CUDA_API cuStreamGetAttribute(CUstream handle, unsigned attribute, CUlaunchAttributeValue* value) {
  return onStream(
      handle,
      [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>& stream) -> CUresult {
        if (value == nullptr || attribute == 0 || attribute > kLaunchAttributeLast)
          return CUDA_ERROR_INVALID_VALUE;
        *value = {};
        if (attribute == kLaunchAttributePriority) value->priority = stream->priority;
        return CUDA_SUCCESS;
      });
}
BERTH_CUDA_API cuStreamSetAttribute(CUstream handle, unsigned attribute,
                                    const CUlaunchAttributeValue* value) {
  return onStream(handle,
                  [&](Driver&, const std::shared_ptr<Context>&, const std::shared_ptr<Stream>&) -> CUresult {
                    if (value == nullptr || attribute == 0 || attribute > kLaunchAttributeLast)
                      return CUDA_ERROR_INVALID_VALUE;
                    return CUDA_SUCCESS;
                  });
}
BERTH_CUDA_API cuStreamCopyAttributes(CUstream to, CUstream from) {
  return onStream(to,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>&) -> CUresult {
                    std::shared_ptr<Stream> source;
                    return driver.stream(context, from, source);
                  });
}
BERTH_CUDA_API cuStreamGetAttribute_ptsz(CUstream stream, unsigned attribute, CUlaunchAttributeValue* value) {
  return cuStreamGetAttribute(orPerThread(stream), attribute, value);
}
BERTH_CUDA_API cuStreamSetAttribute_ptsz(CUstream stream, unsigned attribute,
                                         const CUlaunchAttributeValue* value) {
  return cuStreamSetAttribute(orPerThread(stream), attribute, value);
}
BERTH_CUDA_API cuStreamCopyAttributes_ptsz(CUstream to, CUstream from) {
  return cuStreamCopyAttributes(orPerThread(to), orPerThread(from));
}

}  // namespace berth::sim::cu
