// All that the guard knows in one process. It lies in memory that a fork hands to the child as zeros
// (MADV_WIPEONFORK), so a child begins afresh, with a slot of its own, however it was forked; zeros are the
// valid first state of everything here. Nothing is ever destroyed: calls may still come from exit handlers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "guard/accounting.h"
#include "guard/buffer_table.h"
#include "guard/clock.h"
#include "guard/cuda.h"
#include "guard/pacing.h"
#include "guard/region.h"
#include "guard/slots.h"

namespace berth::guard {

inline constexpr std::size_t kMaxDevices = 64;  // CUDA devices that one process sees
inline constexpr std::size_t kMaxPools = 64;
inline constexpr std::size_t kMeasurements = 64;

/// A stream-ordered memory pool. It keeps memory that was freed, so it is charged what the driver reserved
/// for it.
struct Pool {
  std::atomic<std::uint64_t> handle;  // 0: free entry
  std::atomic<std::uint32_t> gpu;
  std::atomic<std::uint64_t> live;     // Granules that the program holds
  std::atomic<std::uint64_t> charged;  // Granules that the container's sum has for it
};

/// One launch whose GPU time is being measured.
struct Measurement {
  enum State : std::uint32_t { Free = 0, Busy, Running };
  std::atomic<std::uint32_t> state;
  std::uint32_t gpu;
  CUcontext context;  // That the events belong to
  CUevent start;
  CUevent stop;
  Cost* cost;
  std::uint64_t key;      // Of `cost` when the launch was made
  std::uint64_t charged;  // What the launch was charged
  bool first;             // `charged` was a guess
};

enum class State : std::uint32_t {
  Fresh = 0,
  Starting,
  Ready,
  Passive,  // Another copy of the guard in this process does the work
  Failed,   // No valid limits and usage files, or no slot: no GPU work
};

struct Process {
  std::atomic<State> state;
  std::atomic<bool> ready;     // State::Ready, and the driver's functions are known
  std::atomic<bool> captures;  // A stream was captured at least once
  std::atomic<bool> graph_memory;
  std::atomic<bool> pools_changed;  // Memory went back to a pool, which may give it up later
  const LimitsRegion* limits;
  UsageRegion* usage;
  const Clock* clock;
  Identity identity;
  Counters* first_counters;  // counters(0), where a launch without limits is counted
  std::uint32_t slot;
  std::uint32_t serial;  // Tells what a thread remembers from before a fork

  Driver driver;

  std::atomic<std::uint64_t> contexts_epoch;  // Changes when a context comes or goes
  std::array<std::atomic<std::uint32_t>, kMaxDevices>
      gpu_of;  // Index + 1 in the limits file; 0: not asked yet
  std::array<std::atomic<std::uint64_t>, kMaxDevices> primary;
  std::array<std::atomic<std::uint64_t>, kMaxGpus> graph_charged;  // Granules
  std::array<Pool, kMaxPools> pools;
  std::array<Measurement, kMeasurements> measurements;
  std::atomic<std::uint64_t> typical_ns;  // Of a launch, for kernels that were never measured
  BufferTable buffers;
  CostTable costs;

  Accounting accounting(std::uint32_t gpu) noexcept { return {*usage, gpu}; }
  Counters& counters(std::uint32_t gpu) noexcept { return usage->gpu(gpu).counters[slot]; }
  const GpuLimits& limitsOf(std::uint32_t gpu) const noexcept { return limits->gpus[gpu]; }
};

/// What one thread remembers between calls.
struct ThreadState {
  std::uint32_t serial;
  bool inside;  // In a guarded call: what the driver calls itself is not counted again
  std::uint32_t gpu;
  CUcontext context;
  std::uint64_t epoch;
  // Launches that the shared counters do not have yet.
  std::uint32_t batch_gpu;
  std::uint64_t batch_tick;
  std::uint64_t batch_ns;
  std::uint64_t batch_launches;
};

/// The calling thread's, reset when it was another process's.
ThreadState& thread(const Process& process) noexcept;

/// Marks the thread as inside for as long as it lives; `outermost` is false when it was inside already.
class Inside {
 public:
  explicit Inside(ThreadState& state) noexcept : state_(state), outermost(!state.inside) {
    state.inside = true;
  }
  ~Inside() {
    if (outermost) state_.inside = false;
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  ThreadState& state_;

 public:
  const bool outermost;
};

/// Takes a slot and makes the process Ready, Passive or Failed. Null regions: Failed.
void start(Process& process, const LimitsRegion* limits, UsageRegion* usage, const Clock& clock) noexcept;

/// Where an allocation or launch of the calling thread goes.
struct Place {
  std::uint32_t gpu = 0;
  std::uint64_t context = 0;
};

/// CUDA_ERROR_INVALID_CONTEXT: the thread has none. CUDA_ERROR_NOT_PERMITTED: a GPU that was not granted.
CUresult currentPlace(Process& process, Place& place) noexcept;
CUresult gpuOfDevice(Process& process, CUdevice device, std::uint32_t& gpu) noexcept;
/// Index of the GPU with NVML's name `uuid`; false: not granted.
bool gpuOfUuid(const LimitsRegion& limits, const char* uuid, std::uint32_t& gpu) noexcept;

}  // namespace berth::guard
