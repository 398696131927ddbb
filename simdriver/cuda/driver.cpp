#include "driver.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <pthread.h>

#include "graph.h"
#include "graph_memory.h"
#include "shared_event.h"

namespace berth::sim::cu {
namespace {

// A driver library is one per process by its ABI: cuInit makes this, the library's destructor ends it.
std::atomic<Driver*> g_driver{nullptr};
std::atomic<bool> g_stopped{false};
std::mutex g_start_mutex;

/// A child of fork() has no driver until it calls cuInit itself; the parent's sessions are not its own.
void forgetInChild() { g_driver.store(nullptr); }

std::vector<std::uintptr_t>& contextStack() {
  thread_local std::vector<std::uintptr_t> stack;
  return stack;
}

bool belongsTo(const std::weak_ptr<Context>& owner, const Context* context) {
  return owner.lock().get() == context;
}

}  // namespace

CUresult toResult(Status status) {
  switch (status) {
    case Status::Ok:
      return CUDA_SUCCESS;
    case Status::OutOfMemory:
      return CUDA_ERROR_OUT_OF_MEMORY;
    case Status::DeviceUnavailable:
      return CUDA_ERROR_DEVICE_UNAVAILABLE;
    case Status::DeviceLost:
      return CUDA_ERROR_UNKNOWN;
    case Status::IllegalAddress:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case Status::MpsConnectionFailed:
      return CUDA_ERROR_MPS_CONNECTION_FAILED;
    case Status::MpsServerNotReady:
      return CUDA_ERROR_MPS_SERVER_NOT_READY;
    case Status::MpsMaxClientsReached:
      return CUDA_ERROR_MPS_MAX_CLIENTS_REACHED;
    case Status::MpsMaxConnectionsReached:
      return CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED;
    case Status::MpsClientTerminated:
      return CUDA_ERROR_MPS_CLIENT_TERMINATED;
    case Status::Malformed:
    case Status::Io:
      return CUDA_ERROR_OPERATING_SYSTEM;
  }
  return CUDA_ERROR_UNKNOWN;
}

Driver::Driver(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {
  for (VisibleGpu& gpu : engine_->gpus(true)) {
    auto device = std::make_unique<Device>();
    device->gpu = std::move(gpu);
    device->default_pool = std::make_shared<MemoryPool>();
    device->default_pool->device = static_cast<int>(devices_.size());
    device->default_pool->owned_by_driver = true;
    device->default_pool->handle = pools.add(device->default_pool);
    device->current_pool = device->default_pool;
    device->graph_pool = std::make_shared<MemoryPool>();
    device->graph_pool->device = device->default_pool->device;
    device->graph_pool->owned_by_driver = true;
    device->graph_pool->release_threshold = ~std::uint64_t{0};
    device->graph_pool->handle = pools.add(device->graph_pool);
    devices_.push_back(std::move(device));
  }
  arena_ = Arena::make();
}

Driver::~Driver() {
  for (const std::shared_ptr<Context>& context : contexts.takeIf([](const Context&) { return true; }))
    destroyContext(context);
}

Driver* Driver::get() noexcept { return g_driver.load(std::memory_order_acquire); }
bool Driver::stopped() noexcept { return g_stopped.load(std::memory_order_acquire); }

CUresult Driver::start(std::unique_ptr<Engine> engine) {
  const std::lock_guard lock(g_start_mutex);
  if (g_driver.load() != nullptr) return CUDA_SUCCESS;
  if (engine == nullptr) return CUDA_ERROR_NO_DEVICE;
  auto driver = std::make_unique<Driver>(std::move(engine));
  if (driver->deviceCount() == 0) return CUDA_ERROR_NO_DEVICE;
  if (!driver->arena_) return CUDA_ERROR_OPERATING_SYSTEM;
  static const int registered = ::pthread_atfork(nullptr, nullptr, forgetInChild);
  if (registered != 0) return CUDA_ERROR_OPERATING_SYSTEM;
  g_stopped.store(false);
  g_driver.store(driver.release(), std::memory_order_release);
  return CUDA_SUCCESS;
}

void Driver::end() noexcept {
  Driver* driver = g_driver.load();
  if (driver == nullptr || g_stopped.exchange(true)) return;
  for (const std::shared_ptr<Context>& context : driver->contexts.takeIf([](const Context&) { return true; }))
    driver->destroyContext(context);
}

void Driver::reset() noexcept {
  const std::lock_guard lock(g_start_mutex);
  contextStack().clear();
  delete g_driver.exchange(nullptr);
  g_stopped.store(false);
}

Device* Driver::device(CUdevice ordinal) {
  if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= devices_.size()) return nullptr;
  return devices_[static_cast<std::size_t>(ordinal)].get();
}

CUresult Driver::makeContext(CUdevice ordinal, unsigned flags, bool primary, std::shared_ptr<Context>& made) {
  Device* on = device(ordinal);
  if (on == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  auto context = std::make_shared<Context>();
  const Status status = engine_->open(on->gpu, context->session);
  if (status != Status::Ok) return toResult(status);
  context->device = ordinal;
  context->flags = flags;
  context->primary = primary;
  context->host_calls = std::make_unique<HostCalls>(*context->session);
  context->legacy_stream = std::make_shared<Stream>();
  context->legacy_stream->context = context;
  context->legacy_stream->legacy = true;
  context->legacy_stream->handle = kStreamLegacy;
  context->handle = contexts.add(context);
  made = std::move(context);
  return CUDA_SUCCESS;
}

void Driver::destroyContext(const std::shared_ptr<Context>& context) {
  if (!context->alive.exchange(false)) return;
  contexts.take(context->handle);
  const auto owned = [&](const auto& object) { return belongsTo(object.context, context.get()); };
  streams.takeIf(owned);
  events.takeIf(owned);
  external.takeIf(owned);
  arrays.takeIf(owned);
  mipmaps.takeIf(owned);
  for (const std::shared_ptr<Module>& module : modules.takeIf(owned)) {
    for (const auto& [name, handle] : module->functions) functions.take(handle);
  }
  // The engine takes a session's memory back as a whole; here the address ranges go.
  for (const std::shared_ptr<Allocation>& allocation : addresses.takeOfContext(context.get())) {
    giveBack(*allocation);
  }
  context->host_calls.reset();
}

CUresult Driver::current(std::shared_ptr<Context>& context) {
  const std::vector<std::uintptr_t>& stack = contextStack();
  if (stack.empty() || stack.back() == 0) return CUDA_ERROR_INVALID_CONTEXT;
  context = contexts.find(stack.back());
  return context ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

void Driver::push(std::uintptr_t context) { contextStack().push_back(context); }

std::uintptr_t Driver::pop() {
  std::vector<std::uintptr_t>& stack = contextStack();
  if (stack.empty()) return 0;
  const std::uintptr_t top = stack.back();
  stack.pop_back();
  return top;
}

void Driver::setCurrent(std::uintptr_t context) {
  pop();
  if (context != 0) push(context);
}

std::uintptr_t Driver::currentHandle() {
  const std::vector<std::uintptr_t>& stack = contextStack();
  return stack.empty() ? 0 : stack.back();
}

CUresult Driver::stream(const std::shared_ptr<Context>& context, CUstream handle,
                        std::shared_ptr<Stream>& found) {
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number == 0 || number == kStreamLegacy) {
    found = context->legacy_stream;
  } else if (number == kStreamPerThread) {
    found = threadStream(context);
  } else {
    found = streams.find(number);
  }
  return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

std::uint64_t Driver::threadNumber() {
  static std::atomic<std::uint64_t> next{1};
  thread_local const std::uint64_t number = next.fetch_add(1);
  return number;
}

std::shared_ptr<Stream> Driver::threadStream(const std::shared_ptr<Context>& context) {
  const std::lock_guard lock(context->mutex);
  std::shared_ptr<Stream>& stream = context->thread_streams[threadNumber()];
  if (stream) return stream;
  stream = std::make_shared<Stream>();
  stream->context = context;
  stream->handle = kStreamPerThread;
  stream->engine_stream = context->session->createStream(0);
  context->blocking_streams.push_back(stream);
  return stream;
}

CUresult Driver::place(const std::shared_ptr<Context>& context, std::size_t bytes, std::size_t alignment,
                       std::uint64_t charged, const std::shared_ptr<Allocation>& allocation) {
  allocation->base = arena_->allocate(bytes, alignment);
  allocation->bytes = bytes;
  allocation->device = context->device;
  allocation->context = context;
  allocation->charged = charged;
  if (allocation->base != nullptr && addresses.add(allocation)) return CUDA_SUCCESS;
  giveBack(*allocation);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult Driver::allocate(const std::shared_ptr<Context>& context, std::size_t bytes, MemoryKind kind,
                          std::shared_ptr<Allocation>& made, std::size_t alignment) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > Arena::kDefaultBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  auto allocation = std::make_shared<Allocation>();
  allocation->kind = kind;
  const std::uint64_t charged = kind == MemoryKind::Pinned ? 0 : roundUp(bytes, kDeviceAlignment);
  if (charged != 0) {
    Status status = context->session->reserve(charged);
    if (status == Status::OutOfMemory) {
      for (const std::shared_ptr<MemoryPool>& pool : pools.all()) trim(*pool, 0);
      status = context->session->reserve(charged);
    }
    if (status != Status::Ok) return toResult(status);
  }
  const CUresult result = place(context, bytes, alignment, charged, allocation);
  if (result == CUDA_SUCCESS) made = std::move(allocation);
  return result;
}

CUresult Driver::chargeToPool(const std::shared_ptr<Context>& context, MemoryPool& pool,
                              std::uint64_t bytes) {
  std::uint64_t taken = 0;
  {
    const std::lock_guard lock(pool.mutex);
    if (pool.max_size != 0 && bytes > pool.max_size - std::min(pool.max_size, pool.used))
      return CUDA_ERROR_OUT_OF_MEMORY;
    std::uint64_t& kept = pool.kept[context->handle];
    taken = std::min(kept, bytes);
    kept -= taken;
  }
  Status status = bytes == taken ? Status::Ok : context->session->reserve(bytes - taken);
  if (status == Status::OutOfMemory) {
    for (const std::shared_ptr<MemoryPool>& other : pools.all()) trim(*other, 0);
    status = context->session->reserve(bytes - taken);
  }
  const std::lock_guard lock(pool.mutex);
  if (status != Status::Ok) {
    pool.kept[context->handle] += taken;
    return toResult(status);
  }
  pool.used += bytes;
  pool.used_high = std::max(pool.used_high, pool.used);
  std::uint64_t reserved = pool.used;
  for (const auto& [handle, kept] : pool.kept) reserved += kept;
  pool.reserved_high = std::max(pool.reserved_high, reserved);
  return CUDA_SUCCESS;
}

void Driver::returnToPool(const Context& context, MemoryPool& pool, std::uint64_t bytes) {
  const std::lock_guard lock(pool.mutex);
  pool.used -= std::min(pool.used, bytes);
  if (context.alive) pool.kept[context.handle] += bytes;
}

CUresult Driver::allocateFromPool(const std::shared_ptr<Context>& context,
                                  const std::shared_ptr<MemoryPool>& pool, std::size_t bytes,
                                  std::shared_ptr<Allocation>& made) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > Arena::kDefaultBytes) return CUDA_ERROR_OUT_OF_MEMORY;
  const std::uint64_t charged = roundUp(bytes, kDeviceAlignment);
  if (const CUresult result = chargeToPool(context, *pool, charged); result != CUDA_SUCCESS) return result;
  auto allocation = std::make_shared<Allocation>();
  allocation->pool = pool;
  const CUresult result = place(context, bytes, kDeviceAlignment, charged, allocation);
  if (result == CUDA_SUCCESS) made = std::move(allocation);
  return result;
}

void Driver::giveBack(Allocation& allocation) {
  if (allocation.graph) retire(*this, *allocation.graph);
  if (allocation.base != nullptr && arena_->contains(allocation.base))
    arena_->free(allocation.base, allocation.bytes);
  const std::shared_ptr<Context> context = allocation.context.lock();
  const std::uint64_t charged = std::exchange(allocation.charged, 0);
  if (!context || charged == 0) return;
  if (allocation.pool) {
    returnToPool(*context, *allocation.pool, charged);
  } else {
    context->session->release(charged);
  }
}

void Driver::trim(MemoryPool& pool, std::uint64_t keep) {
  const std::lock_guard lock(pool.mutex);
  std::uint64_t reserved = pool.used;
  for (const auto& [handle, kept] : pool.kept) reserved += kept;
  for (auto entry = pool.kept.begin(); entry != pool.kept.end();) {
    const std::uint64_t excess = reserved - std::min(reserved, keep);
    const std::uint64_t given = std::min(entry->second, excess);
    const std::shared_ptr<Context> context = contexts.find(entry->first);
    if (context && given != 0) context->session->release(given);
    entry->second -= given;
    reserved -= given;
    entry = entry->second == 0 || !context ? pool.kept.erase(entry) : std::next(entry);
  }
}

void Driver::trimPools(int device) {
  for (const std::shared_ptr<MemoryPool>& pool : pools.all()) {
    if (pool->device != device) continue;
    std::uint64_t threshold = 0;
    {
      const std::lock_guard lock(pool->mutex);
      if (pool->kept.empty()) continue;
      threshold = pool->release_threshold;
    }
    trim(*pool, threshold);
  }
}

std::shared_ptr<Context> Driver::contextOn(int device) {
  if (std::shared_ptr<Context> mine = contexts.find(currentHandle()); mine && mine->device == device)
    return mine;
  for (std::shared_ptr<Context>& context : contexts.all()) {
    if (context->device == device) return context;
  }
  return nullptr;
}

PhysicalMemory::~PhysicalMemory() {
  const std::shared_ptr<Context> owner = context.lock();
  if (owner && owner->alive && charged) owner->session->release(bytes);
}

Graph::~Graph() {
  // Edges point both ways round a mistaken cycle; without this its nodes would keep each other.
  for (const std::shared_ptr<GraphNode>& node : nodes) node->after.clear();
  for (const auto& [object, references] : user_objects) releaseUserObject(*object, references);
}

GraphExec::~GraphExec() {
  for (const std::shared_ptr<GraphNode>& node : nodes) node->after.clear();
}

}  // namespace berth::sim::cu
