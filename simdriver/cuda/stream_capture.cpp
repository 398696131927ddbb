// Capture of streams into graphs, and the waits between streams that carry a capture from one to the next.
#include <algorithm>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"
#include "graph.h"

namespace berth::sim::cu {
namespace {

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

/// The nodes behind handles, which must be distinct nodes of `graph`.
CUresult nodesOf(Driver& driver, const Graph& graph, const CUgraphNode* handles, std::size_t count,
                 Nodes& nodes) {
  if (handles == nullptr && count != 0) return CUDA_ERROR_INVALID_VALUE;
  for (std::size_t i = 0; i < count; ++i) {
    const std::shared_ptr<GraphNode> node = driver.graph_nodes.find(numberOf(handles[i]));
    if (!node || node->graph.lock().get() != &graph) return CUDA_ERROR_INVALID_VALUE;
    nodes.push_back(node);
  }
  return CUDA_SUCCESS;
}

void takePart(const std::shared_ptr<Capture>& capture, const std::shared_ptr<Stream>& stream) {
  stream->capture = capture;
  stream->capture_tail.clear();
  if ((stream->flags & kStreamNonBlocking) == 0) capture->blocking = true;
  const std::lock_guard lock(capture->mutex);
  capture->streams.push_back(stream);
}

/// What a captured event stands for.
struct CapturedPlace {
  std::shared_ptr<Capture> capture;
  Nodes after;
  bool recorded = false;
};

CapturedPlace placeOf(Event& event) {
  const std::lock_guard lock(event.mutex);
  return {event.capture, event.captured_after, event.recorded};
}

/// Waiting for a captured event takes the stream into that capture. The caller holds the stream's lock.
CUresult join(const std::shared_ptr<Stream>& stream, const CapturedPlace& place) {
  if (place.capture->ended) return CUDA_ERROR_CAPTURED_EVENT;
  if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  if (stream->capture && stream->capture != place.capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  if (!stream->capture) takePart(place.capture, stream);
  for (const std::shared_ptr<GraphNode>& node : place.after) {
    if (std::ranges::find(stream->capture_tail, node) == stream->capture_tail.end())
      stream->capture_tail.push_back(node);
  }
  return CUDA_SUCCESS;
}

CUresult waitEvent(CUstream handle, CUevent event_handle, unsigned flags) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (flags > kEventWaitExternal) return CUDA_ERROR_INVALID_VALUE;
                    const std::shared_ptr<Event> event = driver.events.find(numberOf(event_handle));
                    if (!event) return CUDA_ERROR_INVALID_HANDLE;
                    const CapturedPlace place = placeOf(*event);
                    {
                      const std::lock_guard lock(stream->mutex);
                      if (place.capture) return join(stream, place);
                      if (stream->capture && flags == 0) {
                        if (!place.recorded) return CUDA_SUCCESS;
                        stream->capture->invalid = true;
                        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
                      }
                    }
                    return submit(driver, context, stream, AwaitEvent{event, numberOf(event_handle)});
                  });
}

/// Begins a capture into `graph`, or into a new one when that is null, behind `after`.
CUresult begin(CUstream handle, std::shared_ptr<Graph> graph, const Nodes& after, unsigned mode) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
                    if (stream->legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
                    const std::lock_guard lock(stream->mutex);
                    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
                    auto capture = std::make_shared<Capture>();
                    capture->into_given_graph = graph != nullptr;
                    capture->graph = graph ? std::move(graph) : makeGraph(driver);
                    capture->id = driver.nextId();
                    capture->thread = Driver::threadNumber();
                    capture->mode = mode;
                    capture->context = context.get();
                    takePart(capture, stream);
                    stream->capture_origin = true;
                    stream->capture_tail = after;
                    driver.captures.add(capture);
                    return CUDA_SUCCESS;
                  });
}

/// True when every node a joined stream ended with has a follower or is one the origin ended with.
bool joined(const Capture& capture, const Nodes& tails, const Nodes& origin_tail) {
  const std::lock_guard lock(capture.graph->mutex);
  const auto followed = [&](const std::shared_ptr<GraphNode>& node) {
    if (std::ranges::find(origin_tail, node) != origin_tail.end()) return true;
    return std::ranges::any_of(capture.graph->nodes, [&](const std::shared_ptr<GraphNode>& other) {
      return std::ranges::find(other->after, node) != other->after.end();
    });
  };
  return std::ranges::all_of(tails, followed);
}

