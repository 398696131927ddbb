#include "graph_memory.h"

#include "entry.h"

namespace berth::sim::cu {
namespace {

std::uint64_t chargeOf(const GraphMemory& memory) { return roundUp(memory.bytes, kDeviceAlignment); }

/// Gives the address back when nobody can use it any more.
void dropIfUnused(Driver& driver, const GraphMemory& memory) {
  if (memory.owned || memory.live || memory.retired) return;
  const std::shared_ptr<Allocation> allocation = driver.addresses.take(
      memory.base, [&](const Allocation& found) { return found.graph.get() == &memory; });
  if (allocation) driver.giveBack(*allocation);
}

}  // namespace

GraphMemoryOwner::~GraphMemoryOwner() {
  memory_->owned = false;
  if (Driver* driver = Driver::get(); driver != nullptr && !Driver::stopped())
    dropIfUnused(*driver, *memory_);
}

CUresult makeGraphMemory(Driver& driver, const std::shared_ptr<Context>& context, std::size_t bytes,
                         MemAlloc& operation) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > Arena::kDefaultBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  auto memory = std::make_shared<GraphMemory>();
  memory->bytes = bytes;
  memory->device = context->device;
  memory->context = context;
  memory->base = driver.arena().allocate(bytes);
  if (memory->base == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
  auto allocation = std::make_shared<Allocation>();
  allocation->base = memory->base;
  allocation->bytes = bytes;
  allocation->device = context->device;
  allocation->context = context;
  allocation->graph = memory;
  if (!driver.addresses.add(allocation)) {
    driver.giveBack(*allocation);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  operation.memory = std::make_shared<GraphMemoryOwner>(std::move(memory));
  return CUDA_SUCCESS;
}

std::shared_ptr<GraphMemory> graphMemoryAt(Driver& driver, CUdeviceptr pointer) {
  const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
  return found && found->base == addressOf(pointer) ? found->graph : nullptr;
}

CUresult allocateGraphMemory(Driver& driver, GraphMemory& memory) {
  const std::shared_ptr<Context> context = memory.context.lock();
  if (!context || !context->alive || memory.retired) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (memory.live.exchange(true)) return CUDA_ERROR_INVALID_VALUE;
  const CUresult result =
      driver.chargeToPool(context, *driver.device(memory.device)->graph_pool, chargeOf(memory));
  if (result != CUDA_SUCCESS) memory.live = false;
  return result;
}

CUresult freeGraphMemory(Driver& driver, GraphMemory& memory) {
  if (!memory.live.exchange(false)) return CUDA_ERROR_INVALID_VALUE;
  if (const std::shared_ptr<Context> context = memory.context.lock())
    Driver::returnToPool(*context, *driver.device(memory.device)->graph_pool, chargeOf(memory));
  dropIfUnused(driver, memory);
  return CUDA_SUCCESS;
}

void retire(Driver& driver, GraphMemory& memory) {
  memory.retired = true;
  if (!memory.live.exchange(false)) return;
  if (const std::shared_ptr<Context> context = memory.context.lock())
    Driver::returnToPool(*context, *driver.device(memory.device)->graph_pool, chargeOf(memory));
}

}  // namespace berth::sim::cu
