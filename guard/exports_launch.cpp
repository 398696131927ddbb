// Entry points that start work on a GPU. Names and arguments are NVIDIA's.
#include "guard/entry.h"
#include "guard/memory.h"

using namespace berth::guard;  // NOLINT(google-build-using-namespace): the entry points are not in it

namespace {

std::uint64_t keyOf(const void* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                    unsigned bz) noexcept {
  return launchKey(kernel, threadsOf({gx, gy, gz}, {bx, by, bz}));
}

std::uint64_t keyOf(const CUlaunchConfig* config, const void* kernel) noexcept {
  if (config == nullptr) return launchKey(kernel, 0);
  return keyOf(kernel, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX,
               config->blockDimY, config->blockDimZ);
}

CUstream streamOf(const CUlaunchConfig* config) noexcept {
  return config != nullptr ? config->hStream : nullptr;
}

template <typename Call>
CUresult launchGraph(CUgraphExec graph, CUstream stream, Call call) noexcept {
  const CUresult result = guardedLaunch([=] { return launchKey(graph, 0); }, stream, call);
  Process* process = readyProcess();
  if (process == nullptr || !process->graph_memory.load(std::memory_order_relaxed)) return result;
  Place place;
  CUdevice device = 0;
  if (currentPlace(*process, place) == CUDA_SUCCESS &&
      process->driver.ctxGetDevice(&device) == CUDA_SUCCESS) {
    settleGraphMemory(*process, place.gpu, device);
  }
  return result;
}

/// From now on it is asked before each launch whether its stream is being captured.
template <typename Call>
CUresult beginCapture(Call call) noexcept {
  return guarded(call, [&](Process& process) {
    process.captures = true;
    return call();
  });
}

}  // namespace

#define GRID unsigned gx, unsigned gy, unsigned gz
#define BLOCK unsigned bx, unsigned by, unsigned bz

GUARD_EXPORT CUresult cuLaunchKernel(CUfunction kernel, GRID, BLOCK, unsigned shared, CUstream stream,
                                     void** parameters, void** extra) noexcept {
  return guardedLaunch([=] { return keyOf(kernel, gx, gy, gz, bx, by, bz); }, stream,
                       [&] {
                         return NEXT(cuLaunchKernel, kernel, gx, gy, gz, bx, by, bz, shared, stream,
                                     parameters, extra);
                       });
}
GUARD_EXPORT CUresult cuLaunchKernel_ptsz(CUfunction kernel, GRID, BLOCK, unsigned shared, CUstream stream,
                                          void** parameters, void** extra) noexcept {
  return guardedLaunch([=] { return keyOf(kernel, gx, gy, gz, bx, by, bz); }, perThread(stream),
                       [&] {
                         return NEXT(cuLaunchKernel_ptsz, kernel, gx, gy, gz, bx, by, bz, shared, stream,
                                     parameters, extra);
                       });
}
GUARD_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction kernel, void** parameters,
                                       void** extra) noexcept {
  return guardedLaunch([=] { return keyOf(config, kernel); }, streamOf(config),
                       [&] { return NEXT(cuLaunchKernelEx, config, kernel, parameters, extra); });
}
GUARD_EXPORT CUresult cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction kernel,
                                            void** parameters, void** extra) noexcept {
  return guardedLaunch([=] { return keyOf(config, kernel); }, perThread(streamOf(config)),
                       [&] { return NEXT(cuLaunchKernelEx_ptsz, config, kernel, parameters, extra); });
}
GUARD_EXPORT CUresult cuLaunchCooperativeKernel(CUfunction kernel, GRID, BLOCK, unsigned shared,
                                                CUstream stream, void** parameters) noexcept {
  return guardedLaunch([=] { return keyOf(kernel, gx, gy, gz, bx, by, bz); }, stream,
                       [&] {
                         return NEXT(cuLaunchCooperativeKernel, kernel, gx, gy, gz, bx, by, bz, shared,
                                     stream, parameters);
                       });
}
GUARD_EXPORT CUresult cuLaunchCooperativeKernel_ptsz(CUfunction kernel, GRID, BLOCK, unsigned shared,
                                                     CUstream stream, void** parameters) noexcept {
  return guardedLaunch([=] { return keyOf(kernel, gx, gy, gz, bx, by, bz); }, perThread(stream),
                       [&] {
                         return NEXT(cuLaunchCooperativeKernel_ptsz, kernel, gx, gy, gz, bx, by, bz, shared,
                                     stream, parameters);
                       });
}
// One launch on several GPUs at once: charged as one on the first stream's, where it takes as long as on the
// others.
GUARD_EXPORT CUresult cuLaunchCooperativeKernelMultiDevice(LaunchParams* launches, unsigned count,
                                                           unsigned flags) noexcept {
  const bool any = launches != nullptr && count != 0;
  const std::uint64_t key =
      any ? launchKey(launches->function, threadsOf(launches->grid, launches->block)) : 0;
  return guardedLaunch([=] { return key; }, any ? launches->hStream : nullptr,
                       [&] { return NEXT(cuLaunchCooperativeKernelMultiDevice, launches, count, flags); });
}

