// Every way to have device memory: counted to the byte, given back, and refused when malformed.
#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda.h"

namespace berth::sim::testing {
namespace {

using namespace cu;  // NOLINT(google-build-using-namespace): the ABI's names

constexpr std::size_t kMib = std::size_t{1} << 20;
constexpr std::size_t kPhysical = 4 * kMib;

/// Runs `body` in a child process, which has no driver yet; true when it says so.
bool inChild(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    CUcontext context = nullptr;
    const bool ready = Cuda::get().call("cuInit", 0U) == CUDA_SUCCESS &&
                       Cuda::get().call("cuCtxCreate_v2", &context, 0U, 0) == CUDA_SUCCESS;
    const bool good = ready && body();
    Cuda::get().call("cuCtxDestroy_v2", context);
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class MemoryTest : public CudaTest {
 protected:
  CUresult free(CUdeviceptr pointer) const { return call("cuMemFree_v2", pointer); }
  CUresult fill(CUdeviceptr at, unsigned char value, std::size_t bytes) const {
    return call("cuMemsetD8_v2", at, value, bytes);
  }
  int byteAt(CUdeviceptr at) const {
    unsigned char byte = 0;
    const CUresult result = call("cuMemcpyDtoH_v2", static_cast<void*>(&byte), at, std::size_t{1});
    return result == CUDA_SUCCESS ? byte : -static_cast<int>(result);
  }
};

TEST_F(MemoryTest, EveryFamilyIsCountedAndGivenBack) {
  const std::size_t before = freeBytes();
  CUdeviceptr linear = 0;
  CUdeviceptr pitched = 0;
  CUdeviceptr managed = 0;
  std::size_t pitch = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &linear, kMib), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), kMib);
  EXPECT_EQ(call("cuMemAllocPitch_v2", &pitched, &pitch, std::size_t{100}, std::size_t{16}, 4U),
            CUDA_SUCCESS);
  EXPECT_EQ(pitch, 512U);
  EXPECT_EQ(before - freeBytes(), kMib + 16 * pitch);
  EXPECT_EQ(call("cuMemAllocManaged", &managed, kMib, kMemAttachGlobal), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), 2 * kMib + 16 * pitch);
  void* pinned = nullptr;
  EXPECT_EQ(call("cuMemHostAlloc", &pinned, kMib, 0U), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), 2 * kMib + 16 * pitch) << "pinned memory is the host's";
  for (const CUdeviceptr pointer : {linear, pitched, managed}) EXPECT_EQ(free(pointer), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemFreeHost", pinned), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(MemoryTest, MalformedCallsAreErrors) {
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", static_cast<CUdeviceptr*>(nullptr), kMib), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{0}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, ~std::size_t{0}), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{1} << 36), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(free(0), CUDA_SUCCESS);
  EXPECT_EQ(free(0x1234), CUDA_ERROR_INVALID_VALUE);
  const CUdeviceptr good = allocate(kMib);
  EXPECT_EQ(free(good + 512), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(fill(good, 1, kMib + 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(byteAt(good + kMib), -static_cast<int>(CUDA_ERROR_INVALID_VALUE));
  EXPECT_EQ(call("cuMemsetD2D8_v2", good, std::size_t{0}, static_cast<unsigned char>(1), std::size_t{0},
                 ~std::size_t{0}),
            CUDA_SUCCESS)
      << "any number of empty rows is done at once";
  EXPECT_EQ(free(good), CUDA_SUCCESS);
  EXPECT_EQ(free(good), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(MemoryTest, RegisteredHostMemoryIsKnownUntilItIsNot) {
  std::vector<std::byte> buffer(8192);
  void* data = buffer.data();
  EXPECT_EQ(call("cuMemHostRegister_v2", data, buffer.size(), 0U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemHostRegister_v2", data, buffer.size(), 0U), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  CUdeviceptr device = 0;
  EXPECT_EQ(call("cuMemHostGetDevicePointer_v2", &device, data, 0U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemHostUnregister", data), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemHostUnregister", data), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  void* nowhere = ::mmap(nullptr, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ::munmap(nowhere, 1);
  EXPECT_EQ(call("cuMemHostRegister_v2", nowhere, std::size_t{1}, 0U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemHostRegister_v2", data, ~std::size_t{0}, 0U), CUDA_ERROR_INVALID_VALUE);
}

class PoolTest : public MemoryTest {
 protected:
  CUmemoryPool defaultPool() const {
    CUmemoryPool pool = nullptr;
    EXPECT_EQ(call("cuDeviceGetDefaultMemPool", &pool, 0), CUDA_SUCCESS);
    return pool;
  }
  CUresult make(CUmemoryPool* pool, std::size_t most = 0, int device = 0) const {
    CUmemPoolProps properties{};
    properties.allocType = kMemAllocationPinned;
    properties.location = {kMemLocationDevice, device};
    properties.maxSize = most;
    return call("cuMemPoolCreate", pool, static_cast<const CUmemPoolProps*>(&properties));
  }
  std::uint64_t attribute(CUmemoryPool pool, unsigned which) const {
    std::uint64_t value = 0;
    EXPECT_EQ(call("cuMemPoolGetAttribute", pool, which, static_cast<void*>(&value)), CUDA_SUCCESS);
    return value;
  }
  void threshold(CUmemoryPool pool, std::uint64_t bytes) const {
    EXPECT_EQ(call("cuMemPoolSetAttribute", pool, unsigned{CU_MEMPOOL_ATTR_RELEASE_THRESHOLD},
                   static_cast<void*>(&bytes)),
              CUDA_SUCCESS);
  }
};

TEST_F(PoolTest, WhatIsFreedStaysReservedUntilASynchronisation) {
  const std::size_t before = freeBytes();
  const CUstream s = stream();
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAllocAsync", &pointer, kMib, s), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), kMib);
  EXPECT_EQ(attribute(defaultPool(), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), kMib);
  EXPECT_EQ(call("cuMemFreeAsync", pointer, s), CUDA_SUCCESS);
  EXPECT_EQ(attribute(defaultPool(), CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 0U);
  EXPECT_EQ(attribute(defaultPool(), CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), kMib);
  EXPECT_EQ(before - freeBytes(), kMib);
  EXPECT_EQ(call("cuStreamSynchronize", s), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(PoolTest, AThresholdKeepsMemoryForTheNextAllocation) {
  const std::size_t before = freeBytes();
  CUmemoryPool pool = nullptr;
  ASSERT_EQ(make(&pool), CUDA_SUCCESS);
  threshold(pool, ~std::uint64_t{0});
  const CUstream s = stream();
  for (int i = 0; i < 3; ++i) {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(call("cuMemAllocFromPoolAsync", &pointer, kMib, pool, s), CUDA_SUCCESS);
    EXPECT_EQ(call("cuMemFreeAsync", pointer, s), CUDA_SUCCESS);
    EXPECT_EQ(call("cuStreamSynchronize", s), CUDA_SUCCESS);
    EXPECT_EQ(before - freeBytes(), kMib);
  }
  EXPECT_EQ(call("cuMemPoolTrimTo", pool, std::size_t{0}), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
  EXPECT_EQ(call("cuMemPoolDestroy", pool), CUDA_SUCCESS);
}

TEST_F(PoolTest, UnusedPoolMemoryIsTakenBeforeAnAllocationFails) {
  threshold(defaultPool(), ~std::uint64_t{0});
  const std::size_t most = freeBytes() / kMib * kMib;
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAllocAsync", &pointer, most, CUstream{nullptr}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemFreeAsync", pointer, CUstream{nullptr}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, most), CUDA_SUCCESS);
  EXPECT_EQ(free(pointer), CUDA_SUCCESS);
  threshold(defaultPool(), 0);
}

TEST_F(PoolTest, LimitsAndHandlesAreChecked) {
  CUmemoryPool pool = nullptr;
  CUdeviceptr pointer = 0;
  ASSERT_EQ(make(&pool, kMib), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemAllocFromPoolAsync", &pointer, kMib + 1, pool, CUstream{nullptr}),
            CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuMemAllocFromPoolAsync", &pointer, kMib, pool, CUstream{nullptr}), CUDA_SUCCESS);
  EXPECT_EQ(free(pointer), CUDA_SUCCESS) << "cuMemFree takes memory of pools too";
  EXPECT_EQ(call("cuDeviceSetMemPool", 0, pool), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemPoolDestroy", pool), CUDA_SUCCESS);
  CUmemoryPool current = nullptr;
  EXPECT_EQ(call("cuDeviceGetMemPool", &current, 0), CUDA_SUCCESS);
  EXPECT_EQ(current, defaultPool());
  EXPECT_EQ(call("cuMemPoolDestroy", pool), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemPoolDestroy", defaultPool()), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(make(&pool, 0, 7), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(call("cuMemAllocFromPoolAsync", &pointer, kMib, pool, CUstream{nullptr}),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemFreeAsync", CUdeviceptr{0x1234}, CUstream{nullptr}), CUDA_ERROR_INVALID_VALUE);
}

class VirtualMemoryTest : public MemoryTest {
 protected:
  static CUmemAllocationProp properties(unsigned handle_types = kMemHandleTypeNone) {
    CUmemAllocationProp wanted{};
    wanted.type = kMemAllocationPinned;
    wanted.requestedHandleTypes = handle_types;
    wanted.location = {kMemLocationDevice, 0};
    return wanted;
  }
  CUmemGenericAllocationHandle physical(unsigned handle_types = kMemHandleTypeNone) const {
    CUmemGenericAllocationHandle handle = 0;
    const CUmemAllocationProp wanted = properties(handle_types);
    EXPECT_EQ(call("cuMemCreate", &handle, kPhysical, &wanted, 0ULL), CUDA_SUCCESS);
    return handle;
  }
  CUdeviceptr space(std::size_t bytes = kPhysical) const {
    CUdeviceptr pointer = 0;
    EXPECT_EQ(call("cuMemAddressReserve", &pointer, bytes, std::size_t{0}, CUdeviceptr{0}, 0ULL),
              CUDA_SUCCESS);
    return pointer;
  }
  CUresult map(CUdeviceptr at, CUmemGenericAllocationHandle handle) const {
    return call("cuMemMap", at, kPhysical, std::size_t{0}, handle, 0ULL);
  }
  CUresult access(CUdeviceptr at, unsigned flags) const {
    const CUmemAccessDesc wanted{{kMemLocationDevice, 0}, flags};
    return call("cuMemSetAccess", at, kPhysical, &wanted, std::size_t{1});
  }
  CUresult unmap(CUdeviceptr at) const { return call("cuMemUnmap", at, kPhysical); }
  CUresult freeSpace(CUdeviceptr at) const { return call("cuMemAddressFree", at, kPhysical); }
  CUresult release(CUmemGenericAllocationHandle handle) const { return call("cuMemRelease", handle); }
};

TEST_F(VirtualMemoryTest, MemoryIsReachedWhileItIsMappedAndAccessible) {
  const std::size_t before = freeBytes();
  const CUdeviceptr at = space();
  EXPECT_EQ(freeBytes(), before) << "address space is no memory";
  const auto handle = physical();
  EXPECT_EQ(before - freeBytes(), kPhysical);
  EXPECT_EQ(map(at, handle), CUDA_SUCCESS);
  EXPECT_EQ(fill(at, 1, 16), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(access(at, kMemAccessReadWrite), CUDA_SUCCESS);
  EXPECT_EQ(fill(at, 7, kPhysical), CUDA_SUCCESS);
  EXPECT_EQ(byteAt(at + kPhysical - 1), 7);
  EXPECT_EQ(access(at, kMemAccessNone), CUDA_SUCCESS);
  EXPECT_EQ(byteAt(at), -static_cast<int>(CUDA_ERROR_INVALID_VALUE));
  EXPECT_EQ(freeSpace(at), CUDA_ERROR_INVALID_VALUE) << "something is mapped there";
  EXPECT_EQ(unmap(at), CUDA_SUCCESS);
  EXPECT_EQ(release(handle), CUDA_SUCCESS);
  EXPECT_EQ(freeSpace(at), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(VirtualMemoryTest, OnePieceOfMemoryIsMappedTwiceAndOutlivesItsHandle) {
  const std::size_t before = freeBytes();
  const CUdeviceptr first = space();
  const CUdeviceptr second = space();
  const auto handle = physical();
  for (const CUdeviceptr at : {first, second}) {
    EXPECT_EQ(map(at, handle), CUDA_SUCCESS);
    EXPECT_EQ(access(at, kMemAccessReadWrite), CUDA_SUCCESS);
  }
  EXPECT_EQ(release(handle), CUDA_SUCCESS);
  EXPECT_EQ(release(handle), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(fill(first, 9, 16), CUDA_SUCCESS);
  EXPECT_EQ(byteAt(second), 9);
  CUmemGenericAllocationHandle again = 0;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address, or a descriptor, as the API takes it
  EXPECT_EQ(call("cuMemRetainAllocationHandle", &again, reinterpret_cast<void*>(second)), CUDA_SUCCESS);
  EXPECT_EQ(release(again), CUDA_SUCCESS);
  for (const CUdeviceptr at : {first, second}) {
    EXPECT_EQ(before - freeBytes(), kPhysical);
    EXPECT_EQ(unmap(at), CUDA_SUCCESS);
    EXPECT_EQ(freeSpace(at), CUDA_SUCCESS);
  }
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(VirtualMemoryTest, WrongSizesPlacesAndHandlesAreErrors) {
  const CUmemAllocationProp good = properties();
  CUmemAllocationProp elsewhere = properties();
  elsewhere.location.id = 9;
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemCreate", &handle, std::size_t{4096}, &good, 0ULL), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemCreate", &handle, kPhysical, &elsewhere, 0ULL), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(call("cuMemCreate", &handle, std::size_t{1} << 38, &good, 0ULL), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuMemAddressReserve", &pointer, std::size_t{4096}, std::size_t{0}, CUdeviceptr{0}, 0ULL),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemAddressReserve", &pointer, kPhysical, std::size_t{3}, CUdeviceptr{0}, 0ULL),
            CUDA_ERROR_INVALID_VALUE);
  const CUdeviceptr at = space();
  const auto memory = physical();
  EXPECT_EQ(map(at + 2 * kMib, memory), CUDA_ERROR_INVALID_VALUE) << "past the end of the space";
  EXPECT_EQ(map(at, 0x1234), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(map(at, memory), CUDA_SUCCESS);
  EXPECT_EQ(map(at, memory), CUDA_ERROR_INVALID_VALUE) << "taken";
  EXPECT_EQ(call("cuMemUnmap", at, 2 * kMib), CUDA_ERROR_INVALID_VALUE) << "half a mapping";
  EXPECT_EQ(unmap(at), CUDA_SUCCESS);
  EXPECT_EQ(unmap(at), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemAddressFree", at, 2 * kMib), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(freeSpace(at), CUDA_SUCCESS);
  EXPECT_EQ(release(memory), CUDA_SUCCESS);
}

TEST_F(VirtualMemoryTest, AFileDescriptorTakesMemoryToAnotherProcess) {
  const CUdeviceptr at = space();
  const auto handle = physical(kMemHandleTypePosixFd);
  EXPECT_EQ(map(at, handle), CUDA_SUCCESS);
  EXPECT_EQ(access(at, kMemAccessReadWrite), CUDA_SUCCESS);
  int fd = -1;
  EXPECT_EQ(
      call("cuMemExportToShareableHandle", static_cast<void*>(&fd), handle, kMemHandleTypePosixFd, 0ULL),
      CUDA_SUCCESS);
  EXPECT_TRUE(inChild([&] {
    CUmemGenericAllocationHandle imported = 0;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address, or a descriptor, as the API takes it
    void* os_handle = reinterpret_cast<void*>(static_cast<std::intptr_t>(fd));
    if (call("cuMemImportFromShareableHandle", &imported, os_handle, kMemHandleTypePosixFd) != CUDA_SUCCESS)
      return false;
    const CUdeviceptr there = space();
    return map(there, imported) == CUDA_SUCCESS && access(there, kMemAccessReadWrite) == CUDA_SUCCESS &&
           fill(there, 5, 16) == CUDA_SUCCESS;
  }));
  EXPECT_EQ(byteAt(at), 5);
  ::close(fd);
  EXPECT_EQ(unmap(at), CUDA_SUCCESS);
  EXPECT_EQ(release(handle), CUDA_SUCCESS);
  EXPECT_EQ(freeSpace(at), CUDA_SUCCESS);
}

TEST_F(VirtualMemoryTest, OnlyMemoryFilesOfTheDriverAreTakenIn) {
  const int stranger = ::memfd_create("berth-sim-physical-memory", MFD_CLOEXEC);
  EXPECT_EQ(::ftruncate(stranger, kPhysical), 0);
  CUmemGenericAllocationHandle handle = 0;
  for (const int fd : {stranger, 0, -1, 100000}) {
    EXPECT_EQ(
        call("cuMemImportFromShareableHandle", &handle,
             // NOLINTNEXTLINE(performance-no-int-to-ptr): an address, or a descriptor, as the API takes it
             reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)), kMemHandleTypePosixFd),
        CUDA_ERROR_INVALID_VALUE)
        << "a file that could shrink under us, or none of ours";
  }
  ::close(stranger);
}

TEST_F(VirtualMemoryTest, ExternalMemoryIsABufferUntilItIsFreed) {
  const auto handle = physical(kMemHandleTypePosixFd);
  int fd = -1;
  EXPECT_EQ(
      call("cuMemExportToShareableHandle", static_cast<void*>(&fd), handle, kMemHandleTypePosixFd, 0ULL),
      CUDA_SUCCESS);
  CUDA_EXTERNAL_MEMORY_HANDLE_DESC description{};
  description.type = kExternalMemoryOpaqueFd;
  description.handle.fd = fd;
  description.size = kPhysical + 1;
  CUexternalMemory external = nullptr;
  const auto import = [&] {
    return call("cuImportExternalMemory", &external,
                static_cast<const CUDA_EXTERNAL_MEMORY_HANDLE_DESC*>(&description));
  };
  EXPECT_EQ(import(), CUDA_ERROR_INVALID_VALUE);
  description.size = kPhysical;
  EXPECT_EQ(import(), CUDA_SUCCESS);
  CUDA_EXTERNAL_MEMORY_BUFFER_DESC buffer{};
  buffer.offset = 4096;
  buffer.size = 4096;
  CUdeviceptr pointer = 0;
  const auto mapped = [&] {
    return call("cuExternalMemoryGetMappedBuffer", &pointer, external,
                static_cast<const CUDA_EXTERNAL_MEMORY_BUFFER_DESC*>(&buffer));
  };
  EXPECT_EQ(mapped(), CUDA_SUCCESS);
  EXPECT_EQ(fill(pointer, 3, 4096), CUDA_SUCCESS);
  EXPECT_EQ(byteAt(pointer), 3);
  EXPECT_EQ(free(pointer), CUDA_SUCCESS);
  buffer.offset = kPhysical;
  EXPECT_EQ(mapped(), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuDestroyExternalMemory", external), CUDA_SUCCESS);
  EXPECT_EQ(call("cuDestroyExternalMemory", external), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(release(handle), CUDA_SUCCESS);
}

class ArrayTest : public MemoryTest {
 protected:
  static CUDA_ARRAY3D_DESCRIPTOR floats(std::size_t width, std::size_t height, std::size_t depth) {
    return {width, height, depth, CU_AD_FORMAT_FLOAT, 1, 0};
  }
  CUresult make(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR& wanted) const {
    return call("cuArray3DCreate_v2", array, &wanted);
  }
};

TEST_F(ArrayTest, RowsComeBackAsTheyWent) {
  const std::size_t before = freeBytes();
  CUarray array = nullptr;
  ASSERT_EQ(make(&array, floats(8, 4, 2)), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), 512U);
  std::array<float, 64> sent{};
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<float>(i);
  std::array<float, 64> got{};
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = CU_MEMORYTYPE_HOST;
  copy.srcHost = sent.data();
  copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.dstArray = array;
  copy.WidthInBytes = 32;
  copy.Height = 4;
  copy.Depth = 2;
  EXPECT_EQ(call("cuMemcpy3D_v2", static_cast<const CUDA_MEMCPY3D*>(&copy)), CUDA_SUCCESS);
  copy = {};
  copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
  copy.srcArray = array;
  copy.dstMemoryType = CU_MEMORYTYPE_HOST;
  copy.dstHost = got.data();
  copy.WidthInBytes = 32;
  copy.Height = 4;
  copy.Depth = 2;
  EXPECT_EQ(call("cuMemcpy3D_v2", static_cast<const CUDA_MEMCPY3D*>(&copy)), CUDA_SUCCESS);
  EXPECT_EQ(got, sent);
  copy.Height = 5;
  EXPECT_EQ(call("cuMemcpy3D_v2", static_cast<const CUDA_MEMCPY3D*>(&copy)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuArrayDestroy", array), CUDA_SUCCESS);
  EXPECT_EQ(call("cuArrayDestroy", array), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(ArrayTest, MipmapsHaveLevelsThatHalveAndGoTogether) {
  const std::size_t before = freeBytes();
  const CUDA_ARRAY3D_DESCRIPTOR wanted = floats(8, 8, 0);
  CUmipmappedArray mipmap = nullptr;
  ASSERT_EQ(call("cuMipmappedArrayCreate", &mipmap, &wanted, 3U), CUDA_SUCCESS);
  EXPECT_LT(freeBytes(), before);
  CUarray level = nullptr;
  CUDA_ARRAY_DESCRIPTOR described{};
  EXPECT_EQ(call("cuMipmappedArrayGetLevel", &level, mipmap, 2U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuArrayGetDescriptor_v2", &described, level), CUDA_SUCCESS);
  EXPECT_EQ(described.Width, 2U);
  EXPECT_EQ(call("cuMipmappedArrayGetLevel", &level, mipmap, 3U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuArrayDestroy", level), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuMipmappedArrayDestroy", mipmap), CUDA_SUCCESS);
  EXPECT_EQ(call("cuArrayGetDescriptor_v2", &described, level), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(ArrayTest, ShapesThatNoArrayHasAreRefused) {
  CUarray array = nullptr;
  CUDA_ARRAY3D_DESCRIPTOR wrong = floats(8, 8, 0);
  wrong.NumChannels = 3;
  EXPECT_EQ(make(&array, wrong), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(make(&array, floats(0, 8, 0)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(make(&array, floats(8, 0, 8)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(make(&array, floats(1U << 20, 1, 0)), CUDA_ERROR_INVALID_VALUE);
  wrong = floats(8, 9, 6);
  wrong.Flags = kArray3dCubemap;
  EXPECT_EQ(make(&array, wrong), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuArray3DCreate_v2", &array, static_cast<const CUDA_ARRAY3D_DESCRIPTOR*>(nullptr)),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(make(&array, floats(131072, 65536, 8)), CUDA_ERROR_OUT_OF_MEMORY);
}

class IpcTest : public MemoryTest {};

TEST_F(IpcTest, AHandleOpensTheSameMemoryInAnotherProcess) {
  const CUdeviceptr at = allocate(kMib);
  EXPECT_EQ(fill(at, 1, kMib), CUDA_SUCCESS);
  CUipcMemHandle handle{};
  EXPECT_EQ(call("cuIpcGetMemHandle", &handle, at), CUDA_SUCCESS);
  EXPECT_TRUE(inChild([&] {
    CUdeviceptr there = 0;
    return call("cuIpcOpenMemHandle_v2", &there, handle, kIpcLazyPeerAccess) == CUDA_SUCCESS &&
           byteAt(there) == 1 && fill(there, 2, kMib) == CUDA_SUCCESS &&
           fill(there, 2, kMib + 1) == CUDA_ERROR_INVALID_VALUE &&
           call("cuIpcCloseMemHandle", there) == CUDA_SUCCESS &&
           call("cuIpcCloseMemHandle", there) == CUDA_ERROR_INVALID_VALUE;
  }));
  EXPECT_EQ(byteAt(at + kMib - 1), 2);
  CUdeviceptr own = 0;
  EXPECT_EQ(call("cuIpcOpenMemHandle_v2", &own, handle, kIpcLazyPeerAccess), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(free(at), CUDA_SUCCESS);
}

TEST_F(IpcTest, DamagedHandlesAreErrors) {
  const CUdeviceptr at = allocate(kMib);
  CUipcMemHandle handle{};
  EXPECT_EQ(call("cuIpcGetMemHandle", &handle, at), CUDA_SUCCESS);
  EXPECT_TRUE(inChild([&] {
    for (std::size_t i = 0; i < sizeof(handle); ++i) {
      CUipcMemHandle damaged = handle;
      damaged.reserved[i] = static_cast<char>(damaged.reserved[i] ^ 0x55);
      CUdeviceptr there = 0;
      // A changed offset may name other memory of the same process; nothing may crash or reach past it.
      if (call("cuIpcOpenMemHandle_v2", &there, damaged, kIpcLazyPeerAccess) == CUDA_SUCCESS &&
          (i < 16 || i > 31))
        return false;
    }
    return true;
  }));
  EXPECT_EQ(free(at), CUDA_SUCCESS);
}

TEST_F(IpcTest, AnEventIsWaitedForInAnotherProcess) {
  CUevent event = nullptr;
  ASSERT_EQ(call("cuEventCreate", &event, kEventInterprocess | kEventDisableTiming), CUDA_SUCCESS);
  CUipcEventHandle handle{};
  EXPECT_EQ(call("cuIpcGetEventHandle", &handle, event), CUDA_SUCCESS);
  const CUstream s = stream();
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  EXPECT_EQ(call("cuEventRecord", event, s), CUDA_SUCCESS);
  EXPECT_TRUE(inChild([&] {
    CUevent there = nullptr;
    return call("cuIpcOpenEventHandle", &there, handle) == CUDA_SUCCESS &&
           call("cuEventSynchronize", there) == CUDA_SUCCESS && call("cuEventQuery", there) == CUDA_SUCCESS;
  }));
  EXPECT_EQ(call("cuEventQuery", event), CUDA_SUCCESS);
  EXPECT_EQ(call("cuEventCreate", &event, kEventInterprocess), CUDA_ERROR_INVALID_VALUE);
}

}  // namespace
}  // namespace berth::sim::testing
