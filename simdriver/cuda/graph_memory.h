// Memory that a graph allocates and frees by nodes. Its address is fixed when the node is made; it costs
// device memory from the launch that allocates it until a node, or the program, frees it, and then stays with
// the device's graphs until cuDeviceGraphMemTrim.
#pragma once

#include <atomic>
#include <memory>

#include "driver.h"

namespace berth::sim::cu {

struct GraphMemory {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  int device = 0;
  std::weak_ptr<Context> context;    // That pays
  std::atomic<bool> live{false};     // Allocated now
  std::atomic<bool> owned{true};     // A node can still allocate it
  std::atomic<bool> retired{false};  // The address is another's
};

/// Held by the nodes that allocate the memory. With the last of them its address goes too, or, when it is
/// allocated at that moment, once it is freed.
class GraphMemoryOwner {
 public:
  explicit GraphMemoryOwner(std::shared_ptr<GraphMemory> memory) : memory_(std::move(memory)) {}
  GraphMemoryOwner(const GraphMemoryOwner&) = delete;
  GraphMemoryOwner& operator=(const GraphMemoryOwner&) = delete;
  ~GraphMemoryOwner();

  const std::shared_ptr<GraphMemory>& memory() const { return memory_; }

 private:
  std::shared_ptr<GraphMemory> memory_;
};

/// An address for `bytes`, and the operation that allocates them.
CUresult makeGraphMemory(Driver& driver, const std::shared_ptr<Context>& context, std::size_t bytes,
                         MemAlloc& operation);
/// The graph memory that begins there, or null.
std::shared_ptr<GraphMemory> graphMemoryAt(Driver& driver, CUdeviceptr pointer);

CUresult allocateGraphMemory(Driver& driver, GraphMemory& memory);
/// CUDA_ERROR_INVALID_VALUE when it is not allocated.
CUresult freeGraphMemory(Driver& driver, GraphMemory& memory);
/// Its address is given back: it can be allocated no more. Part of Driver::giveBack.
void retire(Driver& driver, GraphMemory& memory);

/// Whether memory of such a pool is simulated.
CUresult checkPool(Driver& driver, const CUmemPoolProps& properties);

}  // namespace berth::sim::cu
