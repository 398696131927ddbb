#include "copy.h"

#include <cstring>

#include "entry.h"

namespace berth::sim::cu {
namespace {

/// One end of a copy, before the extent is applied.
struct End {
  std::byte* base = nullptr;
  std::size_t pitch = 0;
  std::size_t slice = 0;
  bool host = false;
};

struct Request {
  CUmemorytype type;
  const void* host;
  CUdeviceptr device;
  CUarray array;
  std::size_t pitch;
  std::size_t height;
  std::size_t x;
  std::size_t y;
  std::size_t z;
};

bool multiplies(std::size_t a, std::size_t b, std::size_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

/// Bytes from the first row's begin to the last row's end.
bool spanOf(const End& end, std::size_t row_bytes, std::size_t rows, std::size_t slices, std::size_t& span) {
  std::size_t slices_span = 0;
  std::size_t rows_span = 0;
  return multiplies(slices - 1, end.slice, slices_span) && multiplies(rows - 1, end.pitch, rows_span) &&
         !__builtin_add_overflow(slices_span, rows_span, &span) &&
         !__builtin_add_overflow(span, row_bytes, &span);
}

CUresult resolveArray(const Driver& driver, const Request& request, const CUDA_MEMCPY3D& copy, End& end) {
  const std::shared_ptr<Array> array = driver.arrays.find(numberOf(request.array));
  if (!array) return CUDA_ERROR_INVALID_HANDLE;
  const std::size_t height = std::max<std::size_t>(array->descriptor.Height, 1);
  const std::size_t depth = std::max<std::size_t>(array->descriptor.Depth, 1);
  const auto exceeds = [](std::size_t at, std::size_t count, std::size_t limit) {
    return at > limit || count > limit - at;
  };
  if (exceeds(request.x, copy.WidthInBytes, array->row_bytes) || exceeds(request.y, copy.Height, height) ||
      exceeds(request.z, copy.Depth, depth))
    return CUDA_ERROR_INVALID_VALUE;
  end.pitch = array->row_bytes;
  end.slice = array->row_bytes * height;
  end.base = array->base + request.z * end.slice + request.y * end.pitch + request.x;
  return CUDA_SUCCESS;
}

CUresult resolvePointer(const Driver& driver, const Request& request, const CUDA_MEMCPY3D& copy, End& end) {
  const bool by_host_field = request.type == CU_MEMORYTYPE_HOST;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): one path for sources and destinations
  auto* base =
      by_host_field ? static_cast<std::byte*>(const_cast<void*>(request.host)) : addressOf(request.device);
  if (base == nullptr) return CUDA_ERROR_INVALID_VALUE;
  end.pitch = request.pitch == 0 ? copy.WidthInBytes : request.pitch;
  const std::size_t height = request.height == 0 ? copy.Height : request.height;
  if (end.pitch < copy.WidthInBytes || height < copy.Height) return CUDA_ERROR_INVALID_VALUE;
  std::size_t offset_z = 0;
  std::size_t offset_y = 0;
  std::size_t span = 0;
  if (!multiplies(end.pitch, height, end.slice) || !multiplies(request.z, end.slice, offset_z) ||
      !multiplies(request.y, end.pitch, offset_y) ||
      !spanOf(end, copy.WidthInBytes, copy.Height, copy.Depth, span))
    return CUDA_ERROR_INVALID_VALUE;
  end.base = base + offset_z + offset_y + request.x;
  const std::shared_ptr<Allocation> known = driver.addresses.find(end.base);
  end.host =
      by_host_field || (known ? known->kind == MemoryKind::Pinned || known->kind == MemoryKind::Registered
                              : request.type == CU_MEMORYTYPE_UNIFIED);
  // Pageable host memory is the caller's own and cannot be checked.
  if (end.host && !known) return CUDA_SUCCESS;
  return driver.addresses.covers(end.base, span) || by_host_field ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult resolveEnd(const Driver& driver, const Request& request, const CUDA_MEMCPY3D& copy, End& end) {
  switch (request.type) {
    case CU_MEMORYTYPE_ARRAY:
      return resolveArray(driver, request, copy, end);
    case CU_MEMORYTYPE_HOST:
    case CU_MEMORYTYPE_DEVICE:
    case CU_MEMORYTYPE_UNIFIED:
      return resolvePointer(driver, request, copy, end);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

CUDA_MEMCPY3D linearCopy(void* to, CUmemorytype to_type, const void* from, CUmemorytype from_type,
                         std::size_t bytes) {
  CUDA_MEMCPY3D request{};
  request.srcMemoryType = from_type;
  request.srcHost = from;
  request.srcDevice = devicePointer(from);
  request.dstMemoryType = to_type;
  request.dstHost = to;
  request.dstDevice = devicePointer(to);
  request.WidthInBytes = bytes;
  request.Height = 1;
  request.Depth = 1;
  return request;
}

CUresult resolveCopy(const Driver& driver, const CUDA_MEMCPY3D& request, ResolvedCopy& resolved) {
  if (request.WidthInBytes == 0 || request.Height == 0 || request.Depth == 0) return CUDA_SUCCESS;
  if (request.srcLOD != 0 || request.dstLOD != 0) return CUDA_ERROR_INVALID_VALUE;
  End from;
  End to;
  const Request source{request.srcMemoryType, request.srcHost,  request.srcDevice,
                       request.srcArray,      request.srcPitch, request.srcHeight,
                       request.srcXInBytes,   request.srcY,     request.srcZ};
  const Request target{request.dstMemoryType, request.dstHost,  request.dstDevice,
                       request.dstArray,      request.dstPitch, request.dstHeight,
                       request.dstXInBytes,   request.dstY,     request.dstZ};
  if (const CUresult result = resolveEnd(driver, source, request, from); result != CUDA_SUCCESS)
    return result;
  if (const CUresult result = resolveEnd(driver, target, request, to); result != CUDA_SUCCESS) return result;
  resolved = {from.base,      to.base,       request.WidthInBytes,
              request.Height, request.Depth, from.pitch,
              from.slice,     to.pitch,      to.slice,
              from.host,      to.host};
  return CUDA_SUCCESS;
}

void runCopy(const ResolvedCopy& copy) {
  for (std::size_t z = 0; z < copy.slices; ++z) {
    for (std::size_t y = 0; y < copy.rows; ++y) {
      std::memmove(copy.to + z * copy.to_slice + y * copy.to_pitch,
                   copy.from + z * copy.from_slice + y * copy.from_pitch, copy.row_bytes);
    }
  }
}

CUresult checkFill(const Driver& driver, const CUDA_MEMSET_NODE_PARAMS& request) {
  const std::size_t size = request.elementSize;
  if (size != 1 && size != 2 && size != 4) return CUDA_ERROR_INVALID_VALUE;
  if (request.width == 0 || request.height == 0) return CUDA_SUCCESS;
  if (request.dst % size != 0 || (request.height > 1 && request.pitch % size != 0))
    return CUDA_ERROR_INVALID_VALUE;
  std::size_t row = 0;
  std::size_t span = 0;
  if (!multiplies(request.width, size, row)) return CUDA_ERROR_INVALID_VALUE;
  if (request.height > 1 && request.pitch < row) return CUDA_ERROR_INVALID_VALUE;
  if (!spanOf({nullptr, request.pitch, 0, false}, row, request.height, 1, span))
    return CUDA_ERROR_INVALID_VALUE;
  return driver.addresses.covers(addressOf(request.dst), span) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

void runFill(const CUDA_MEMSET_NODE_PARAMS& request) {
  if (request.width == 0) return;  // However many empty rows there are
  for (std::size_t y = 0; y < request.height; ++y) {
    std::byte* row = addressOf(request.dst) + y * request.pitch;
    if (request.elementSize == 1) {
      std::memset(row, static_cast<int>(request.value & 0xff), request.width);
      continue;
    }
    for (std::size_t x = 0; x < request.width; ++x)
      std::memcpy(row + x * request.elementSize, &request.value, request.elementSize);
  }
}

}  // namespace berth::sim::cu
