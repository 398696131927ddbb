// cuMemcpy* and cuMemset*: every direction, by the one form in copy.h.
#include "copy.h"
#include "cuda_api.h"
#include "entry.h"
#include "execute.h"

namespace berth::sim::cu {
namespace {

/// Queues a copy. A synchronous one waits when host memory takes part, as the API's table of synchronisation
/// behaviour says.
CUresult copyOn(CUstream handle, const CUDA_MEMCPY3D& request, bool wait) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    const CUresult result = submit(driver, context, stream, Copy{request});
                    if (result != CUDA_SUCCESS || !wait) return result;
                    return waitForStream(*context, *stream);
                  });
}

CUresult linear(CUstream stream, bool wait, void* to, CUmemorytype to_type, const void* from,
                CUmemorytype from_type, std::size_t bytes) {
  return copyOn(stream, linearCopy(to, to_type, from, from_type, bytes), wait);
}

bool isHostRequest(const CUDA_MEMCPY3D& request) {
  return request.srcMemoryType != CU_MEMORYTYPE_DEVICE || request.dstMemoryType != CU_MEMORYTYPE_DEVICE;
}

CUresult copy2d(CUstream stream, bool wait, const CUDA_MEMCPY2D* request) {
  if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D whole{};
  whole.srcXInBytes = request->srcXInBytes;
  whole.srcY = request->srcY;
  whole.srcMemoryType = request->srcMemoryType;
  whole.srcHost = request->srcHost;
  whole.srcDevice = request->srcDevice;
  whole.srcArray = request->srcArray;
  whole.srcPitch = request->srcPitch;
  whole.dstXInBytes = request->dstXInBytes;
  whole.dstY = request->dstY;
  whole.dstMemoryType = request->dstMemoryType;
  whole.dstHost = request->dstHost;
  whole.dstDevice = request->dstDevice;
  whole.dstArray = request->dstArray;
  whole.dstPitch = request->dstPitch;
  whole.WidthInBytes = request->WidthInBytes;
  whole.Height = request->Height;
  whole.Depth = 1;
  return copyOn(stream, whole, wait && isHostRequest(whole));
}

CUresult copy3d(CUstream stream, bool wait, const CUDA_MEMCPY3D* request) {
  if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return copyOn(stream, *request, wait && isHostRequest(*request));
}

CUresult checkPeers(CUcontext to, CUcontext from) {
  return initialised([&](Driver& driver) -> CUresult {
    return driver.contexts.find(numberOf(to)) && driver.contexts.find(numberOf(from))
               ? CUDA_SUCCESS
               : CUDA_ERROR_INVALID_CONTEXT;
  });
}

CUresult copyPeer(CUstream stream, bool wait, CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                  CUcontext from_context, std::size_t bytes) {
  if (const CUresult result = checkPeers(to_context, from_context); result != CUDA_SUCCESS) return result;
  return linear(stream, wait, addressOf(to), CU_MEMORYTYPE_DEVICE, addressOf(from), CU_MEMORYTYPE_DEVICE,
                bytes);
}