GUARD_EXPORT CUresult cuLaunch(CUfunction kernel) noexcept {
  return guardedLaunch([=] { return launchKey(kernel, 1); }, nullptr, [&] { return NEXT(cuLaunch, kernel); });
}
GUARD_EXPORT CUresult cuLaunchGrid(CUfunction kernel, int width, int height) noexcept {
  const std::uint64_t key =
      launchKey(kernel, static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height));
  return guardedLaunch([=] { return key; }, nullptr,
                       [&] { return NEXT(cuLaunchGrid, kernel, width, height); });
}
GUARD_EXPORT CUresult cuLaunchGridAsync(CUfunction kernel, int width, int height, CUstream stream) noexcept {
  const std::uint64_t key =
      launchKey(kernel, static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height));
  return guardedLaunch([=] { return key; }, stream,
                       [&] { return NEXT(cuLaunchGridAsync, kernel, width, height, stream); });
}

GUARD_EXPORT CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) noexcept {
  return launchGraph(graph, stream, [&] { return NEXT(cuGraphLaunch, graph, stream); });
}
GUARD_EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec graph, CUstream stream) noexcept {
  return launchGraph(graph, perThread(stream), [&] { return NEXT(cuGraphLaunch_ptsz, graph, stream); });
}
GUARD_EXPORT CUresult cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* after,
                                             std::size_t count, void* parameters) noexcept {
  const auto call = [&] { return NEXT(cuGraphAddMemAllocNode, out, graph, after, count, parameters); };
  return guarded(call, [&](Process& process) {
    process.graph_memory = true;
    return call();
  });
}

GUARD_EXPORT CUresult cuStreamBeginCapture(CUstream stream) noexcept {
  return beginCapture([&] { return NEXT(cuStreamBeginCapture, stream); });
}
GUARD_EXPORT CUresult cuStreamBeginCapture_ptsz(CUstream stream) noexcept {
  return beginCapture([&] { return NEXT(cuStreamBeginCapture_ptsz, stream); });
}
GUARD_EXPORT CUresult cuStreamBeginCapture_v2(CUstream stream, unsigned mode) noexcept {
  return beginCapture([&] { return NEXT(cuStreamBeginCapture_v2, stream, mode); });
}
GUARD_EXPORT CUresult cuStreamBeginCapture_v2_ptsz(CUstream stream, unsigned mode) noexcept {
  return beginCapture([&] { return NEXT(cuStreamBeginCapture_v2_ptsz, stream, mode); });
}
GUARD_EXPORT CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* after,
                                                  const void* edges, std::size_t count,
                                                  unsigned mode) noexcept {
  return beginCapture(
      [&] { return NEXT(cuStreamBeginCaptureToGraph, stream, graph, after, edges, count, mode); });
}
GUARD_EXPORT CUresult cuStreamBeginCaptureToGraph_ptsz(CUstream stream, CUgraph graph,
                                                       const CUgraphNode* after, const void* edges,
                                                       std::size_t count, unsigned mode) noexcept {
  return beginCapture(
      [&] { return NEXT(cuStreamBeginCaptureToGraph_ptsz, stream, graph, after, edges, count, mode); });
}
