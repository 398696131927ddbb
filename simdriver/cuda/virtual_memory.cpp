// Virtual memory: address space, physical memory and the mapping of one to the other, by hand. Address space
// is a mapping of nothing, physical memory a memory file, so that a file descriptor takes it to another
// process.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>

#include "cuda_api.h"
#include "entry.h"

namespace berth::sim::cu {
namespace {

constexpr std::size_t kGranularity = std::size_t{2} << 20;

bool granular(std::uint64_t value) { return value % kGranularity == 0; }

CUresult checkProperties(Driver& driver, const CUmemAllocationProp& properties) {
  if (properties.type != kMemAllocationPinned) return CUDA_ERROR_INVALID_VALUE;
  if (properties.location.type != kMemLocationDevice) return CUDA_ERROR_NOT_SUPPORTED;
  if (driver.device(properties.location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
  const bool known = properties.requestedHandleTypes == kMemHandleTypeNone ||
                     properties.requestedHandleTypes == kMemHandleTypePosixFd;
  return known ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

/// Address space that nothing may touch, `base` bytes into a mapping so that it is aligned.
CUresult reserve(Driver& driver, std::size_t bytes, std::size_t alignment, CUdeviceptr wish,
                 std::byte*& base) {
  const std::size_t step = std::max(alignment, kGranularity);
  std::size_t whole = 0;
  if (__builtin_add_overflow(bytes, step, &whole)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* at = ::mmap(addressOf(wish), whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Mapping mapping(at, whole);
  base = addressOf(roundUp(numberOf(at), step));
  const std::lock_guard lock(driver.reservations_mutex);
  driver.reservations.emplace(numberOf(base), Driver::Reservation{std::move(mapping), bytes});
  return CUDA_SUCCESS;
}

/// True when one reservation holds all of it. The caller holds the reservations' lock.
bool reserved(const Driver& driver, CUdeviceptr pointer, std::size_t bytes) {
  const auto next = driver.reservations.upper_bound(pointer);
  if (next == driver.reservations.begin()) return false;
  const auto& [base, reservation] = *std::prev(next);
  return pointer - base <= reservation.bytes && bytes <= reservation.bytes - (pointer - base);
}

/// The mappings that make up exactly [pointer, pointer + bytes); empty when none do.
std::vector<std::shared_ptr<Allocation>> mappingsOf(Driver& driver, CUdeviceptr pointer, std::size_t bytes) {
  std::vector<std::shared_ptr<Allocation>> found;
  std::size_t done = 0;
  while (done < bytes) {
    const std::byte* at = addressOf(pointer + done);
    std::shared_ptr<Allocation> mapping = driver.addresses.find(at);
    if (!mapping || mapping->kind != MemoryKind::Virtual || mapping->base != at) return {};
    done += mapping->bytes;
    found.push_back(std::move(mapping));
  }
  if (done != bytes) found.clear();
  return found;
}

CUresult makePhysical(Driver& driver, std::size_t bytes, const CUmemAllocationProp& properties,
                      CUmemGenericAllocationHandle* out) {
  const std::shared_ptr<Context> context = driver.contextOn(properties.location.id);
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  if (const Status status = context->session->reserve(bytes); status != Status::Ok) return toResult(status);
  auto memory = std::make_shared<PhysicalMemory>();
  memory->bytes = bytes;
  memory->context = context;
  memory->charged = true;
  memory->device = properties.location.id;
  memory->handle_types = properties.requestedHandleTypes;
  memory->properties = properties;
  std::optional<UniqueFd> file = makeMemoryFile(kPhysicalFile, bytes);
  if (!file) return CUDA_ERROR_OUT_OF_MEMORY;
  memory->file = *std::move(file);
  memory->handle = driver.physical.add(memory);
  *out = memory->handle;
  return CUDA_SUCCESS;
}

CUresult importPhysical(Driver& driver, int fd, CUmemGenericAllocationHandle* out) {
  std::shared_ptr<Context> context;
  if (const CUresult result = driver.current(context); result != CUDA_SUCCESS) return result;
  const std::optional<std::uint64_t> bytes = sizeOfMemoryFile(fd, kPhysicalFile);
  if (!bytes || !granular(*bytes)) return CUDA_ERROR_INVALID_VALUE;
  auto memory = std::make_shared<PhysicalMemory>();
  memory->file = UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!memory->file.valid()) return CUDA_ERROR_OPERATING_SYSTEM;
  memory->bytes = *bytes;
  memory->device = context->device;
  memory->handle_types = kMemHandleTypePosixFd;
  memory->properties.type = kMemAllocationPinned;
  memory->properties.requestedHandleTypes = kMemHandleTypePosixFd;
  memory->properties.location = {kMemLocationDevice, context->device};
  memory->handle = driver.physical.add(memory);
  *out = memory->handle;
  return CUDA_SUCCESS;
}

CUresult map(Driver& driver, CUdeviceptr pointer, std::size_t bytes,
             const std::shared_ptr<PhysicalMemory>& memory) {
  const std::lock_guard lock(driver.reservations_mutex);
  if (!reserved(driver, pointer, bytes) || driver.addresses.touches(addressOf(pointer), bytes))
    return CUDA_ERROR_INVALID_VALUE;
  void* at = ::mmap(addressOf(pointer), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                    memory->file.get(), 0);
  if (at == MAP_FAILED) return CUDA_ERROR_MAP_FAILED;
  auto allocation = std::make_shared<Allocation>();
  allocation->base = addressOf(pointer);
  allocation->bytes = bytes;
  allocation->kind = MemoryKind::Virtual;
  allocation->device = memory->device;
  allocation->physical = memory;
  allocation->accessible = false;
  return driver.addresses.add(allocation) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult unmap(Driver& driver, CUdeviceptr pointer, std::size_t bytes) {
  const std::lock_guard lock(driver.reservations_mutex);
  const auto mappings = mappingsOf(driver, pointer, bytes);
  if (mappings.empty()) return CUDA_ERROR_INVALID_VALUE;
  void* at = ::mmap(addressOf(pointer), bytes, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return CUDA_ERROR_UNMAP_FAILED;
  for (const std::shared_ptr<Allocation>& mapping : mappings)
    driver.addresses.take(mapping->base, [](const Allocation&) { return true; });
  return CUDA_SUCCESS;
}

template <typename Fn>
CUresult onMemory(CUmemGenericAllocationHandle handle, Fn&& fn) noexcept {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<PhysicalMemory> memory = driver.physical.find(handle);
    return memory ? fn(driver, memory) : CUDA_ERROR_INVALID_VALUE;
  });
}

bool validAccess(unsigned flags) {
  return flags == kMemAccessNone || flags == kMemAccessRead || flags == kMemAccessReadWrite;
}

}  // namespace

BERTH_CUDA_API cuMemGetAllocationGranularity(std::size_t* bytes, const CUmemAllocationProp* properties,
                                             unsigned option) {
  return initialised([&](Driver& driver) -> CUresult {
    if (bytes == nullptr || properties == nullptr || option > 1) return CUDA_ERROR_INVALID_VALUE;
    const CUresult result = checkProperties(driver, *properties);
    if (result == CUDA_SUCCESS) *bytes = kGranularity;
    return result;
  });
}

BERTH_CUDA_API cuMemAddressReserve(CUdeviceptr* out, std::size_t bytes, std::size_t alignment,
                                   CUdeviceptr wish, unsigned long long flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || bytes == 0 || !granular(bytes) || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if ((alignment & (alignment - 1)) != 0 || bytes > Arena::kDefaultBytes ||
        alignment > Arena::kDefaultBytes)
      return CUDA_ERROR_INVALID_VALUE;
    std::byte* base = nullptr;
    const CUresult result = reserve(driver, bytes, alignment, wish, base);
    if (result == CUDA_SUCCESS) *out = devicePointer(base);
    return result;
  });
}

BERTH_CUDA_API cuMemAddressFree(CUdeviceptr pointer, std::size_t bytes) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::lock_guard lock(driver.reservations_mutex);
    const auto found = driver.reservations.find(pointer);
    if (found == driver.reservations.end() || found->second.bytes != bytes) return CUDA_ERROR_INVALID_VALUE;
    if (driver.addresses.touches(addressOf(pointer), bytes)) return CUDA_ERROR_INVALID_VALUE;
    driver.reservations.erase(found);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemCreate(CUmemGenericAllocationHandle* out, std::size_t bytes,
                           const CUmemAllocationProp* properties, unsigned long long flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || properties == nullptr || bytes == 0 || !granular(bytes) || flags != 0)
      return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult result = checkProperties(driver, *properties); result != CUDA_SUCCESS) return result;
    if (bytes > Arena::kDefaultBytes) return CUDA_ERROR_OUT_OF_MEMORY;
    return makePhysical(driver, bytes, *properties, out);
  });
}