CUresult copyPeer3d(CUstream stream, bool wait, const CUDA_MEMCPY3D* request) {
  if (request == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D plain = *request;
  const CUresult result =
      checkPeers(static_cast<CUcontext>(plain.reserved1), static_cast<CUcontext>(plain.reserved0));
  if (result != CUDA_SUCCESS) return result;
  plain.reserved0 = nullptr;
  plain.reserved1 = nullptr;
  return copy3d(stream, wait, &plain);
}

/// To or from an array's first row, from `offset` on.
CUresult arrayCopy(CUstream stream, CUDA_MEMCPY3D request, std::size_t bytes) {
  request.WidthInBytes = bytes;
  request.Height = 1;
  request.Depth = 1;
  return copyOn(stream, request, isHostRequest(request));
}

CUDA_MEMCPY3D toArray(CUarray array, std::size_t offset, const void* from, CUmemorytype from_type) {
  CUDA_MEMCPY3D request = linearCopy(nullptr, CU_MEMORYTYPE_ARRAY, from, from_type, 0);
  request.dstArray = array;
  request.dstXInBytes = offset;
  return request;
}

CUDA_MEMCPY3D fromArray(void* to, CUmemorytype to_type, CUarray array, std::size_t offset) {
  CUDA_MEMCPY3D request = linearCopy(to, to_type, nullptr, CU_MEMORYTYPE_ARRAY, 0);
  request.srcArray = array;
  request.srcXInBytes = offset;
  return request;
}

CUDA_MEMCPY3D betweenArrays(CUarray to, std::size_t to_offset, CUarray from, std::size_t from_offset) {
  CUDA_MEMCPY3D request = toArray(to, to_offset, nullptr, CU_MEMORYTYPE_ARRAY);
  request.srcArray = from;
  request.srcXInBytes = from_offset;
  return request;
}

CUresult fill(CUstream handle, CUdeviceptr to, std::size_t pitch, unsigned value, unsigned element,
              std::size_t width, std::size_t height) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    const Fill operation{{to, pitch, value, element, width, height}};
                    if (const CUresult result = checkFill(driver, operation.request); result != CUDA_SUCCESS)
                      return result;
                    return submit(driver, context, stream, operation);
                  });
}

constexpr CUmemorytype kHost = CU_MEMORYTYPE_HOST;
constexpr CUmemorytype kDevice = CU_MEMORYTYPE_DEVICE;
constexpr CUmemorytype kUnified = CU_MEMORYTYPE_UNIFIED;

// The functions a program calls, over those above; `s` is null or a stream's handle.
CUresult htod(CUstream s, bool wait, CUdeviceptr to, const void* from, std::size_t bytes) {
  return linear(s, wait, addressOf(to), kDevice, from, kHost, bytes);
}
CUresult dtoh(CUstream s, bool wait, void* to, CUdeviceptr from, std::size_t bytes) {
  return linear(s, wait, to, kHost, addressOf(from), kDevice, bytes);
}
CUresult dtod(CUstream s, CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return linear(s, false, addressOf(to), kDevice, addressOf(from), kDevice, bytes);
}
CUresult unified(CUstream s, bool wait, CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return linear(s, wait, addressOf(to), kUnified, addressOf(from), kUnified, bytes);
}

const CUstream kPerThread = handleOf<CUstream>(kStreamPerThread);
CUstream orPerThread(CUstream stream) { return stream == nullptr ? kPerThread : stream; }

}  // namespace

