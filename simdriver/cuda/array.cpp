// Arrays and mipmapped arrays: made, described, taken apart. Their rows are laid out without gaps; textures
// and surfaces over them are not simulated (unsupported.cpp).
#include <algorithm>
#include <bit>

#include "cuda_api.h"
#include "entry.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned kKnownFlags =
    kArray3dLayered | kArray3dSurface | kArray3dCubemap | kArray3dGather | kArray3dDepth | kArray3dColour;
constexpr std::size_t kMaxWidth = 131072;
constexpr std::size_t kMaxHeight = 65536;
constexpr std::size_t kMaxDepth = 16384;
constexpr std::size_t kCubeFaces = 6;

std::size_t formatBytes(unsigned format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 4;
    default:
      return 0;
  }
}

bool validDescriptor(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  if (formatBytes(array.Format) == 0 || (array.Flags & ~kKnownFlags) != 0) return false;
  if (array.NumChannels != 1 && array.NumChannels != 2 && array.NumChannels != 4) return false;
  if (array.Width == 0 || array.Width > kMaxWidth || array.Height > kMaxHeight || array.Depth > kMaxDepth)
    return false;
  if ((array.Flags & kArray3dCubemap) != 0)
    return array.Width == array.Height && array.Depth != 0 && array.Depth % kCubeFaces == 0;
  if ((array.Flags & kArray3dLayered) != 0) return array.Depth != 0;
  return array.Depth == 0 || array.Height != 0;
}

std::size_t rowBytes(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  return array.Width * array.NumChannels * formatBytes(array.Format);
}
std::size_t bytesOf(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  return rowBytes(array) * std::max<std::size_t>(array.Height, 1) * std::max<std::size_t>(array.Depth, 1);
}

/// One level down: half the extent; layers stay.
CUDA_ARRAY3D_DESCRIPTOR levelOf(CUDA_ARRAY3D_DESCRIPTOR array, unsigned level) {
  const auto half = [level](std::size_t extent) {
    return extent == 0 ? 0 : std::max<std::size_t>(extent >> level, 1);
  };
  array.Width = half(array.Width);
  array.Height = half(array.Height);
  if ((array.Flags & (kArray3dLayered | kArray3dCubemap)) == 0) array.Depth = half(array.Depth);
  return array;
}

unsigned mostLevels(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  const bool flat = (array.Flags & (kArray3dLayered | kArray3dCubemap)) != 0;
  const std::size_t largest = std::max({array.Width, array.Height, flat ? std::size_t{0} : array.Depth});
  return static_cast<unsigned>(std::bit_width(largest));
}

std::shared_ptr<Array> arrayAt(const std::shared_ptr<Context>& context,
                               const CUDA_ARRAY3D_DESCRIPTOR& descriptor,
                               const std::shared_ptr<Allocation>& memory, std::size_t offset) {
  auto array = std::make_shared<Array>();
  array->descriptor = descriptor;
  array->base = memory->base + offset;
  array->bytes = bytesOf(descriptor);
  array->row_bytes = rowBytes(descriptor);
  array->context = context;
  array->allocation = memory;
  return array;
}

/// Memory that copies between arrays reach and pointers do not.
CUresult allocateHidden(Driver& driver, const std::shared_ptr<Context>& context, std::size_t bytes,
                        std::shared_ptr<Allocation>& memory) {
  const CUresult result = driver.allocate(context, bytes, MemoryKind::Array, memory);
  if (result == CUDA_SUCCESS) memory->accessible = false;
  return result;
}

CUresult create(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR& descriptor) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || !validDescriptor(descriptor)) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Allocation> memory;
    const CUresult result = allocateHidden(driver, context, bytesOf(descriptor), memory);
    if (result != CUDA_SUCCESS) return result;
    *out = handleOf<CUarray>(driver.arrays.add(arrayAt(context, descriptor, memory, 0)));
    return CUDA_SUCCESS;
  });
}

void release(Driver& driver, const std::shared_ptr<Context>& context, Allocation& memory) {
  static_cast<void>(context->session->waitAll());
  if (driver.addresses.take(memory.base, [](const Allocation&) { return true; })) driver.giveBack(memory);
}

