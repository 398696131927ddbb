#include "launch.h"

#include <algorithm>
#include <cstring>

#include "cuda_api.h"
#include "device.h"
#include "entry.h"
#include "execute.h"
#include "module.h"

namespace berth::sim::cu {
namespace {

constexpr std::size_t kWarpThreads = 32;

CUresult checkGeometry(const VisibleGpu& gpu, const LaunchRequest& request, const Function& function) {
  for (std::size_t i = 0; i < 3; ++i) {
    const auto axis = static_cast<unsigned>(i);
    const int widest_grid = deviceAttribute(gpu, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + axis);
    const int widest_block = deviceAttribute(gpu, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + axis);
    if (request.grid[i] == 0 || request.grid[i] > static_cast<unsigned>(widest_grid) ||
        request.block[i] == 0 || request.block[i] > static_cast<unsigned>(widest_block))
      return CUDA_ERROR_INVALID_VALUE;
  }
  const std::uint64_t threads = std::uint64_t{request.block[0]} * request.block[1] * request.block[2];
  const unsigned limit = function.kernel.max_threads == 0 ? 1024 : function.kernel.max_threads;
  if (threads > limit) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t shared = std::uint64_t{request.shared_bytes} + function.kernel.shared_bytes;
  if (shared > static_cast<std::uint64_t>(maxSharedPerBlockOptIn(gpu.profile)))
    return CUDA_ERROR_INVALID_VALUE;
  return CUDA_SUCCESS;
}

CUresult packParameters(const PtxKernel& kernel, void** parameters, std::vector<std::byte>& packed) {
  for (std::size_t i = 0; i < kernel.parameters.size(); ++i) {
    if (parameters[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::memcpy(packed.data() + kernel.parameters[i].offset, parameters[i], kernel.parameters[i].bytes);
  }
  return CUDA_SUCCESS;
}

/// The CU_LAUNCH_PARAM_* list: a packed buffer and its size.
CUresult packExtra(void** extra, std::vector<std::byte>& packed) {
  constexpr int kMaxEntries = 8;
  const void* buffer = nullptr;
  std::size_t bytes = 0;
  for (int i = 0; i < kMaxEntries && numberOf(extra[0]) != kLaunchParamEnd; ++i, extra += 2) {
    if (numberOf(extra[0]) == kLaunchParamBufferPointer) {
      buffer = extra[1];
    } else if (numberOf(extra[0]) == kLaunchParamBufferSize && extra[1] != nullptr) {
      std::memcpy(&bytes, extra[1], sizeof(bytes));
    } else {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  if (bytes < packed.size() || (buffer == nullptr && bytes != 0)) return CUDA_ERROR_INVALID_VALUE;
  if (!packed.empty()) std::memcpy(packed.data(), buffer, packed.size());
  return CUDA_SUCCESS;
}

CUresult launchOn(CUstream handle, const LaunchRequest& request) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    KernelLaunch launch;
                    if (const CUresult result = makeLaunch(driver, context, request, launch);
                        result != CUDA_SUCCESS)
                      return result;
                    return submit(driver, context, stream, std::move(launch));
                  });
}

/// Clusters came after the kinds of GPU that are simulated without them; the other attributes are hints.
CUresult readAttribute(const CUlaunchAttribute& attribute, bool& cooperative) {
  if (attribute.id > kLaunchAttributeLast) return CUDA_ERROR_INVALID_VALUE;
  if (attribute.id == kLaunchAttributeCooperative) cooperative = attribute.value.cooperative != 0;
  if (attribute.id != kLaunchAttributeClusterDimension) return CUDA_SUCCESS;
  const auto& cluster = attribute.value.clusterDim;
  return cluster.x == 1 && cluster.y == 1 && cluster.z == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CLUSTER_SIZE;
}

CUresult launchConfigured(CUstream stream, const CUlaunchConfig* config, CUfunction function,
                          void** parameters, void** extra) {
  if (config == nullptr || (config->attrs == nullptr && config->numAttrs != 0))
    return CUDA_ERROR_INVALID_VALUE;
  bool cooperative = false;
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    if (const CUresult result = readAttribute(config->attrs[i], cooperative); result != CUDA_SUCCESS)
      return result;
  }
  return launchOn(stream, {function,
                           {config->gridDimX, config->gridDimY, config->gridDimZ},
                           {config->blockDimX, config->blockDimY, config->blockDimZ},
                           config->sharedMemBytes,
                           parameters,
                           extra,
                           cooperative});
}

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

CUresult occupancy(int* blocks, CUfunction handle, int threads, std::size_t dynamic_shared) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (blocks == nullptr || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    *blocks = blocksPerSm(context->session->profile(), function->kernel, threads, dynamic_shared);
    return CUDA_SUCCESS;
  });
}