BERTH_CUDA_API cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return unified(nullptr, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpy_ptds(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return unified(kPerThread, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return unified(stream, false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyAsync_ptsz(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return unified(orPerThread(stream), false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return htod(nullptr, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyHtoD_v2_ptds(CUdeviceptr to, const void* from, std::size_t bytes) {
  return htod(kPerThread, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return htod(stream, false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyHtoDAsync_v2_ptsz(CUdeviceptr to, const void* from, std::size_t bytes,
                                         CUstream stream) {
  return htod(orPerThread(stream), false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return dtoh(nullptr, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoH_v2_ptds(void* to, CUdeviceptr from, std::size_t bytes) {
  return dtoh(kPerThread, true, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return dtoh(stream, false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoHAsync_v2_ptsz(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return dtoh(orPerThread(stream), false, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return dtod(nullptr, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoD_v2_ptds(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return dtod(kPerThread, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return dtod(stream, to, from, bytes);
}
BERTH_CUDA_API cuMemcpyDtoDAsync_v2_ptsz(CUdeviceptr to, CUdeviceptr from, std::size_t bytes,
                                         CUstream stream) {
  return dtod(orPerThread(stream), to, from, bytes);
}
BERTH_CUDA_API cuMemcpyPeer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,
                            std::size_t bytes) {
  return copyPeer(nullptr, false, to, to_context, from, from_context, bytes);
}
BERTH_CUDA_API cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                 CUcontext from_context, std::size_t bytes, CUstream stream) {
  return copyPeer(stream, false, to, to_context, from, from_context, bytes);
}
BERTH_CUDA_API cuMemcpy2D_v2(const CUDA_MEMCPY2D* request) { return copy2d(nullptr, true, request); }
BERTH_CUDA_API cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* request) { return copy2d(nullptr, true, request); }
BERTH_CUDA_API cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* request, CUstream stream) {
  return copy2d(stream, false, request);
}
BERTH_CUDA_API cuMemcpy2DAsync_v2_ptsz(const CUDA_MEMCPY2D* request, CUstream stream) {
  return copy2d(orPerThread(stream), false, request);
}
BERTH_CUDA_API cuMemcpy3D_v2(const CUDA_MEMCPY3D* request) { return copy3d(nullptr, true, request); }
BERTH_CUDA_API cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* request, CUstream stream) {
  return copy3d(stream, false, request);
}
BERTH_CUDA_API cuMemcpy3DAsync_v2_ptsz(const CUDA_MEMCPY3D* request, CUstream stream) {
  return copy3d(orPerThread(stream), false, request);
}
BERTH_CUDA_API cuMemcpy3DPeer(const CUDA_MEMCPY3D* request) { return copyPeer3d(nullptr, true, request); }
BERTH_CUDA_API cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D* request, CUstream stream) {
  return copyPeer3d(stream, false, request);
}
BERTH_CUDA_API cuMemcpyHtoA_v2(CUarray to, std::size_t offset, const void* from, std::size_t bytes) {
  return arrayCopy(nullptr, toArray(to, offset, from, kHost), bytes);
}
BERTH_CUDA_API cuMemcpyDtoA_v2(CUarray to, std::size_t offset, CUdeviceptr from, std::size_t bytes) {
  return arrayCopy(nullptr, toArray(to, offset, addressOf(from), kDevice), bytes);
}
BERTH_CUDA_API cuMemcpyAtoH_v2(void* to, CUarray from, std::size_t offset, std::size_t bytes) {
  return arrayCopy(nullptr, fromArray(to, kHost, from, offset), bytes);
}
BERTH_CUDA_API cuMemcpyAtoD_v2(CUdeviceptr to, CUarray from, std::size_t offset, std::size_t bytes) {
  return arrayCopy(nullptr, fromArray(addressOf(to), kDevice, from, offset), bytes);
}
BERTH_CUDA_API cuMemcpyAtoA_v2(CUarray to, std::size_t to_offset, CUarray from, std::size_t from_offset,
                               std::size_t bytes) {
  return arrayCopy(nullptr, betweenArrays(to, to_offset, from, from_offset), bytes);
}
BERTH_CUDA_API cuMemcpyHtoAAsync_v2(CUarray to, std::size_t offset, const void* from, std::size_t bytes,
                                    CUstream stream) {
  CUDA_MEMCPY3D request = toArray(to, offset, from, kHost);
  request.WidthInBytes = bytes;
  return copyOn(stream, request, false);
}
BERTH_CUDA_API cuMemcpyAtoHAsync_v2(void* to, CUarray from, std::size_t offset, std::size_t bytes,
                                    CUstream stream) {
  CUDA_MEMCPY3D request = fromArray(to, kHost, from, offset);
  request.WidthInBytes = bytes;
  return copyOn(stream, request, false);
}
BERTH_CUDA_API cuMemcpy2D_v2_ptds(const CUDA_MEMCPY2D* request) { return copy2d(kPerThread, true, request); }
BERTH_CUDA_API cuMemcpy2DUnaligned_v2_ptds(const CUDA_MEMCPY2D* request) {
  return copy2d(kPerThread, true, request);
}
BERTH_CUDA_API cuMemcpy3D_v2_ptds(const CUDA_MEMCPY3D* request) { return copy3d(kPerThread, true, request); }
BERTH_CUDA_API cuMemcpy3DPeer_ptds(const CUDA_MEMCPY3D* request) {
  return copyPeer3d(kPerThread, true, request);
}
BERTH_CUDA_API cuMemcpy3DPeerAsync_ptsz(const CUDA_MEMCPY3D* request, CUstream stream) {
  return copyPeer3d(orPerThread(stream), false, request);
}
BERTH_CUDA_API cuMemcpyPeer_ptds(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                 CUcontext from_context, std::size_t bytes) {
  return copyPeer(kPerThread, false, to, to_context, from, from_context, bytes);
}
BERTH_CUDA_API cuMemcpyPeerAsync_ptsz(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                                      CUcontext from_context, std::size_t bytes, CUstream stream) {
  return copyPeer(orPerThread(stream), false, to, to_context, from, from_context, bytes);
}
BERTH_CUDA_API cuMemcpyHtoA_v2_ptds(CUarray to, std::size_t offset, const void* from, std::size_t bytes) {
  return arrayCopy(kPerThread, toArray(to, offset, from, kHost), bytes);
}
BERTH_CUDA_API cuMemcpyDtoA_v2_ptds(CUarray to, std::size_t offset, CUdeviceptr from, std::size_t bytes) {
  return arrayCopy(kPerThread, toArray(to, offset, addressOf(from), kDevice), bytes);
}
BERTH_CUDA_API cuMemcpyAtoH_v2_ptds(void* to, CUarray from, std::size_t offset, std::size_t bytes) {
  return arrayCopy(kPerThread, fromArray(to, kHost, from, offset), bytes);
}
BERTH_CUDA_API cuMemcpyAtoD_v2_ptds(CUdeviceptr to, CUarray from, std::size_t offset, std::size_t bytes) {
  return arrayCopy(kPerThread, fromArray(addressOf(to), kDevice, from, offset), bytes);
}
BERTH_CUDA_API cuMemcpyAtoA_v2_ptds(CUarray to, std::size_t to_offset, CUarray from, std::size_t from_offset,
                                    std::size_t bytes) {
  return arrayCopy(kPerThread, betweenArrays(to, to_offset, from, from_offset), bytes);
}
BERTH_CUDA_API cuMemcpyHtoAAsync_v2_ptsz(CUarray to, std::size_t offset, const void* from, std::size_t bytes,
                                         CUstream stream) {
  return cuMemcpyHtoAAsync_v2(to, offset, from, bytes, orPerThread(stream));
}
BERTH_CUDA_API cuMemcpyAtoHAsync_v2_ptsz(void* to, CUarray from, std::size_t offset, std::size_t bytes,
                                         CUstream stream) {
  return cuMemcpyAtoHAsync_v2(to, from, offset, bytes, orPerThread(stream));
}

BERTH_CUDA_API cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return fill(nullptr, to, 0, value, 1, count, 1);
}
BERTH_CUDA_API cuMemsetD16_v2(CUdeviceptr to, unsigned short value, std::size_t count) {
  return fill(nullptr, to, 0, value, 2, count, 1);
}
BERTH_CUDA_API cuMemsetD32_v2(CUdeviceptr to, unsigned value, std::size_t count) {
  return fill(nullptr, to, 0, value, 4, count, 1);
}
BERTH_CUDA_API cuMemsetD2D8_v2(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                               std::size_t height) {
  return fill(nullptr, to, pitch, value, 1, width, height);
}
BERTH_CUDA_API cuMemsetD2D16_v2(CUdeviceptr to, std::size_t pitch, unsigned short value, std::size_t width,
                                std::size_t height) {
  return fill(nullptr, to, pitch, value, 2, width, height);
}
BERTH_CUDA_API cuMemsetD2D32_v2(CUdeviceptr to, std::size_t pitch, unsigned value, std::size_t width,
                                std::size_t height) {
  return fill(nullptr, to, pitch, value, 4, width, height);
}
BERTH_CUDA_API cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return fill(stream, to, 0, value, 1, count, 1);
}
BERTH_CUDA_API cuMemsetD8Async_ptsz(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return fill(orPerThread(stream), to, 0, value, 1, count, 1);
}
BERTH_CUDA_API cuMemsetD16Async(CUdeviceptr to, unsigned short value, std::size_t count, CUstream stream) {
  return fill(stream, to, 0, value, 2, count, 1);
}
BERTH_CUDA_API cuMemsetD32Async(CUdeviceptr to, unsigned value, std::size_t count, CUstream stream) {
  return fill(stream, to, 0, value, 4, count, 1);
}
BERTH_CUDA_API cuMemsetD32Async_ptsz(CUdeviceptr to, unsigned value, std::size_t count, CUstream stream) {
  return fill(orPerThread(stream), to, 0, value, 4, count, 1);
}
BERTH_CUDA_API cuMemsetD2D8Async(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                                 std::size_t height, CUstream stream) {
  return fill(stream, to, pitch, value, 1, width, height);
}
BERTH_CUDA_API cuMemsetD2D16Async(CUdeviceptr to, std::size_t pitch, unsigned short value, std::size_t width,
                                  std::size_t height, CUstream stream) {
  return fill(stream, to, pitch, value, 2, width, height);
}
BERTH_CUDA_API cuMemsetD2D32Async(CUdeviceptr to, std::size_t pitch, unsigned value, std::size_t width,
                                  std::size_t height, CUstream stream) {
  return fill(stream, to, pitch, value, 4, width, height);
}
BERTH_CUDA_API cuMemsetD8_v2_ptds(CUdeviceptr to, unsigned char value, std::size_t count) {
  return fill(kPerThread, to, 0, value, 1, count, 1);
}
BERTH_CUDA_API cuMemsetD2D8_v2_ptds(CUdeviceptr to, std::size_t pitch, unsigned char value, std::size_t width,
                                    std::size_t height) {
  return fill(kPerThread, to, pitch, value, 1, width, height);
}
BERTH_CUDA_API cuMemsetD2D8Async_ptsz(CUdeviceptr to, std::size_t pitch, unsigned char value,
                                      std::size_t width, std::size_t height, CUstream stream) {
  return fill(orPerThread(stream), to, pitch, value, 1, width, height);
}
BERTH_CUDA_API cuMemsetD16_v2_ptds(CUdeviceptr to, unsigned short value, std::size_t count) {
  return fill(kPerThread, to, 0, value, 2, count, 1);
}
BERTH_CUDA_API cuMemsetD2D16_v2_ptds(CUdeviceptr to, std::size_t pitch, unsigned short value,
                                     std::size_t width, std::size_t height) {
  return fill(kPerThread, to, pitch, value, 2, width, height);
}
BERTH_CUDA_API cuMemsetD16Async_ptsz(CUdeviceptr to, unsigned short value, std::size_t count,
                                     CUstream stream) {
  return fill(orPerThread(stream), to, 0, value, 2, count, 1);
}
BERTH_CUDA_API cuMemsetD2D16Async_ptsz(CUdeviceptr to, std::size_t pitch, unsigned short value,
                                       std::size_t width, std::size_t height, CUstream stream) {
  return fill(orPerThread(stream), to, pitch, value, 2, width, height);
}
BERTH_CUDA_API cuMemsetD32_v2_ptds(CUdeviceptr to, unsigned value, std::size_t count) {
  return fill(kPerThread, to, 0, value, 4, count, 1);
}
BERTH_CUDA_API cuMemsetD2D32_v2_ptds(CUdeviceptr to, std::size_t pitch, unsigned value, std::size_t width,
                                     std::size_t height) {
  return fill(kPerThread, to, pitch, value, 4, width, height);
}
BERTH_CUDA_API cuMemsetD2D32Async_ptsz(CUdeviceptr to, std::size_t pitch, unsigned value, std::size_t width,
                                       std::size_t height, CUstream stream) {
  return fill(orPerThread(stream), to, pitch, value, 4, width, height);
}

}  // namespace berth::sim::cu