/// Lets all streams out of the capture; what the others than `origin` ended with.
Nodes release(Capture& capture, const Stream& origin) {
  Nodes tails;
  const std::lock_guard capture_lock(capture.mutex);
  for (const std::weak_ptr<Stream>& weak : capture.streams) {
    const std::shared_ptr<Stream> member = weak.lock();
    if (!member) continue;
    const std::lock_guard lock(member->mutex);
    if (member.get() != &origin)
      tails.insert(tails.end(), member->capture_tail.begin(), member->capture_tail.end());
    member->capture = nullptr;
    member->capture_origin = false;
    member->capture_tail.clear();
  }
  return tails;
}

CUresult finish(Driver& driver, const std::shared_ptr<Stream>& stream, CUgraph* out) {
  std::shared_ptr<Capture> capture;
  Nodes origin_tail;
  {
    const std::lock_guard lock(stream->mutex);
    if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (!stream->capture_origin) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    capture = stream->capture;
    origin_tail = stream->capture_tail;
  }
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != Driver::threadNumber())
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  const Nodes tails = release(*capture, *stream);
  driver.captures.end(*capture);
  const bool complete = joined(*capture, tails, origin_tail);
  if (capture->invalid || !complete) {
    if (!capture->into_given_graph) forgetGraph(driver, *capture->graph);
    return capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  }
  *out = handleOf<CUgraph>(capture->graph->handle);
  return CUDA_SUCCESS;
}

CUresult endCapture(CUstream handle, CUgraph* out) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>&,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    *out = nullptr;
                    return finish(driver, stream, out);
                  });
}

/// What the forms of cuStreamGetCaptureInfo tell; null where the program does not want to know.
struct CaptureQuestions {
  unsigned* status = nullptr;
  std::uint64_t* id = nullptr;
  CUgraph* graph = nullptr;
  const CUgraphNode** dependencies = nullptr;
  std::size_t* count = nullptr;
};

void tell(Stream& stream, const CaptureQuestions& ask) {
  if (ask.id != nullptr) *ask.id = stream.capture->id;
  if (ask.graph != nullptr) *ask.graph = handleOf<CUgraph>(stream.capture->graph->handle);
  stream.told_tail.clear();
  for (const std::shared_ptr<GraphNode>& node : stream.capture_tail)
    stream.told_tail.push_back(handleOf<CUgraphNode>(node->handle));
  if (ask.dependencies != nullptr) *ask.dependencies = stream.told_tail.data();
  if (ask.count != nullptr) *ask.count = stream.told_tail.size();
}

CUresult captureInfo(CUstream handle, const CaptureQuestions& ask) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (ask.status == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    *ask.status = CU_STREAM_CAPTURE_STATUS_NONE;
                    // The default stream cannot be captured, but asking about it is a question about those
                    // that wait for it.
                    if (stream->legacy) return driver.captures.forbidImplicit(*context);
                    const std::lock_guard lock(stream->mutex);
                    if (!stream->capture) return CUDA_SUCCESS;
                    *ask.status = stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                                           : CU_STREAM_CAPTURE_STATUS_ACTIVE;
                    tell(*stream, ask);
                    return CUDA_SUCCESS;
                  });
}

CUresult updateDependencies(CUstream handle, const CUgraphNode* nodes, std::size_t count, unsigned flags) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>&,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (flags > kCaptureSetDependencies) return CUDA_ERROR_INVALID_VALUE;
                    const std::lock_guard lock(stream->mutex);
                    if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
                    Nodes found;
                    const CUresult result = nodesOf(driver, *stream->capture->graph, nodes, count, found);
                    if (result != CUDA_SUCCESS) return result;
                    if (flags == kCaptureSetDependencies) stream->capture_tail.clear();
                    for (std::shared_ptr<GraphNode>& node : found) {
                      if (std::ranges::find(stream->capture_tail, node) == stream->capture_tail.end())
                        stream->capture_tail.push_back(std::move(node));
                    }
                    return CUDA_SUCCESS;
                  });
}

CUresult beginToGraph(CUstream stream, CUgraph handle, const CUgraphNode* nodes, std::size_t count,
                      unsigned mode) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(handle));
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    Nodes after;
    const CUresult result = nodesOf(driver, *graph, nodes, count, after);
    return result == CUDA_SUCCESS ? begin(stream, graph, after, mode) : result;
  });
}

}  // namespace

