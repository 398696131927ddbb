#include "guard/memory.h"

#include <algorithm>
#include <cstring>

#include "guard/launch.h"

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

std::uint64_t limitOf(const Process& process, std::uint32_t gpu) noexcept {
  return process.limitsOf(gpu).memory_bytes.load(kRelaxed);
}

/// No context is larger; what a container writes into its own region must not count for more.
constexpr std::uint64_t kLargestContext = std::uint64_t{4} << 30U;

/// Memory that nobody uses any more: of dead processes, and in this process's pools.
void reclaim(Process& process, std::uint32_t gpu) noexcept {
  Slots(*process.usage, *process.limits).reap(process.identity);
  for (Pool& pool : process.pools) {
    const std::uint64_t handle = pool.handle.load();
    if (handle == 0 || pool.gpu.load() != gpu || process.driver.memPoolTrimTo == nullptr) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a handle of the driver's, kept as a number
    process.driver.memPoolTrimTo(reinterpret_cast<CUmemoryPool>(handle), 0);
    settlePool(process, pool);
  }
}

/// What the driver holds for the pool, in granules; 0 when it does not say.
std::uint64_t reservedBy(const Process& process, const Pool& pool) noexcept {
  std::uint64_t bytes = 0;
  auto* handle = reinterpret_cast<CUmemoryPool>(pool.handle.load());  // NOLINT(performance-no-int-to-ptr)
  const auto ask = process.driver.memPoolGetAttribute;
  if (ask == nullptr || handle == nullptr) return 0;
  return ask(handle, kPoolReservedCurrent, &bytes) == CUDA_SUCCESS ? granulesOf(bytes) : 0;
}

std::uint64_t hashOf(const CUipcMemHandle& handle) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : handle.reserved) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash | 1;
}

std::uint64_t roundUp(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) / step * step;
}

std::uint64_t elementBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor) noexcept {
  std::uint64_t bytes = 4;
  switch (descriptor.Format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      bytes = 1;
      break;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      bytes = 2;
      break;
    default:
      break;
  }
  return bytes * std::max(descriptor.NumChannels, 1U);
}

}  // namespace