/// fn(array) on a living array.
template <typename Fn>
CUresult onArray(CUarray handle, Fn&& fn) noexcept {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    const std::shared_ptr<Array> array = driver.arrays.find(numberOf(handle));
    return array ? fn(*array) : CUDA_ERROR_INVALID_HANDLE;
  });
}
template <typename Fn>
CUresult onMipmap(CUmipmappedArray handle, Fn&& fn) noexcept {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    const std::shared_ptr<MipmappedArray> array = driver.mipmaps.find(numberOf(handle));
    return array ? fn(*array) : CUDA_ERROR_INVALID_HANDLE;
  });
}

void addLevels(Driver& driver, const std::shared_ptr<Context>& context, MipmappedArray& whole,
               unsigned levels) {
  std::size_t offset = 0;
  for (unsigned level = 0; level < levels; ++level) {
    std::shared_ptr<Array> array =
        arrayAt(context, levelOf(whole.descriptor, level), whole.allocation, offset);
    array->level = true;
    offset += array->bytes;
    whole.levels.push_back(driver.arrays.add(std::move(array)));
  }
}

CUresult requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out, std::size_t bytes) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = {roundUp(bytes, kDeviceAlignment), kDeviceAlignment, {}};
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* descriptor) {
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return create(array,
                {descriptor->Width, descriptor->Height, 0, descriptor->Format, descriptor->NumChannels, 0});
}
BERTH_CUDA_API cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) {
  if (descriptor == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return create(array, *descriptor);
}

BERTH_CUDA_API cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR* out, CUarray handle) {
  return onArray(handle, [&](const Array& array) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = {array.descriptor.Width, array.descriptor.Height, array.descriptor.Format,
            array.descriptor.NumChannels};
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR* out, CUarray handle) {
  return onArray(handle, [&](const Array& array) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = array.descriptor;
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out, CUarray handle, CUdevice) {
  return onArray(handle, [&](const Array& array) { return requirements(out, array.bytes); });
}
BERTH_CUDA_API cuArrayGetPlane(CUarray*, CUarray handle, unsigned) {
  // Arrays of several planes have formats that are refused at creation.
  return onArray(handle, [](const Array&) { return CUDA_ERROR_INVALID_VALUE; });
}

BERTH_CUDA_API cuArrayDestroy(CUarray handle) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Array> array = driver.arrays.find(numberOf(handle));
    const std::shared_ptr<Context> context = array ? array->context.lock() : nullptr;
    // A level goes with its whole.
    if (!context || array->level) return CUDA_ERROR_INVALID_HANDLE;
    driver.arrays.take(numberOf(handle));
    release(driver, context, *array->allocation);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMipmappedArrayCreate(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                      unsigned levels) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return inContext([&](Driver& driver, const std::shared_ptr<Context>& context) -> CUresult {
    if (out == nullptr || descriptor == nullptr || levels == 0 || !validDescriptor(*descriptor))
      return CUDA_ERROR_INVALID_VALUE;
    const unsigned made = std::min(levels, mostLevels(*descriptor));
    std::size_t bytes = 0;
    for (unsigned level = 0; level < made; ++level) bytes += bytesOf(levelOf(*descriptor, level));
    auto array = std::make_shared<MipmappedArray>();
    array->descriptor = *descriptor;
    array->context = context;
    const CUresult result = allocateHidden(driver, context, bytes, array->allocation);
    if (result != CUDA_SUCCESS) return result;
    addLevels(driver, context, *array, made);
    *out = handleOf<CUmipmappedArray>(driver.mipmaps.add(std::move(array)));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuMipmappedArrayGetLevel(CUarray* out, CUmipmappedArray handle, unsigned level) {
  return onMipmap(handle, [&](const MipmappedArray& array) -> CUresult {
    if (out == nullptr || level >= array.levels.size()) return CUDA_ERROR_INVALID_VALUE;
    *out = handleOf<CUarray>(array.levels[level]);
    return CUDA_SUCCESS;
  });
}
BERTH_CUDA_API cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out,
                                                     CUmipmappedArray handle, CUdevice) {
  return onMipmap(handle,
                  [&](const MipmappedArray& array) { return requirements(out, array.allocation->bytes); });
}

BERTH_CUDA_API cuMipmappedArrayDestroy(CUmipmappedArray handle) {
  if (const CUresult result = forbidWhileCapturing(); result != CUDA_SUCCESS) return result;
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<MipmappedArray> array = driver.mipmaps.take(numberOf(handle));
    const std::shared_ptr<Context> context = array ? array->context.lock() : nullptr;
    if (!context) return CUDA_ERROR_INVALID_HANDLE;
    for (const std::uintptr_t level : array->levels) driver.arrays.take(level);
    release(driver, context, *array->allocation);
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