using SharedForBlock = std::size_t (*)(int threads);

CUresult bestBlock(int* grid, int* block, CUfunction handle, SharedForBlock shared_for, std::size_t shared,
                   int limit) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (grid == nullptr || block == nullptr || limit < 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    const Profile& profile = context->session->profile();
    const int largest = limit == 0 ? 1024 : std::min(limit, 1024);
    int best = 0;
    for (int threads = largest / 32 * 32; threads >= 32; threads -= 32) {
      const std::size_t bytes = shared_for == nullptr ? shared : shared_for(threads);
      const int blocks = blocksPerSm(profile, function->kernel, threads, bytes);
      if (blocks * threads <= best) continue;
      best = blocks * threads;
      *block = threads;
      *grid = blocks * static_cast<int>(profile.sm_count);
    }
    return best != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

}  // namespace

int blocksPerSm(const Profile& profile, const PtxKernel& kernel, int threads, std::size_t dynamic_shared) {
  const std::size_t rounded = roundUp(static_cast<std::size_t>(threads), kWarpThreads);
  const int limit = kernel.max_threads == 0 ? 1024 : static_cast<int>(kernel.max_threads);
  if (threads > limit) return 0;
  int blocks = std::min(maxBlocksPerSm(profile), maxThreadsPerSm(profile) / static_cast<int>(rounded));
  const std::size_t shared = kernel.shared_bytes + dynamic_shared;
  if (shared > static_cast<std::size_t>(maxSharedPerBlockOptIn(profile))) return 0;
  if (shared != 0)
    blocks = std::min(blocks, static_cast<int>(static_cast<std::size_t>(maxSharedPerSm(profile)) / shared));
  return blocks;
}

CUresult makeLaunch(Driver& driver, const std::shared_ptr<Context>& context, const LaunchRequest& request,
                    KernelLaunch& launch) {
  launch.function = findFunction(driver, context, request.function);
  if (!launch.function) return CUDA_ERROR_INVALID_HANDLE;
  const VisibleGpu& gpu = driver.device(context->device)->gpu;
  if (const CUresult result = checkGeometry(gpu, request, *launch.function); result != CUDA_SUCCESS)
    return result;
  const PtxKernel& kernel = launch.function->kernel;
  if (request.cooperative) {
    const std::uint64_t threads = std::uint64_t{request.block[0]} * request.block[1] * request.block[2];
    const std::uint64_t blocks = std::uint64_t{request.grid[0]} * request.grid[1] * request.grid[2];
    const int fit = blocksPerSm(gpu.profile, kernel, static_cast<int>(threads), request.shared_bytes);
    const auto sms = static_cast<std::uint64_t>(context->session->grantedSms());
    if (blocks > static_cast<std::uint64_t>(fit) * sms) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  }
  launch.grid = request.grid;
  launch.block = request.block;
  launch.shared_bytes = request.shared_bytes;
  launch.cooperative = request.cooperative;
  launch.arguments.resize(parameterBytes(kernel));
  if (request.parameters != nullptr && request.extra != nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (request.parameters != nullptr) return packParameters(kernel, request.parameters, launch.arguments);
  if (request.extra != nullptr) return packExtra(request.extra, launch.arguments);
  return kernel.parameters.empty() ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

BERTH_CUDA_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                              unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                              CUstream stream, void** parameters, void** extra) {
  return launchOn(stream, {function,
                           {grid_x, grid_y, grid_z},
                           {block_x, block_y, block_z},
                           shared_bytes,
                           parameters,
                           extra,
                           false});
}

BERTH_CUDA_API cuLaunchKernel_ptsz(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z,
                                   unsigned shared_bytes, CUstream stream, void** parameters, void** extra) {
  return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes,
                        orPerThread(stream), parameters, extra);
}