BERTH_CUDA_API cuMemRelease(CUmemGenericAllocationHandle handle) {
  return onMemory(handle, [&](Driver& driver, const std::shared_ptr<PhysicalMemory>& memory) -> CUresult {
    const std::lock_guard lock(memory->mutex);
    // What is mapped stays until it is unmapped, without a handle.
    if (--memory->handles == 0) driver.physical.take(handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* address) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Allocation> mapping = driver.addresses.find(address);
    if (out == nullptr || !mapping || !mapping->physical) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<PhysicalMemory>& memory = mapping->physical;
    const std::lock_guard lock(memory->mutex);
    if (memory->handles == 0) memory->handle = driver.physical.add(memory);
    ++memory->handles;
    *out = memory->handle;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemMap(CUdeviceptr pointer, std::size_t bytes, std::size_t offset,
                        CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return onMemory(handle, [&](Driver& driver, const std::shared_ptr<PhysicalMemory>& memory) -> CUresult {
    if (pointer == 0 || bytes == 0 || !granular(pointer) || !granular(bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (offset != 0 || flags != 0 || bytes > memory->bytes) return CUDA_ERROR_INVALID_VALUE;
    return map(driver, pointer, bytes, memory);
  });
}

BERTH_CUDA_API cuMemUnmap(CUdeviceptr pointer, std::size_t bytes) {
  return initialised([&](Driver& driver) -> CUresult {
    return bytes == 0 || !granular(bytes) ? CUDA_ERROR_INVALID_VALUE : unmap(driver, pointer, bytes);
  });
}

BERTH_CUDA_API cuMemSetAccess(CUdeviceptr pointer, std::size_t bytes, const CUmemAccessDesc* accesses,
                              std::size_t count) {
  return initialised([&](Driver& driver) -> CUresult {
    if (accesses == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    bool accessible = false;
    for (std::size_t i = 0; i < count; ++i) {
      if (accesses[i].location.type != kMemLocationDevice || !validAccess(accesses[i].flags))
        return CUDA_ERROR_INVALID_VALUE;
      if (driver.device(accesses[i].location.id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
      accessible = accessible || accesses[i].flags != kMemAccessNone;
    }
    const std::lock_guard lock(driver.reservations_mutex);
    const auto mappings = mappingsOf(driver, pointer, bytes);
    if (mappings.empty()) return CUDA_ERROR_INVALID_VALUE;
    for (const std::shared_ptr<Allocation>& mapping : mappings) mapping->accessible = accessible;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr pointer) {
  return initialised([&](Driver& driver) -> CUresult {
    if (flags == nullptr || location == nullptr || location->type != kMemLocationDevice)
      return CUDA_ERROR_INVALID_VALUE;
    if (driver.device(location->id) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    const std::shared_ptr<Allocation> found = driver.addresses.find(addressOf(pointer));
    if (!found) return CUDA_ERROR_INVALID_VALUE;
    *flags = found->accessible ? kMemAccessReadWrite : kMemAccessNone;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out,
                                                      CUmemGenericAllocationHandle handle) {
  return onMemory(handle, [&](Driver&, const std::shared_ptr<PhysicalMemory>& memory) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = memory->properties;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle, unsigned type,
                                            unsigned long long flags) {
  return onMemory(handle, [&](Driver&, const std::shared_ptr<PhysicalMemory>& memory) -> CUresult {
    if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (type != kMemHandleTypePosixFd || memory->handle_types != kMemHandleTypePosixFd)
      return CUDA_ERROR_INVALID_VALUE;
    const int fd = ::fcntl(memory->file.get(), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
    std::memcpy(out, &fd, sizeof(fd));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* out, void* os_handle,
                                              unsigned type) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (type != kMemHandleTypePosixFd) return CUDA_ERROR_NOT_SUPPORTED;
    return importPhysical(driver, static_cast<int>(numberOf(os_handle)), out);
  });
}

BERTH_CUDA_API cuMemGetHandleForAddressRange(void* out, CUdeviceptr, std::size_t, unsigned,
                                             unsigned long long) {
  // DMA buffers; the device's attributes say that there are none.
  return initialised(
      [&](Driver&) { return out == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED; });
}

}  // namespace berth::sim::cu