CUresult reserve(Process& process, std::uint32_t gpu, std::uint64_t granules) noexcept {
  if (granules > kMaxReservation / kGranule) return CUDA_ERROR_OUT_OF_MEMORY;
  Accounting accounting = process.accounting(gpu);
  const std::uint64_t limit = limitOf(process, gpu) / kGranule;
  if (limitOf(process, gpu) == 0) {
    accounting.charge(process.slot, granules);
    return CUDA_SUCCESS;
  }
  if (accounting.reserve(process.slot, granules, limit)) return CUDA_SUCCESS;
  reclaim(process, gpu);
  if (accounting.reserve(process.slot, granules, limit)) return CUDA_SUCCESS;
  process.counters(gpu).refused.fetch_add(1, kRelaxed);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

void giveBack(Process& process, std::uint32_t gpu, std::uint64_t granules) noexcept {
  process.accounting(gpu).release(process.slot, granules);
}

void recharge(Process& process, std::uint32_t gpu, std::uint64_t before, std::uint64_t after) noexcept {
  if (after > before) process.accounting(gpu).charge(process.slot, after - before);
  if (after < before) process.accounting(gpu).release(process.slot, before - after);
}

void showShare(Process& process, std::uint32_t gpu, std::uint64_t& free, std::uint64_t& total) noexcept {
  const std::uint64_t limit = limitOf(process, gpu);
  if (limit == 0) return;
  Slots(*process.usage, *process.limits).reap(process.identity);
  const std::uint64_t used = process.accounting(gpu).used() * kGranule;
  total = std::min(total, limit);
  free = std::min(free, total > used ? total - used : 0);
}

Pool* poolOf(Process& process, CUmemoryPool handle, std::uint32_t gpu) noexcept {
  const auto wanted = reinterpret_cast<std::uint64_t>(handle);
  for (Pool& pool : process.pools) {
    if (pool.handle.load() == wanted) return &pool;
  }
  for (Pool& pool : process.pools) {
    // Taken for good: memory from it may outlive it, and refers to its place.
    std::uint64_t none = 0;
    if (pool.live.load() != 0 || !pool.handle.compare_exchange_strong(none, wanted)) continue;
    pool.gpu = gpu;
    return &pool;
  }
  return nullptr;
}

std::uint64_t linkOf(const Process& process, const Pool& pool) noexcept {
  return static_cast<std::uint64_t>(&pool - process.pools.data()) + 1;
}

CUresult growPool(Process& process, Pool& pool, std::uint64_t granules) noexcept {
  settlePools(process);
  const std::uint64_t live = pool.live.load() + granules;
  const std::uint64_t charged = pool.charged.load();
  // Two threads may both count on the same reserve; settlePool() finds out.
  if (live > charged) {
    if (const CUresult result = reserve(process, pool.gpu, live - charged); result != CUDA_SUCCESS)
      return result;
    pool.charged.fetch_add(live - charged);
  }
  pool.live.fetch_add(granules);
  return CUDA_SUCCESS;
}

void shrinkPool(Process& process, Pool& pool, std::uint64_t granules) noexcept {
  pool.live.fetch_sub(granules);
  settlePool(process, pool);
  process.pools_changed = true;
}

void settlePools(Process& process) noexcept {
  if (!process.pools_changed.load(kRelaxed)) return;
  process.pools_changed = false;
  for (Pool& pool : process.pools) {
    if (pool.handle.load(kRelaxed) != 0) settlePool(process, pool);
  }
}

bool settlePool(Process& process, Pool& pool) noexcept {
  const std::uint64_t held = std::max(pool.live.load(), reservedBy(process, pool));
  const std::uint64_t before = pool.charged.exchange(held);
  recharge(process, pool.gpu, before, held);
  const std::uint64_t limit = limitOf(process, pool.gpu);
  return held <= before || limit == 0 || process.accounting(pool.gpu).used() * kGranule <= limit;
}

void forgetPool(Process& process, CUmemoryPool handle) noexcept {
  for (Pool& pool : process.pools) {
    if (pool.handle.load() != reinterpret_cast<std::uint64_t>(handle)) continue;
    pool.handle = 0;
    settlePool(process, pool);
  }
}

void dropPhysical(Process& process, std::uint64_t handle) noexcept {
  Buffer buffer;
  if (!process.buffers.find(BufferKind::Physical, handle, buffer)) return;
  if (process.buffers.addToLink(BufferKind::Physical, handle, -1) != 0) return;
  if (process.buffers.take(BufferKind::Physical, handle, buffer))
    giveBack(process, buffer.gpu, buffer.granules);
}

void dropMappings(Process& process, CUdeviceptr address, std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kStep = 65536;  // No GPU maps in smaller pieces
  const CUdeviceptr end = address + bytes;
  while (address < end) {
    Buffer mapping;
    const bool found = process.buffers.take(BufferKind::Mapping, address, mapping);
    if (found) dropPhysical(process, mapping.link);
    address += found ? std::max(mapping.granules * kGranule, kStep) : kStep;
  }
}

std::uint64_t contextGranules(const Process& process, std::uint32_t gpu) noexcept {
  const std::uint64_t told = process.limitsOf(gpu).context_bytes.load(kRelaxed);
  const std::uint64_t measured = process.usage->gpu(gpu).context_bytes.load(kRelaxed);
  return granulesOf(std::min(told != 0 ? told : measured, kLargestContext));
}

void forgetContext(Process& process, std::uint64_t context) noexcept {
  process.contexts_epoch.fetch_add(1);
  process.buffers.takeOfContext(
      context, [&process](const Buffer& buffer) { giveBack(process, buffer.gpu, buffer.granules); });
  forgetMeasurements(process, context);
}

void settleGraphMemory(Process& process, std::uint32_t gpu, CUdevice device) noexcept {
  std::uint64_t bytes = 0;
  const auto ask = process.driver.deviceGetGraphMemAttribute;
  if (ask == nullptr || ask(device, kGraphReservedCurrent, &bytes) != CUDA_SUCCESS) return;
  const std::uint64_t held = granulesOf(bytes);
  recharge(process, gpu, process.graph_charged[gpu].exchange(held), held);
}

bool isExported(const Process& process, const CUipcMemHandle& handle) noexcept {
  const std::uint64_t hash = hashOf(handle);
  return process.usage->exported[hash / 2 % kExportedHandles].load(kRelaxed) == hash;
}

void rememberExported(Process& process, const CUipcMemHandle& handle) noexcept {
  const std::uint64_t hash = hashOf(handle);
  process.usage->exported[hash / 2 % kExportedHandles].store(hash, kRelaxed);
}

std::uint64_t arrayBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned levels) noexcept {
  if ((descriptor.Flags & (kArraySparse | kArrayDeferredMapping)) != 0) return 0;
  // Arrays are stored in tiles of 64 bytes by 8 rows.
  constexpr std::uint64_t kTileBytes = 64;
  constexpr std::uint64_t kTileRows = 8;
  std::uint64_t width = descriptor.Width;
  std::uint64_t height = std::max<std::uint64_t>(descriptor.Height, 1);
  std::uint64_t depth = std::max<std::uint64_t>(descriptor.Depth, 1);
  constexpr std::uint64_t kTooMuch = ~std::uint64_t{0} / 4;
  if (width > kTooMuch / 64 || height > kTooMuch || depth > kTooMuch) return kTooMuch;
  const bool layered = (descriptor.Flags & (kArray3dLayered | kArray3dCubemap)) != 0;
  std::uint64_t bytes = 0;
  for (unsigned level = 0; level < std::max(levels, 1U); ++level) {
    const std::uint64_t rows = height == 1 ? 1 : roundUp(height, kTileRows);
    const std::uint64_t row = roundUp(width * elementBytes(descriptor), kTileBytes);
    std::uint64_t slice = 0;
    std::uint64_t whole = 0;
    if (__builtin_mul_overflow(row, rows, &slice) || __builtin_mul_overflow(slice, depth, &whole))
      return kTooMuch;
    bytes += whole;
    width = std::max<std::uint64_t>(width / 2, 1);
    height = std::max<std::uint64_t>(height / 2, 1);
    if (!layered) depth = std::max<std::uint64_t>(depth / 2, 1);
  }
  return bytes;
}

}  // namespace berth::guard