BERTH_CUDA_API cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                                void** extra) {
  return launchConfigured(config == nullptr ? nullptr : config->hStream, config, function, parameters, extra);
}

BERTH_CUDA_API cuLaunchKernelEx_ptsz(const CUlaunchConfig* config, CUfunction function, void** parameters,
                                     void** extra) {
  return launchConfigured(config == nullptr ? nullptr : orPerThread(config->hStream), config, function,
                          parameters, extra);
}

BERTH_CUDA_API cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                         unsigned grid_z, unsigned block_x, unsigned block_y,
                                         unsigned block_z, unsigned shared_bytes, CUstream stream,
                                         void** parameters) {
  return launchOn(stream, {function,
                           {grid_x, grid_y, grid_z},
                           {block_x, block_y, block_z},
                           shared_bytes,
                           parameters,
                           nullptr,
                           true});
}

BERTH_CUDA_API cuLaunchCooperativeKernel_ptsz(CUfunction function, unsigned grid_x, unsigned grid_y,
                                              unsigned grid_z, unsigned block_x, unsigned block_y,
                                              unsigned block_z, unsigned shared_bytes, CUstream stream,
                                              void** parameters) {
  return cuLaunchCooperativeKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes,
                                   orPerThread(stream), parameters);
}

/// One cooperative launch for each device. Kernels that wait for each other across devices cost what they
/// cost alone.
BERTH_CUDA_API cuLaunchCooperativeKernelMultiDevice(const CUDA_LAUNCH_PARAMS* launches, unsigned count,
                                                    unsigned flags) {
  constexpr unsigned kKnownFlags = 3;
  if (launches == nullptr || count == 0 || flags > kKnownFlags) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; ++i) {
    const CUDA_LAUNCH_PARAMS& launch = launches[i];
    if (launch.hStream == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = launchOn(launch.hStream, {launch.function,
                                                      {launch.gridDimX, launch.gridDimY, launch.gridDimZ},
                                                      {launch.blockDimX, launch.blockDimY, launch.blockDimZ},
                                                      launch.sharedMemBytes,
                                                      launch.kernelParams,
                                                      nullptr,
                                                      true});
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

BERTH_CUDA_API cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
                    return submit(driver, context, stream, HostFunction{{function, data}});
                  });
}

BERTH_CUDA_API cuLaunchHostFunc_ptsz(CUstream stream, CUhostFn function, void* data) {
  return cuLaunchHostFunc(orPerThread(stream), function, data);
}

BERTH_CUDA_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int threads,
                                                           std::size_t shared) {
  return occupancy(blocks, function, threads, shared);
}
BERTH_CUDA_API cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction function,
                                                                    int threads, std::size_t shared,
                                                                    unsigned flags) {
  return flags <= 1 ? occupancy(blocks, function, threads, shared) : CUDA_ERROR_INVALID_VALUE;
}
BERTH_CUDA_API cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction function,
                                                SharedForBlock shared_for, std::size_t shared, int limit) {
  return bestBlock(grid, block, function, shared_for, shared, limit);
}
BERTH_CUDA_API cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, CUfunction function,
                                                         SharedForBlock shared_for, std::size_t shared,
                                                         int limit, unsigned flags) {
  return flags <= 1 ? bestBlock(grid, block, function, shared_for, shared, limit) : CUDA_ERROR_INVALID_VALUE;
}

BERTH_CUDA_API cuOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, CUfunction handle, int blocks,
                                                       int threads) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (bytes == nullptr || blocks <= 0 || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Function> function = findFunction(driver, context, handle);
    if (!function) return CUDA_ERROR_INVALID_HANDLE;
    const Profile& profile = context->session->profile();
    const auto share = static_cast<std::size_t>(maxSharedPerSm(profile) / blocks);
    const std::size_t most = std::min(share, static_cast<std::size_t>(maxSharedPerBlockOptIn(profile)));
    *bytes = most - std::min(most, function->kernel.shared_bytes);
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
