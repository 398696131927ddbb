// Values written to and awaited in memory by streams. Writes happen in their turn like all effects. A wait is
// kept when the value is there already; to hold a stream back until somebody else writes would need a queue
// of effects, and the device's attributes say that it has none.
#include <cstring>

#include "cuda_api.h"
#include "entry.h"
#include "execute.h"

namespace berth::sim::cu {
namespace {

CUstream orPerThread(CUstream stream) {
  return stream == nullptr ? handleOf<CUstream>(kStreamPerThread) : stream;
}

template <typename Word>
CUresult write(CUstream handle, CUdeviceptr address, Word value, unsigned flags) {
  constexpr unsigned kNoBarrier = 1;
  return onStream(
      handle,
      [&](Driver& driver, const std::shared_ptr<Context>& context,
          const std::shared_ptr<Stream>& stream) -> CUresult {
        if (flags > kNoBarrier || address % sizeof(Word) != 0) return CUDA_ERROR_INVALID_VALUE;
        if (!driver.addresses.covers(addressOf(address), sizeof(Word))) return CUDA_ERROR_INVALID_VALUE;
        if constexpr (sizeof(Word) == sizeof(unsigned))
          return submit(driver, context, stream, Fill{{address, 0, value, sizeof(Word), 1, 1}});
        // Two words in two fills: nobody can look in between.
        const auto low = static_cast<unsigned>(value);
        const auto high = static_cast<unsigned>(std::uint64_t{value} >> 32U);
        const CUresult result = submit(driver, context, stream, Fill{{address, 0, low, sizeof(low), 1, 1}});
        if (result != CUDA_SUCCESS) return result;
        return submit(driver, context, stream, Fill{{address + sizeof(low), 0, high, sizeof(high), 1, 1}});
      });
}

template <typename Word>
bool holds(Word found, Word value, unsigned condition) {
  switch (condition) {
    case kWaitValueGreaterOrEqual:
      return static_cast<Word>(found - value) <= static_cast<Word>(~Word{0}) / 2;
    case kWaitValueEqual:
      return found == value;
    case kWaitValueAnd:
      return (found & value) != 0;
    default:
      return static_cast<Word>(~(found | value)) != 0;
  }
}

template <typename Word>
CUresult wait(CUstream handle, CUdeviceptr address, Word value, unsigned flags) {
  return onStream(handle,
                  [&](Driver& driver, const std::shared_ptr<Context>& context,
                      const std::shared_ptr<Stream>& stream) -> CUresult {
                    if (flags > kWaitValueNor || address % sizeof(Word) != 0) return CUDA_ERROR_INVALID_VALUE;
                    if (!driver.addresses.covers(addressOf(address), sizeof(Word)))
                      return CUDA_ERROR_INVALID_VALUE;
                    Word found = 0;
                    std::memcpy(&found, addressOf(address), sizeof(found));
                    if (!holds(found, value, flags)) return CUDA_ERROR_NOT_SUPPORTED;
                    return submit(driver, context, stream, Nothing{});
                  });
}

enum Kind : unsigned { kWait32 = 1, kWrite32 = 2, kFlush = 3, kWait64 = 4, kWrite64 = 5, kBarrier = 6 };

CUresult one(CUstream stream, const CUstreamBatchMemOpParams& request) {
  const auto narrow = static_cast<unsigned>(request.value.value);
  switch (request.operation) {
    case kWait32:
      return wait(stream, request.value.address, narrow, request.value.flags);
    case kWait64:
      return wait(stream, request.value.address, request.value.value, request.value.flags);
    case kWrite32:
      return write(stream, request.value.address, narrow, request.value.flags);
    case kWrite64:
      return write(stream, request.value.address, request.value.value, request.value.flags);
    case kBarrier:
      return CUDA_SUCCESS;  // Effects are in order anyway
    case kFlush:
      return CUDA_ERROR_NOT_SUPPORTED;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult batch(CUstream stream, unsigned count, const CUstreamBatchMemOpParams* requests, unsigned flags) {
  constexpr unsigned kMost = 256;
  if (requests == nullptr || count == 0 || count > kMost || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < count; ++i) {
    if (const CUresult result = one(stream, requests[i]); result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

}  // namespace

BERTH_CUDA_API cuStreamWaitValue32(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                   unsigned flags) {
  return wait(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue32_ptsz(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                        unsigned flags) {
  return wait(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                      unsigned flags) {
  return wait(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue32_v2_ptsz(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                           unsigned flags) {
  return wait(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue32(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                    unsigned flags) {
  return write(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue32_ptsz(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                         unsigned flags) {
  return write(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                       unsigned flags) {
  return write(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue32_v2_ptsz(CUstream stream, CUdeviceptr address, std::uint32_t value,
                                            unsigned flags) {
  return write(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue64(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                   unsigned flags) {
  return wait(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue64_ptsz(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                        unsigned flags) {
  return wait(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                      unsigned flags) {
  return wait(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWaitValue64_v2_ptsz(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                           unsigned flags) {
  return wait(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue64(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                    unsigned flags) {
  return write(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue64_ptsz(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                         unsigned flags) {
  return write(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                       unsigned flags) {
  return write(stream, address, value, flags);
}
BERTH_CUDA_API cuStreamWriteValue64_v2_ptsz(CUstream stream, CUdeviceptr address, std::uint64_t value,
                                            unsigned flags) {
  return write(orPerThread(stream), address, value, flags);
}
BERTH_CUDA_API cuStreamBatchMemOp(CUstream stream, unsigned count, const CUstreamBatchMemOpParams* requests,
                                  unsigned flags) {
  return batch(stream, count, requests, flags);
}
BERTH_CUDA_API cuStreamBatchMemOp_ptsz(CUstream stream, unsigned count,
                                       const CUstreamBatchMemOpParams* requests, unsigned flags) {
  return batch(orPerThread(stream), count, requests, flags);
}
BERTH_CUDA_API cuStreamBatchMemOp_v2(CUstream stream, unsigned count,
                                     const CUstreamBatchMemOpParams* requests, unsigned flags) {
  return batch(stream, count, requests, flags);
}
BERTH_CUDA_API cuStreamBatchMemOp_v2_ptsz(CUstream stream, unsigned count,
                                          const CUstreamBatchMemOpParams* requests, unsigned flags) {
  return batch(orPerThread(stream), count, requests, flags);
}
}  // namespace berth::sim::cu
