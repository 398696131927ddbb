// cuGetProcAddress and cuGetExportTable: how programs without a link to the driver find it.
#include "proc_address.h"

#include "cuda_api.h"
#include "entry.h"

namespace berth::sim::cu {
namespace {

constexpr std::uint64_t kLegacyStream = 1;
constexpr std::uint64_t kKnownFlags = kLegacyStream | kProcAddressPerThreadStream;

CUresult search(const char* name, void** function, int version, std::uint64_t flags, SymbolSearch& search) {
  if (name == nullptr || *name == '\0' || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (version <= 0 || version > kDriverVersion) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & ~kKnownFlags) != 0 || flags == kKnownFlags) return CUDA_ERROR_INVALID_VALUE;
  search = findSymbol(name, version);
  *function = nullptr;
  if (search.symbol == nullptr) return CUDA_SUCCESS;
  const bool per_thread = flags == kProcAddressPerThreadStream && search.symbol->per_thread != nullptr;
  *function = reinterpret_cast<void*>(per_thread ? search.symbol->per_thread : search.symbol->function);
  return CUDA_SUCCESS;
}

}  // namespace

// The first form says by its result that there is no such function, the second by the status.
BERTH_CUDA_API cuGetProcAddress(const char* name, void** function, int version, std::uint64_t flags) {
  SymbolSearch found;
  const CUresult result = search(name, function, version, flags, found);
  if (result != CUDA_SUCCESS) return result;
  return found.symbol == nullptr ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

BERTH_CUDA_API cuGetProcAddress_v2(const char* name, void** function, int version, std::uint64_t flags,
                                   unsigned* status) {
  SymbolSearch found;
  const CUresult result = search(name, function, version, flags, found);
  if (result == CUDA_SUCCESS && status != nullptr) *status = found.result;
  return result;
}

// The tables are private to NVIDIA's own libraries and none is known here. That is an ordinary answer: those
// who ask do without.
BERTH_CUDA_API cuGetExportTable(const void** table, const CUuuid* id) {
  if (table == nullptr || id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *table = nullptr;
  return CUDA_ERROR_NOT_FOUND;
}

}  // namespace berth::sim::cu