BERTH_CUDA_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  return waitEvent(stream, event, flags);
}
BERTH_CUDA_API cuStreamWaitEvent_ptsz(CUstream stream, CUevent event, unsigned flags) {
  return waitEvent(orPerThread(stream), event, flags);
}
BERTH_CUDA_API cuStreamBeginCapture(CUstream stream) {
  return begin(stream, nullptr, {}, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
BERTH_CUDA_API cuStreamBeginCapture_ptsz(CUstream stream) {
  return begin(orPerThread(stream), nullptr, {}, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
BERTH_CUDA_API cuStreamBeginCapture_v2(CUstream stream, unsigned mode) {
  return begin(stream, nullptr, {}, mode);
}
BERTH_CUDA_API cuStreamBeginCapture_v2_ptsz(CUstream stream, unsigned mode) {
  return begin(orPerThread(stream), nullptr, {}, mode);
}
BERTH_CUDA_API cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* nodes,
                                           const CUgraphEdgeData*, std::size_t count, unsigned mode) {
  return beginToGraph(stream, graph, nodes, count, mode);
}
BERTH_CUDA_API cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph, const CUgraphNode* nodes,
                                                const CUgraphEdgeData*, std::size_t count, unsigned mode) {
  return beginToGraph(orPerThread(stream), graph, nodes, count, mode);
}
BERTH_CUDA_API cuStreamEndCapture(CUstream stream, CUgraph* graph) { return endCapture(stream, graph); }
BERTH_CUDA_API cuStreamEndCapture_ptsz(CUstream stream, CUgraph* graph) {
  return endCapture(orPerThread(stream), graph);
}
BERTH_CUDA_API cuStreamIsCapturing(CUstream stream, unsigned* status) {
  return captureInfo(stream, {.status = status});
}
BERTH_CUDA_API cuStreamIsCapturing_ptsz(CUstream stream, unsigned* status) {
  return captureInfo(orPerThread(stream), {.status = status});
}
BERTH_CUDA_API cuStreamGetCaptureInfo(CUstream stream, unsigned* status, std::uint64_t* id) {
  return captureInfo(stream, {.status = status, .id = id});
}
BERTH_CUDA_API cuStreamGetCaptureInfo_ptsz(CUstream stream, unsigned* status, std::uint64_t* id) {
  return captureInfo(orPerThread(stream), {.status = status, .id = id});
}
BERTH_CUDA_API cuStreamGetCaptureInfo_v2(CUstream stream, unsigned* status, std::uint64_t* id, CUgraph* graph,
                                         const CUgraphNode** dependencies, std::size_t* count) {
  return captureInfo(stream, {status, id, graph, dependencies, count});
}
BERTH_CUDA_API cuStreamGetCaptureInfo_v2_ptsz(CUstream stream, unsigned* status, std::uint64_t* id,
                                              CUgraph* graph, const CUgraphNode** dependencies,
                                              std::size_t* count) {
  return captureInfo(orPerThread(stream), {status, id, graph, dependencies, count});
}
// All dependencies are plain ones: there is no edge data to tell.
BERTH_CUDA_API cuStreamGetCaptureInfo_v3(CUstream stream, unsigned* status, std::uint64_t* id, CUgraph* graph,
                                         const CUgraphNode** dependencies, const CUgraphEdgeData** edges,
                                         std::size_t* count) {
  if (edges != nullptr) *edges = nullptr;
  return captureInfo(stream, {status, id, graph, dependencies, count});
}
BERTH_CUDA_API cuStreamGetCaptureInfo_v3_ptsz(CUstream stream, unsigned* status, std::uint64_t* id,
                                              CUgraph* graph, const CUgraphNode** dependencies,
                                              const CUgraphEdgeData** edges, std::size_t* count) {
  return cuStreamGetCaptureInfo_v3(orPerThread(stream), status, id, graph, dependencies, edges, count);
}
BERTH_CUDA_API cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* nodes, std::size_t count,
                                                 unsigned flags) {
  return updateDependencies(stream, nodes, count, flags);
}
BERTH_CUDA_API cuStreamUpdateCaptureDependencies_ptsz(CUstream stream, CUgraphNode* nodes, std::size_t count,
                                                      unsigned flags) {
  return updateDependencies(orPerThread(stream), nodes, count, flags);
}
BERTH_CUDA_API cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode* nodes,
                                                    const CUgraphEdgeData*, std::size_t count,
                                                    unsigned flags) {
  return updateDependencies(stream, nodes, count, flags);
}
BERTH_CUDA_API cuStreamUpdateCaptureDependencies_v2_ptsz(CUstream stream, CUgraphNode* nodes,
                                                         const CUgraphEdgeData*, std::size_t count,
                                                         unsigned flags) {
  return updateDependencies(orPerThread(stream), nodes, count, flags);
}

BERTH_CUDA_API cuThreadExchangeStreamCaptureMode(unsigned* mode) {
  if (mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  std::swap(*mode, CaptureList::threadMode());
  return CUDA_SUCCESS;
}

}  // namespace berth::sim::cu
