// The driver's state in one process: devices, the objects behind the program's handles and, for each thread,
// its stack of contexts. The exported functions (device.cpp, context.cpp, memory.cpp ...) are thin entry
// points over it. Every lookup answers with a CUDA error, never with a crash.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "../engine/session.h"
#include "address_table.h"
#include "arena.h"
#include "capture.h"
#include "handles.h"
#include "objects.h"

namespace berth::sim::cu {

/// What cuDriverGetVersion says: CUDA 12.4.
inline constexpr int kDriverVersion = 12040;

struct Device {
  VisibleGpu gpu;
  std::shared_ptr<MemoryPool> default_pool;
  std::shared_ptr<MemoryPool> graph_pool;  // What graphs allocate; no program gets its handle
  std::mutex mutex;                        // For what follows
  std::shared_ptr<MemoryPool> current_pool;
  std::shared_ptr<Context> primary;
  unsigned primary_retained = 0;
  unsigned primary_flags = 0;
};

CUresult toResult(Status status);

class Driver {
 public:
  explicit Driver(std::unique_ptr<Engine> engine);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;
  ~Driver();

  /// The process's driver, or null before cuInit. The one global the ABI cannot do without.
  static Driver* get() noexcept;
  /// Makes it from `engine`, once; later calls keep the first. CUDA_ERROR_NO_DEVICE when it has no GPU.
  static CUresult start(std::unique_ptr<Engine> engine);
  /// At the process's exit: ends every context. Calls after it answer CUDA_ERROR_DEINITIALIZED; the object
  /// stays, because other threads may still be inside a call.
  static void end() noexcept;
  /// Ends and deletes it, so that start() works again. For tests, with no call in flight.
  static void reset() noexcept;
  static bool stopped() noexcept;

  std::size_t deviceCount() const { return devices_.size(); }
  /// The device of that ordinal, or null.
  Device* device(CUdevice ordinal);

  /// Opens a session on the device and registers a context on it.
  CUresult makeContext(CUdevice ordinal, unsigned flags, bool primary, std::shared_ptr<Context>& made);
  /// Takes the context and everything made in it out of the tables and closes its session.
  void destroyContext(const std::shared_ptr<Context>& context);

  /// The calling thread's context.
  CUresult current(std::shared_ptr<Context>& context);
  void push(std::uintptr_t context);
  /// Removes and returns the top of the thread's stack, 0 when it is empty.
  std::uintptr_t pop();
  /// Replaces the top of the thread's stack; 0 only removes it.
  void setCurrent(std::uintptr_t context);
  std::uintptr_t currentHandle();

  /// A stream argument: null, the legacy and the per-thread handles included.
  CUresult stream(const std::shared_ptr<Context>& context, CUstream handle, std::shared_ptr<Stream>& found);
  /// Numbers the calling thread, from 1.
  static std::uint64_t threadNumber();
  std::shared_ptr<Stream> threadStream(const std::shared_ptr<Context>& context);

  /// Device memory of the context, charged to its session and listed. `pool` may be null.
  CUresult allocate(const std::shared_ptr<Context>& context, std::size_t bytes, MemoryKind kind,
                    std::shared_ptr<Allocation>& made, std::size_t alignment = kDeviceAlignment);
  /// The same from a pool, whose unused memory is taken first.
  CUresult allocateFromPool(const std::shared_ptr<Context>& context, const std::shared_ptr<MemoryPool>& pool,
                            std::size_t bytes, std::shared_ptr<Allocation>& made);
  /// Charges `bytes` to the context on behalf of the pool, whose unused memory is taken first.
  CUresult chargeToPool(const std::shared_ptr<Context>& context, MemoryPool& pool, std::uint64_t bytes);
  /// The other way: the memory stays charged, unused.
  static void returnToPool(const Context& context, MemoryPool& pool, std::uint64_t bytes);
  /// Gives back what an allocation holds; it is out of the table already. Memory of a pool goes to the pool.
  void giveBack(Allocation& allocation);
  /// Gives a pool's unused memory back to the device, down to `keep` bytes reserved in all.
  void trim(MemoryPool& pool, std::uint64_t keep);
  /// trim() to the release threshold for all pools of the device: what a synchronisation does.
  void trimPools(int device);
  /// A living context on the device, the calling thread's if it is on it; null when there is none.
  std::shared_ptr<Context> contextOn(int device);

  Arena& arena() { return *arena_; }

  HandleTable<Context> contexts{1};
  HandleTable<Stream> streams{2};
  HandleTable<Event> events{3};
  HandleTable<Module> modules{4};
  HandleTable<Function> functions{5};
  HandleTable<Library> libraries{6};
  HandleTable<Kernel> kernels{7};
  HandleTable<MemoryPool> pools{8};
  HandleTable<Array> arrays{9};
  HandleTable<MipmappedArray> mipmaps{10};
  HandleTable<PhysicalMemory> physical{11};
  HandleTable<ExternalMemory> external{12};
  HandleTable<Graph> graphs{13};
  HandleTable<GraphNode> graph_nodes{14};
  HandleTable<GraphExec> graph_execs{15};
  HandleTable<UserObject> user_objects{16};
  HandleTable<Link> links{17};
  CaptureList captures;
  AddressTable addresses;

  /// Numbers of things that CUDA identifies by number (contexts, captures).
  std::uint64_t nextId() { return next_id_.fetch_add(1); }
  /// Address space kept by cuMemAddressReserve: base to bytes.
  struct Reservation {
    Mapping mapping;
    std::size_t bytes = 0;
  };
  std::mutex reservations_mutex;
  std::map<std::uintptr_t, Reservation> reservations;

 private:
  CUresult place(const std::shared_ptr<Context>& context, std::size_t bytes, std::size_t alignment,
                 std::uint64_t charged, const std::shared_ptr<Allocation>& allocation);

  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::unique_ptr<Arena> arena_;
  std::atomic<std::uint64_t> next_id_{1};
};

}  // namespace berth::sim::cu
