// Memory of other APIs, by file descriptor. What is taken in are the memory files that
// cuMemExportToShareableHandle gives out: there is no other API on a simulated GPU.
#include "cuda_api.h"
#include "entry.h"

namespace berth::sim::cu {
namespace {

CUresult import(Driver& driver, const std::shared_ptr<Context>& context,
                const CUDA_EXTERNAL_MEMORY_HANDLE_DESC& description, CUexternalMemory* out) {
  if ((description.flags & ~kExternalMemoryDedicated) != 0 || description.size == 0)
    return CUDA_ERROR_INVALID_VALUE;
  if (description.type != kExternalMemoryOpaqueFd) return CUDA_ERROR_NOT_SUPPORTED;
  const std::optional<std::uint64_t> bytes = sizeOfMemoryFile(description.handle.fd, kPhysicalFile);
  if (!bytes || description.size > *bytes) return CUDA_ERROR_INVALID_VALUE;
  std::optional<Mapping> mapping = mapShared(description.handle.fd, 0, description.size);
  if (!mapping) return CUDA_ERROR_MAP_FAILED;
  auto memory = std::make_shared<ExternalMemory>();
  memory->mapping = *std::move(mapping);
  memory->bytes = description.size;
  memory->context = context;
  *out = handleOf<CUexternalMemory>(driver.external.add(std::move(memory)));
  // A descriptor that was taken in is the driver's.
  static_cast<void>(UniqueFd(description.handle.fd));
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuImportExternalMemory(CUexternalMemory* out,
                                      const CUDA_EXTERNAL_MEMORY_HANDLE_DESC* description) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || description == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return import(driver, context, *description, out);
  });
}

BERTH_CUDA_API cuExternalMemoryGetMappedBuffer(CUdeviceptr* out, CUexternalMemory handle,
                                               const CUDA_EXTERNAL_MEMORY_BUFFER_DESC* description) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || description == nullptr || description->flags != 0) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<ExternalMemory> memory = driver.external.find(numberOf(handle));
    if (!memory) return CUDA_ERROR_INVALID_HANDLE;
    if (description->size == 0 || description->offset > memory->bytes ||
        description->size > memory->bytes - description->offset)
      return CUDA_ERROR_INVALID_VALUE;
    auto allocation = std::make_shared<Allocation>();
    allocation->base = memory->mapping.data() + description->offset;
    allocation->bytes = description->size;
    allocation->kind = MemoryKind::Imported;
    allocation->device = context->device;
    allocation->context = context;
    allocation->external = memory;
    if (!driver.addresses.add(allocation)) return CUDA_ERROR_INVALID_VALUE;
    *out = devicePointer(allocation->base);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuExternalMemoryGetMappedMipmappedArray(
    CUmipmappedArray* out, CUexternalMemory handle,
    const CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC* description) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (out == nullptr || description == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return driver.external.find(numberOf(handle)) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_HANDLE;
  });
}

BERTH_CUDA_API cuDestroyExternalMemory(CUexternalMemory handle) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    return driver.external.take(numberOf(handle)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace berth::sim::cu
