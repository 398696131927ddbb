// Memory and events shared between processes. A handle names a memory file of the process that made it, which
// others open through /proc: that needs the same rights as CUDA's IPC does, and the same process namespace.
#include <cstring>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "cuda_api.h"
#include "device.h"
#include "entry.h"
#include "shared_event.h"

namespace berth::sim::cu {
namespace {

constexpr std::uint64_t kMemoryMagic = 0x4d454d4854524542;  // "BERTHMEM"
constexpr std::uint64_t kEventMagic = 0x5456454854524542;   // "BERTHEVT"

/// What lies in the 64 bytes of either handle.
struct Ticket64 {
  std::uint64_t magic;
  std::int32_t pid;
  std::int32_t fd;
  std::uint64_t offset;
  std::uint64_t bytes;
  CUuuid device;
  std::uint64_t reserved[2];
};
static_assert(sizeof(Ticket64) == sizeof(CUipcMemHandle) && sizeof(Ticket64) == sizeof(CUipcEventHandle));

template <typename Handle>
Ticket64 read(const Handle& handle) {
  Ticket64 ticket{};
  std::memcpy(&ticket, &handle, sizeof(ticket));
  if (ticket.reserved[0] != 0 || ticket.reserved[1] != 0) ticket.magic = 0;
  return ticket;
}

UniqueFd openFile(const Ticket64& ticket) {
  const std::string path = "/proc/" + std::to_string(ticket.pid) + "/fd/" + std::to_string(ticket.fd);
  return UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
}

int ordinalOf(Driver& driver, const CUuuid& uuid) {
  for (int i = 0; i < static_cast<int>(driver.deviceCount()); ++i) {
    const CUuuid known = uuidBytes(driver.device(i)->gpu.uuid);
    if (std::memcmp(&known, &uuid, sizeof(known)) == 0) return i;
  }
  return -1;
}

CUresult openMemory(Driver& driver, const std::shared_ptr<Context>& context, const Ticket64& ticket,
                    CUdeviceptr* out) {
  if (ticket.magic != kMemoryMagic || ordinalOf(driver, ticket.device) != context->device)
    return CUDA_ERROR_INVALID_VALUE;
  // One's own memory needs no handle.
  if (ticket.pid == ::getpid()) return CUDA_ERROR_INVALID_CONTEXT;
  const UniqueFd file = openFile(ticket);
  const std::optional<std::uint64_t> size =
      file.valid() ? sizeOfMemoryFile(file.get(), kArenaFile) : std::nullopt;
  if (!size || ticket.bytes == 0 || ticket.offset > *size || ticket.bytes > *size - ticket.offset)
    return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t inside = ticket.offset % kPageBytes;
  std::optional<Mapping> mapping = mapShared(file.get(), ticket.offset - inside, ticket.bytes + inside);
  if (!mapping) return CUDA_ERROR_MAP_FAILED;
  auto allocation = std::make_shared<Allocation>();
  allocation->base = mapping->data() + inside;
  allocation->bytes = ticket.bytes;
  allocation->kind = MemoryKind::Imported;
  allocation->device = context->device;
  allocation->context = context;
  allocation->mapping = *std::move(mapping);
  if (!driver.addresses.add(allocation)) return CUDA_ERROR_MAP_FAILED;
  *out = devicePointer(allocation->base);
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuIpcGetMemHandle(CUipcMemHandle* out, CUdeviceptr pointer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
    if (out == nullptr || !found || found->kind != MemoryKind::Device || found->pool)
      return CUDA_ERROR_INVALID_VALUE;
    const Ticket64 ticket{kMemoryMagic,
                          ::getpid(),
                          driver.arena().fd(),
                          driver.arena().offsetOf(found->base),
                          found->bytes,
                          uuidBytes(driver.device(found->device)->gpu.uuid),
                          {}};
    std::memcpy(out, &ticket, sizeof(ticket));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || flags != kIpcLazyPeerAccess) return CUDA_ERROR_INVALID_VALUE;
    return openMemory(driver, context, read(handle), out);
  });
}
BERTH_CUDA_API cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned flags) {
  return cuIpcOpenMemHandle_v2(out, handle, flags);
}

BERTH_CUDA_API cuIpcCloseMemHandle(CUdeviceptr pointer) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    const auto taken = driver.addresses.take(addressOf(pointer), [](const Allocation& found) {
      return found.kind == MemoryKind::Imported && found.mapping.data() != nullptr;
    });
    if (!taken) return CUDA_ERROR_INVALID_VALUE;
    return toResult(context->session->waitAll());
  });
}

BERTH_CUDA_API cuIpcGetEventHandle(CUipcEventHandle* out, CUevent handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Event> event = driver.events.find(numberOf(handle));
    if (!event || !event->shared) return CUDA_ERROR_INVALID_HANDLE;
    const Ticket64 ticket{kEventMagic, ::getpid(), event->shared->fd(),
                          0,           kPageBytes, uuidBytes(driver.device(context->device)->gpu.uuid),
                          {}};
    std::memcpy(out, &ticket, sizeof(ticket));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuIpcOpenEventHandle(CUevent* out, CUipcEventHandle handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    const Ticket64 ticket = read(handle);
    if (out == nullptr || ticket.magic != kEventMagic) return CUDA_ERROR_INVALID_VALUE;
    if (ordinalOf(driver, ticket.device) != context->device) return CUDA_ERROR_INVALID_VALUE;
    UniqueFd file = openFile(ticket);
    auto event = std::make_shared<Event>();
    if (file.valid()) event->shared = SharedEvent::open(std::move(file));
    if (!event->shared) return CUDA_ERROR_INVALID_VALUE;
    event->context = context;
    event->flags = kEventDisableTiming | kEventInterprocess;
    *out = handleOf<CUevent>(driver.events.add(std::move(event)));
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
