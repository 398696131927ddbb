// Charging for device memory. Whatever the driver is asked for is first reserved in the container's sum, then
// asked for, then remembered by its handle; what the driver refuses, or takes back, is given back. Memory is
// given back only after the driver has freed it, so the sum is never below what is really in use.
#pragma once

#include <cstdint>

#include "guard/process.h"

namespace berth::guard {

/// CUDA_ERROR_OUT_OF_MEMORY when the container's limit would be passed, also after the dead were cleared away
/// and this process's pools were trimmed.
CUresult reserve(Process& process, std::uint32_t gpu, std::uint64_t granules) noexcept;
void giveBack(Process& process, std::uint32_t gpu, std::uint64_t granules) noexcept;
/// Brings a charge from `before` to `after` granules, whatever the limit.
void recharge(Process& process, std::uint32_t gpu, std::uint64_t before, std::uint64_t after) noexcept;

/// What is being made: make(handle, granules) asks the driver and may correct the size; undo(handle) takes it
/// back.
struct Wanted {
  BufferKind kind;
  Place place;
  std::uint64_t granules = 0;
  std::uint64_t link = 0;
};
template <typename Make, typename Undo>
CUresult makeCharged(Process& process, const Wanted& wanted, Make make, Undo undo) noexcept {
  if (const CUresult result = reserve(process, wanted.place.gpu, wanted.granules); result != CUDA_SUCCESS) {
    return result;
  }
  std::uint64_t handle = 0;
  std::uint64_t granules = wanted.granules;
  CUresult result = make(handle, granules);
  if (result != CUDA_SUCCESS) {
    giveBack(process, wanted.place.gpu, wanted.granules);
    return result;
  }
  recharge(process, wanted.place.gpu, wanted.granules, granules);
  const Buffer buffer{granules, wanted.place.gpu, wanted.place.context, wanted.link};
  if (process.buffers.add(wanted.kind, handle, buffer)) return CUDA_SUCCESS;
  undo(handle);
  giveBack(process, wanted.place.gpu, granules);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

/// free() asks the driver; on success what `handle` was charged is given back.
template <typename Free>
CUresult freeCharged(Process& process, BufferKind kind, std::uint64_t handle, Free free) noexcept {
  // Out of the table first: once the driver has freed it, another thread may be given the same handle.
  Buffer buffer;
  const bool known = process.buffers.take(kind, handle, buffer);
  const CUresult result = free();
  if (!known) return result;
  if (result != CUDA_SUCCESS) {
    static_cast<void>(process.buffers.add(kind, handle, buffer));
    return result;
  }
  giveBack(process, buffer.gpu, buffer.granules);
  return result;
}

/// Free and total bytes as the container's share has them: `free` and `total` hold the driver's numbers
/// before.
void showShare(Process& process, std::uint32_t gpu, std::uint64_t& free, std::uint64_t& total) noexcept;

// ---- Stream-ordered pools ----

/// The pool's entry, made on first sight. Null: none is free.
Pool* poolOf(Process& process, CUmemoryPool handle, std::uint32_t gpu) noexcept;
/// Index + 1, for Buffer::link.
std::uint64_t linkOf(const Process& process, const Pool& pool) noexcept;
/// Charges for `granules` more in the pool; what it holds in reserve is used first.
CUresult growPool(Process& process, Pool& pool, std::uint64_t granules) noexcept;
void shrinkPool(Process& process, Pool& pool, std::uint64_t granules) noexcept;
/// Takes over what the driver says that the pool holds. False when that passes the container's limit.
bool settlePool(Process& process, Pool& pool) noexcept;
/// The same for all pools, where memory was freed since the last time.
void settlePools(Process& process) noexcept;
/// The pool was destroyed: charged for what the program still holds.
void forgetPool(Process& process, CUmemoryPool handle) noexcept;

/// Frees memory of any origin: giving back, or shrinking its pool.
template <typename Free>
CUresult freeMemory(Process& process, CUdeviceptr pointer, Free free) noexcept {
  Buffer buffer;
  const bool known = process.buffers.take(BufferKind::Memory, pointer, buffer);
  const CUresult result = free();
  if (!known) return result;
  if (result != CUDA_SUCCESS) {
    static_cast<void>(process.buffers.add(BufferKind::Memory, pointer, buffer));
  } else if (buffer.link != 0) {
    shrinkPool(process, process.pools[buffer.link - 1], buffer.granules);
  } else {
    giveBack(process, buffer.gpu, buffer.granules);
  }
  return result;
}

// ---- Virtual memory ----

/// One reference less to physical memory; the last gives it back.
void dropPhysical(Process& process, std::uint64_t handle) noexcept;
/// Mappings in [address, address + bytes) are gone.
void dropMappings(Process& process, CUdeviceptr address, std::uint64_t bytes) noexcept;

// ---- Contexts, graphs, IPC, arrays ----

/// What a context costs on this GPU, in granules, as the daemon says or the container has measured; 0: not
/// known.
std::uint64_t contextGranules(const Process& process, std::uint32_t gpu) noexcept;
/// The context and all that was allocated in it is gone.
void forgetContext(Process& process, std::uint64_t context) noexcept;

/// Charges for the memory that the driver holds for memory nodes of graphs.
void settleGraphMemory(Process& process, std::uint32_t gpu, CUdevice device) noexcept;

/// Whether a process of this container has given out this handle; rememberExported() says that one did.
bool isExported(const Process& process, const CUipcMemHandle& handle) noexcept;
void rememberExported(Process& process, const CUipcMemHandle& handle) noexcept;

/// Bytes of an array with `levels` mipmap levels, tiles filled up. 0 for one without memory of its own.
std::uint64_t arrayBytes(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, unsigned levels) noexcept;

}  // namespace berth::guard
