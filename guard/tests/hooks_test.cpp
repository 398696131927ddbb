// The guard on the simulated driver, as a program in a limited container meets it.
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <thread>
#include <utility>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard/tests/under_guard.h"

namespace berth::guard::testing {
namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): the ABI's names
using berth::sim::testing::Cuda;
using berth::sim::testing::Nvml;

constexpr std::uint64_t kMib = 1U << 20U;

// ---- Every way to allocate ----

/// One way to have device memory: made, of about so many bytes, and given back.
struct Way {
  const char* name;
  std::uint64_t bytes;
  std::function<CUresult(const Cuda&)> make;
  std::function<CUresult(const Cuda&)> undo;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

/// What the ways of one test have made.
struct Made {
  CUdeviceptr pointer = 0;
  CUmemGenericAllocationHandle physical = 0;
  void* handle = nullptr;
  CUmemoryPool pool = nullptr;
};

CUmemAllocationProp onDevice() {
  CUmemAllocationProp prop{};
  prop.type = kMemAllocationPinned;
  prop.location = {kMemLocationDevice, 0};
  return prop;
}

CUDA_ARRAY3D_DESCRIPTOR cube() { return {256, 256, 16, CU_AD_FORMAT_FLOAT, 1, 0}; }

/// Memory of another API, as the simulated driver knows it: by the name of its file.
CUresult importFile(const Cuda& cuda, Made& made) {
  const int fd = ::memfd_create("berth-sim-physical-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
  if (::ftruncate(fd, 4 * kMib) != 0 || ::fcntl(fd, F_ADD_SEALS, kSeals) != 0)
    return CUDA_ERROR_OPERATING_SYSTEM;
  CUDA_EXTERNAL_MEMORY_HANDLE_DESC descriptor{};
  descriptor.type = kExternalMemoryOpaqueFd;
  descriptor.handle.fd = fd;
  descriptor.size = 4 * kMib;
  return cuda.call("cuImportExternalMemory", reinterpret_cast<CUexternalMemory*>(&made.handle),
                   static_cast<const CUDA_EXTERNAL_MEMORY_HANDLE_DESC*>(&descriptor));
}

CUresult makePool(const Cuda& cuda, Made& made) {
  if (made.pool != nullptr) return CUDA_SUCCESS;
  CUmemPoolProps properties{};
  properties.allocType = kMemAllocationPinned;
  properties.location = {kMemLocationDevice, 0};
  return cuda.call("cuMemPoolCreate", &made.pool, static_cast<const CUmemPoolProps*>(&properties));
}

CUresult allocateFromPool(const Cuda& cuda, Made& made) {
  const CUresult result = makePool(cuda, made);
  if (result != CUDA_SUCCESS) return result;
  return cuda.call("cuMemAllocFromPoolAsync", &made.pointer, std::size_t{4 * kMib}, made.pool, CUstream{});
}

CUresult freeAsync(const Cuda& cuda, CUdeviceptr pointer) {
  const CUresult result = cuda.call("cuMemFreeAsync", pointer, CUstream{});
  cuda.call("cuStreamSynchronize", CUstream{});
  return result;
}

std::vector<Way> allWays() {
  const auto made = std::make_shared<Made>();
  const auto free = [made](const Cuda& cuda) { return cuda.call("cuMemFree_v2", made->pointer); };
  const auto later = [made](const Cuda& cuda) { return freeAsync(cuda, made->pointer); };
  return {
      {"Linear", 4 * kMib,
       [made](const Cuda& cuda) { return cuda.call("cuMemAlloc_v2", &made->pointer, std::size_t{4 * kMib}); },
       free},
      {"Pitched", 4 * kMib,
       [made](const Cuda& cuda) {
         std::size_t pitch = 0;
         return cuda.call("cuMemAllocPitch_v2", &made->pointer, &pitch, std::size_t{4000}, std::size_t{1024},
                          4U);
       },
       free},
      {"Managed", 4 * kMib,
       [made](const Cuda& cuda) {
         return cuda.call("cuMemAllocManaged", &made->pointer, std::size_t{4 * kMib},
                          unsigned{kMemAttachGlobal});
       },
       free},
      {"Async", 4 * kMib,
       [made](const Cuda& cuda) {
         return cuda.call("cuMemAllocAsync", &made->pointer, std::size_t{4 * kMib}, CUstream{});
       },
       later},
      {"AsyncPerThread", 4 * kMib,
       [made](const Cuda& cuda) {
         return cuda.call("cuMemAllocAsync_ptsz", &made->pointer, std::size_t{4 * kMib}, CUstream{});
       },
       later},
      {"FromPool", 4 * kMib, [made](const Cuda& cuda) { return allocateFromPool(cuda, *made); },
       [made](const Cuda& cuda) {
         const CUresult result = freeAsync(cuda, made->pointer);
         cuda.call("cuMemPoolDestroy", std::exchange(made->pool, nullptr));
         return result;
       }},
      {"Physical", 4 * kMib,
       [made](const Cuda& cuda) {
         const CUmemAllocationProp prop = onDevice();
         return cuda.call("cuMemCreate", &made->physical, std::size_t{4 * kMib}, &prop, 0ULL);
       },
       [made](const Cuda& cuda) { return cuda.call("cuMemRelease", made->physical); }},
      {"Array", 4 * kMib,
       [made](const Cuda& cuda) {
         const CUDA_ARRAY_DESCRIPTOR flat{1024, 1024, CU_AD_FORMAT_FLOAT, 1};
         return cuda.call("cuArrayCreate_v2", reinterpret_cast<CUarray*>(&made->handle), &flat);
       },
       [made](const Cuda& cuda) { return cuda.call("cuArrayDestroy", static_cast<CUarray>(made->handle)); }},
      {"Array3D", 4 * kMib,
       [made](const Cuda& cuda) {
         const CUDA_ARRAY3D_DESCRIPTOR descriptor = cube();
         return cuda.call("cuArray3DCreate_v2", reinterpret_cast<CUarray*>(&made->handle), &descriptor);
       },
       [made](const Cuda& cuda) { return cuda.call("cuArrayDestroy", static_cast<CUarray>(made->handle)); }},
      {"Mipmapped", 4 * kMib,
       [made](const Cuda& cuda) {
         const CUDA_ARRAY3D_DESCRIPTOR descriptor = cube();
         return cuda.call("cuMipmappedArrayCreate", reinterpret_cast<CUmipmappedArray*>(&made->handle),
                          &descriptor, 3U);
       },
       [made](const Cuda& cuda) {
         return cuda.call("cuMipmappedArrayDestroy", static_cast<CUmipmappedArray>(made->handle));
       }},
      {"External", 4 * kMib, [made](const Cuda& cuda) { return importFile(cuda, *made); },
       [made](const Cuda& cuda) {
         return cuda.call("cuDestroyExternalMemory", static_cast<CUexternalMemory>(made->handle));
       }},
  };
}

class EveryWayTest : public UnderGuard, public ::testing::WithParamInterface<Way> {};

TEST_P(EveryWayTest, IsCountedRefusedAtTheLimitAndGivenBack) {
  const Way& way = GetParam();
  const Cuda& cuda = Cuda::get();
  EXPECT_EQ(counted(0), 0U);
  ASSERT_EQ(way.make(cuda), CUDA_SUCCESS);
  EXPECT_GE(counted(0), way.bytes);
  EXPECT_LE(counted(0), way.bytes + way.bytes / 2);
  ASSERT_EQ(way.undo(cuda), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);

  grant(0, {.memory_bytes = way.bytes / 2});
  EXPECT_EQ(way.make(cuda), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(counted(0), 0U);
  EXPECT_GE(own(0).refused, 1U);
}
INSTANTIATE_TEST_SUITE_P(Ways, EveryWayTest, ::testing::ValuesIn(allWays()),
                         [](const auto& test) { return std::string(test.param.name); });

class MemoryHooksTest : public UnderGuard {};

TEST_F(MemoryHooksTest, AContainerSeesItsShareInCudaAndNvml) {
  grant(0, {.memory_bytes = 4096 * kMib});
  const CUdeviceptr pointer = allocate(100 * kMib);
  std::size_t free = 0;
  std::size_t total_bytes = 0;
  ASSERT_EQ(call("cuMemGetInfo_v2", &free, &total_bytes), CUDA_SUCCESS);
  EXPECT_EQ(total_bytes, 4096 * kMib);
  EXPECT_EQ(free, 3996 * kMib);
  ASSERT_EQ(call("cuDeviceTotalMem_v2", &total_bytes, 0), CUDA_SUCCESS);
  EXPECT_EQ(total_bytes, 4096 * kMib);

  const Nvml nvml;
  nvmlMemory_t memory{};
  ASSERT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", nvml.device(0), &memory), NVML_SUCCESS);
  EXPECT_EQ(memory.total, 4096 * kMib);
  EXPECT_EQ(memory.used, 100 * kMib);
  EXPECT_EQ(memory.free, 3996 * kMib);
  nvmlMemory_v2_t newer{};
  newer.version = nvmlMemory_v2;
  ASSERT_EQ(nvml.call("nvmlDeviceGetMemoryInfo_v2", nvml.device(0), &newer), NVML_SUCCESS);
  EXPECT_EQ(newer.total, 4096 * kMib);
  EXPECT_EQ(newer.used, 100 * kMib);
  // The other GPU has no limit: the driver's own numbers.
  ASSERT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", nvml.device(1), &memory), NVML_SUCCESS);
  EXPECT_GT(memory.total, 4096 * kMib);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, NvmlListsTheContainersProcessesByTheirOwnPids) {
  const CUdeviceptr pointer = allocate(kMib);
  const Nvml nvml;
  unsigned count = 8;
  std::array<nvmlProcessInfo_v2_t, 8> infos{};
  ASSERT_EQ(nvml.call("nvmlDeviceGetComputeRunningProcesses_v3", nvml.device(0), &count, infos.data()),
            NVML_SUCCESS);
  ASSERT_EQ(count, 1U);
  EXPECT_EQ(infos[0].pid, static_cast<unsigned>(::getpid()));
  EXPECT_EQ(infos[0].usedGpuMemory, kMib);
  count = 0;
  EXPECT_EQ(nvml.call("nvmlDeviceGetComputeRunningProcesses_v3", nvml.device(0), &count,
                      static_cast<nvmlProcessInfo_v2_t*>(nullptr)),
            NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, TheLimitIsReachedToTheByteAndNotPassed) {
  grant(0, {.memory_bytes = 64 * kMib});
  std::vector<CUdeviceptr> held;
  for (CUdeviceptr pointer = 0; call("cuMemAlloc_v2", &pointer, std::size_t{kMib}) == CUDA_SUCCESS;) {
    held.push_back(pointer);
  }
  EXPECT_EQ(held.size(), 64U);
  EXPECT_EQ(counted(0), 64 * kMib);
  for (const CUdeviceptr pointer : held) EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, WhatTheDriverRefusesIsNotCounted) {
  grant(0, {.memory_bytes = std::uint64_t{1} << 40U});
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{20'000} * kMib), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{0}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemFree_v2", CUdeviceptr{12345}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(counted(0), 0U);
}

TEST_F(MemoryHooksTest, RequestsThatOverflowAreRefused) {
  grant(0, {.memory_bytes = 64 * kMib});
  CUdeviceptr pointer = 0;
  std::size_t pitch = 0;
  const std::size_t huge = ~std::size_t{0};
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, huge), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuMemAllocPitch_v2", &pointer, &pitch, huge / 2, std::size_t{4}, 4U),
            CUDA_ERROR_OUT_OF_MEMORY);
  const CUDA_ARRAY3D_DESCRIPTOR vast{huge / 4, huge / 4, huge / 4, CU_AD_FORMAT_FLOAT, 4, 0};
  CUarray array = nullptr;
  EXPECT_NE(call("cuArray3DCreate_v2", &array, &vast), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
}

TEST_F(MemoryHooksTest, PhysicalMemoryThatIsMappedCountsUntilItIsReleasedAndUnmapped) {
  const CUmemAllocationProp prop = onDevice();
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr address = 0;
  ASSERT_EQ(call("cuMemCreate", &handle, std::size_t{4 * kMib}, &prop, 0ULL), CUDA_SUCCESS);
  ASSERT_EQ(
      call("cuMemAddressReserve", &address, std::size_t{4 * kMib}, std::size_t{0}, CUdeviceptr{0}, 0ULL),
      CUDA_SUCCESS);
  ASSERT_EQ(call("cuMemMap", address, std::size_t{4 * kMib}, std::size_t{0}, handle, 0ULL), CUDA_SUCCESS);
  ASSERT_EQ(call("cuMemRelease", handle), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 4 * kMib);
  ASSERT_EQ(call("cuMemUnmap", address, std::size_t{4 * kMib}), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
  EXPECT_EQ(call("cuMemAddressFree", address, std::size_t{4 * kMib}), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, MemoryThatAPoolKeepsIsCountedAndGivenUpWhenItIsNeeded) {
  Made made;
  ASSERT_EQ(makePool(Cuda::get(), made), CUDA_SUCCESS);
  std::uint64_t keep = ~std::uint64_t{0};
  constexpr int kReleaseThreshold = 4;
  ASSERT_EQ(call("cuMemPoolSetAttribute", made.pool, kReleaseThreshold, static_cast<void*>(&keep)),
            CUDA_SUCCESS);
  grant(0, {.memory_bytes = 64 * kMib});
  ASSERT_EQ(call("cuMemAllocFromPoolAsync", &made.pointer, std::size_t{60 * kMib}, made.pool, CUstream{}),
            CUDA_SUCCESS);
  EXPECT_EQ(freeAsync(Cuda::get(), made.pointer), CUDA_SUCCESS);
  // However much of it the driver still holds, the container may have its limit.
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{60 * kMib}), CUDA_SUCCESS);
  EXPECT_LE(counted(0), 64 * kMib);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemPoolDestroy", made.pool), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, HostMemoryIsNotCounted) {
  grant(0, {.memory_bytes = kMib});
  void* pinned = nullptr;
  ASSERT_EQ(call("cuMemHostAlloc", &pinned, std::size_t{8 * kMib}, 0U), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
  EXPECT_EQ(call("cuMemFreeHost", pinned), CUDA_SUCCESS);
}

TEST_F(MemoryHooksTest, AContextThatIsDestroyedGivesBackWhatWasAllocatedInIt) {
  CUcontext other = nullptr;
  ASSERT_EQ(call("cuCtxCreate_v2", &other, 0U, 0), CUDA_SUCCESS);
  allocate(4 * kMib);
  EXPECT_EQ(counted(0), 4 * kMib);
  ASSERT_EQ(call("cuCtxDestroy_v2", other), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
}

// ---- The holes of other guards (reference peers, 4.5): each one a test ----

class HolesTest : public UnderGuard {
 protected:
  /// The share of wall time that launches by `launchOnce` get in half a second when 20 % is granted, in
  /// permille.
  template <typename Launch>
  std::uint64_t permilleOf(Launch launchOnce) {
    grant(0, {.compute_permille = 200});
    const auto warm = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);  // Spends the burst
    while (std::chrono::steady_clock::now() < warm) EXPECT_EQ(launchOnce(), CUDA_SUCCESS);
    const std::uint64_t before = own(0).gpu_ns;
    const auto began = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - began < std::chrono::milliseconds(500)) {
      EXPECT_EQ(launchOnce(), CUDA_SUCCESS);
    }
    EXPECT_EQ(call("cuCtxSynchronize"), CUDA_SUCCESS);
    const auto took = std::chrono::steady_clock::now() - began;
    launched_ = own(0).gpu_ns - before;
    return launched_ * 1000 / static_cast<std::uint64_t>(std::chrono::nanoseconds(took).count());
  }
  CUgraphExec graphOf(CUfunction function) {
    CUstream on = stream();
    CUgraph graph = nullptr;
    CUgraphExec ready = nullptr;
    EXPECT_EQ(call("cuStreamBeginCapture_v2", on, 0U), CUDA_SUCCESS);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(launch(function, on), CUDA_SUCCESS);
    EXPECT_EQ(call("cuStreamEndCapture", on, &graph), CUDA_SUCCESS);
    EXPECT_EQ(call("cuGraphInstantiateWithFlags", &ready, graph, 0ULL), CUDA_SUCCESS);
    EXPECT_EQ(call("cuGraphDestroy", graph), CUDA_SUCCESS);
    EXPECT_EQ(call("cuStreamDestroy_v2", on), CUDA_SUCCESS);
    return ready;
  }
  std::uint64_t launched_ = 0;
};

TEST_F(HolesTest, PlainLaunchesAreHeldToTheShare) {
  CUfunction spin = kernel("spin");
  const std::uint64_t permille = permilleOf([&] { return launch(spin, nullptr, 4096); });
  EXPECT_GE(permille, 170U);
  EXPECT_LE(permille, 230U);
  EXPECT_GT(own(0).throttled_ns, 100'000'000U);
}

TEST_F(HolesTest, GraphLaunchesAreHeldToTheShare) {
  CUgraphExec graph = graphOf(kernel("spin"));
  const std::uint64_t permille = permilleOf([&] { return call("cuGraphLaunch", graph, CUstream{}); });
  EXPECT_GE(permille, 160U);
  EXPECT_LE(permille, 240U);
  EXPECT_GE(launched_, 3'000'000U) << "a graph costs what its three kernels do";
  EXPECT_EQ(call("cuGraphExecDestroy", graph), CUDA_SUCCESS);
}

TEST_F(HolesTest, CooperativeLaunchesAreHeldToTheShare) {
  CUfunction spin = kernel("spin");
  const std::uint64_t permille = permilleOf([&] {
    return call("cuLaunchCooperativeKernel", spin, 1U, 1U, 1U, 32U, 1U, 1U, 0U, CUstream{},
                static_cast<void**>(nullptr));
  });
  EXPECT_GE(permille, 170U);
  EXPECT_LE(permille, 230U);
}

TEST_F(HolesTest, ALaunchThatIsCapturedIsNeitherChargedNorHeldBack) {
  grant(0, {.compute_permille = 1});
  const std::uint64_t before = own(0).gpu_ns;
  CUgraphExec graph = graphOf(kernel("spin"));
  EXPECT_EQ(own(0).gpu_ns, before);
  EXPECT_EQ(call("cuGraphExecDestroy", graph), CUDA_SUCCESS);
}

TEST_F(HolesTest, EachContextIsCountedAndNotOnlyThePrimaryOne) {
  tellContextBytes(0, 100 * kMib);
  grant(0, {.memory_bytes = 250 * kMib});
  CUcontext first = nullptr;
  CUcontext second = nullptr;
  CUcontext third = nullptr;
  ASSERT_EQ(call("cuCtxCreate_v2", &first, 0U, 0), CUDA_SUCCESS);
  ASSERT_EQ(call("cuDevicePrimaryCtxRetain", &second, 0), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 200 * kMib);
  EXPECT_EQ(call("cuCtxCreate_v2", &third, 0U, 0), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(call("cuDevicePrimaryCtxRelease_v2", 0), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxDestroy_v2", first), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
}

TEST_F(HolesTest, WhatAContextCostsIsMeasuredWhereTheDaemonDoesNotKnow) {
  grant(0, {.memory_bytes = 4096 * kMib});
  const std::size_t before = freeBytes();
  CUcontext other = nullptr;
  ASSERT_EQ(call("cuCtxCreate_v2", &other, 0U, 0), CUDA_SUCCESS);
  // As the simulated T4's profile has it.
  EXPECT_NEAR(static_cast<double>(counted(0)), 109'056.0 * 1024, 1.0 * kMib);
  EXPECT_EQ(before - freeBytes(), counted(0));
  EXPECT_EQ(call("cuCtxDestroy_v2", other), CUDA_SUCCESS);
  EXPECT_EQ(counted(0), 0U);
}

TEST_F(HolesTest, MemoryOpenedFromAnotherProcessOfTheContainerCountsOnce) {
  const CUdeviceptr pointer = allocate(4 * kMib);
  CUipcMemHandle handle{};
  ASSERT_EQ(call("cuIpcGetMemHandle", &handle, pointer), CUDA_SUCCESS);
  std::string text = "HANDLE=";
  for (const char byte : handle.reserved) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  EXPECT_EQ(runSelf("open-ipc", {text, "EXPECT_BYTES=4194304"}), 0);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(HolesTest, GpusAreMatchedByNameWhateverOrderTheProgramSeesThemIn) {
  EXPECT_EQ(runSelf("allocate-on-device-0", {"CUDA_VISIBLE_DEVICES=1,0", "EXPECT_GPU=1"}), 0);
  EXPECT_EQ(runSelf("allocate-on-device-0", {"CUDA_VISIBLE_DEVICES=0,1", "EXPECT_GPU=0"}), 0);
}

TEST_F(HolesTest, TheVariablesThatSwitchOtherGuardsOffDoNothing) {
  tellContextBytes(0, 1);
  grant(0, {.memory_bytes = kMib});
  EXPECT_EQ(runSelf("two-mebibytes", {"CUDA_DISABLE_CONTROL=true", "GPU_CORE_UTILIZATION_POLICY=disable"}),
            CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(runSelf("two-mebibytes",
                    {"CUDA_REDIRECT=" + (berth::sim::testing::driverRoot() / "lib/libcuda.so.1").string()}),
            CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_F(HolesTest, ManyProcessesThatAllocateAtOnceNeverPassTheLimit) {
  constexpr int kProcesses = 4;
  tellContextBytes(0, 1);
  grant(0, {.memory_bytes = 64 * kMib});
  std::array<pid_t, kProcesses> children{};
  for (pid_t& child : children) {
    child = ::fork();
    if (child == 0) {
      ::execl("/proc/self/exe", "guard_hooks_test", "churn", static_cast<char*>(nullptr));
      ::_exit(126);
    }
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  // The dead are cleared away by who is refused.
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{64 * kMib}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(HolesTest, ALibraryThatReachesTheDriverAroundTheGuardHasNotReportedIn) {
  // With RTLD_DEEPBIND, a static libc or plain ioctl no hook is met. Then no slot says that the process uses
  // the driver, which is what the daemon's audit looks for.
  EXPECT_EQ(runSelf("around-the-guard"), 0);
}

TEST_F(HolesTest, WithoutValidRegionsEveryGpuCallFailsAndNothingElseDoes) {
  EXPECT_EQ(runSelf("cu-init", {"BERTH_GUARD_TEST_DIR=/nonexistent"}), CUDA_ERROR_NOT_PERMITTED & 0xff);
  EXPECT_EQ(runSelf("nothing", {"BERTH_GUARD_TEST_DIR=/nonexistent"}), 0);
}

// ---- Lookup ----

class LookupTest : public UnderGuard {
 protected:
  void* hook(const char* name) { return ::dlsym(RTLD_DEFAULT, name); }
};

TEST_F(LookupTest, DlsymAnswersWithTheGuardsFunctionsAndOnlyWhereTheDriverHasThem) {
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(driver, nullptr);
  EXPECT_EQ(::dlsym(driver, "cuMemAlloc_v2"), hook("cuMemAlloc_v2"));
  EXPECT_EQ(::dlsym(driver, "cuNoSuchFunction"), nullptr);
  EXPECT_NE(::dlsym(driver, "cuMemcpyHtoD_v2"), nullptr);
}

TEST_F(LookupTest, DlvsymAndALookedUpDlsymDoTheSame) {
  void* driver = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  void* libc = ::dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  const auto found = reinterpret_cast<void* (*)(void*, const char*)>(::dlsym(libc, "dlsym"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found(driver, "cuMemAlloc_v2"), hook("cuMemAlloc_v2"));
  const auto versioned =
      reinterpret_cast<void* (*)(void*, const char*)>(::dlvsym(libc, "dlsym", "GLIBC_2.34"));
  ASSERT_NE(versioned, nullptr);
  EXPECT_EQ(versioned(driver, "cuLaunchKernel"), hook("cuLaunchKernel"));
}

TEST_F(LookupTest, WhatALibraryAsksForBehindItselfIsNotTheGuards) {
  EXPECT_NE(::dlsym(RTLD_NEXT, "malloc"), nullptr);
  EXPECT_EQ(::dlsym(RTLD_NEXT, "no_such_function"), nullptr);
  EXPECT_NE(::dlerror(), nullptr);
}

TEST_F(LookupTest, CuGetProcAddressAnswersWithTheGuardsFormOfEachVersion) {
  struct Case {
    const char* name;
    int version;
    unsigned long long flags;
    const char* expected;
  };
  for (const Case& one : {Case{"cuMemAlloc", 12000, 0, "cuMemAlloc_v2"},
                          {"cuLaunchKernel", 12000, 0, "cuLaunchKernel"},
                          {"cuLaunchKernel", 12000, 2, "cuLaunchKernel_ptsz"},
                          {"cuGraphLaunch", 12000, 0, "cuGraphLaunch"},
                          {"cuMemAllocAsync", 12000, 2, "cuMemAllocAsync_ptsz"},
                          {"cuMemFree", 11000, 0, "cuMemFree_v2"},
                          {"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2"}}) {
    void* function = nullptr;
    CUdriverProcAddressQueryResult status{};
    ASSERT_EQ(call("cuGetProcAddress_v2", one.name, &function, one.version, one.flags, &status),
              CUDA_SUCCESS);
    EXPECT_EQ(function, hook(one.expected)) << one.name << " flags " << one.flags;
    ASSERT_EQ(call("cuGetProcAddress", one.name, &function, one.version, one.flags), CUDA_SUCCESS);
    EXPECT_TRUE(function == hook(one.expected) || std::strcmp(one.name, "cuGetProcAddress") == 0) << one.name;
  }
  void* copy = nullptr;
  CUdriverProcAddressQueryResult status{};
  ASSERT_EQ(call("cuGetProcAddress_v2", "cuMemcpyHtoD", &copy, 12000, 0ULL, &status), CUDA_SUCCESS);
  EXPECT_NE(copy, nullptr);
}

// ---- Life in other people's programs ----

class LifeTest : public UnderGuard {};

TEST_F(LifeTest, AForkedChildHasASlotOfItsOwn) {
  const CUdeviceptr pointer = allocate(kMib);
  EXPECT_EQ(runSelf("two-mebibytes-held"), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // The driver does not survive a fork, but the guard must: an NVML call takes a new slot.
    const Nvml nvml;
    nvmlMemory_t memory{};
    const bool answered = nvml.call("nvmlDeviceGetMemoryInfo", nvml.device(0), &memory) == NVML_SUCCESS;
    bool mine = false;
    for (const ProcessUsage& process : usage()) {
      mine =
          mine || (process.owner.pid == static_cast<std::uint32_t>(::getpid()) && process.gpus[0].bytes == 0);
    }
    ::_exit(answered && mine ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(counted(0), kMib);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(LifeTest, AProgramThatReplacesItselfByExecIsLimitedAndHoldsNothing) {
  EXPECT_EQ(runSelf("exec-twice"), 0);
}

TEST_F(LifeTest, ClosingItAgainChangesNothing) {
  void* again = ::dlopen(GUARD_TEST_LIBRARY, RTLD_NOW);
  ASSERT_NE(again, nullptr) << ::dlerror();
  EXPECT_EQ(::dlclose(again), 0);
  EXPECT_EQ(::dlclose(again), 0);  // Once more than it was opened
  const CUdeviceptr pointer = allocate(kMib);
  EXPECT_EQ(counted(0), kMib);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

TEST_F(LifeTest, CallsFromExitHandlersAreAnswered) { EXPECT_EQ(runSelf("exit-handler"), 0); }

TEST_F(LifeTest, LoadedTwiceItCountsOnce) {
  const std::string twice = std::string(GUARD_TEST_LIBRARY) + ":" + GUARD_SECOND_LIBRARY;
  EXPECT_EQ(runSelf("two-mebibytes-held", {"LD_PRELOAD=" + twice}), 0);
}

TEST_F(LifeTest, AThreadThatNeverUsedTheGpuIsServed) {
  CUcontext current = nullptr;
  ASSERT_EQ(call("cuCtxGetCurrent", &current), CUDA_SUCCESS);
  CUdeviceptr pointer = 0;
  CUresult without = CUDA_SUCCESS;
  CUresult with = CUDA_ERROR_UNKNOWN;
  std::jthread([&] {
    without = call("cuMemAlloc_v2", &pointer, std::size_t{kMib});
    call("cuCtxSetCurrent", current);
    with = call("cuMemAlloc_v2", &pointer, std::size_t{kMib});
  }).join();
  EXPECT_EQ(without, CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(with, CUDA_SUCCESS);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_SUCCESS);
}

// ---- What runSelf() reaches ----

/// The driver on the GPUs of the process that started this one.
class Inherited {
 public:
  Inherited()
      : handle_(::dlopen((berth::sim::testing::driverRoot() / "lib/libcuda.so.1").c_str(), RTLD_NOW)) {}
  template <typename... Args>
  CUresult call(const char* name, Args... args) const {
    const auto function = reinterpret_cast<CUresult (*)(Args...)>(::dlsym(handle_, name));
    return function != nullptr ? function(args...) : CUDA_ERROR_NOT_FOUND;
  }

 private:
  void* handle_;
};

Inherited openContext() {
  Inherited cuda;
  CUcontext context = nullptr;
  cuda.call("cuInit", 0U);
  cuda.call("cuCtxCreate_v2", &context, 0U, 0);
  return cuda;
}

int allocateHeld(std::uint64_t bytes) {
  CUdeviceptr pointer = 0;
  return static_cast<int>(openContext().call("cuMemAlloc_v2", &pointer, std::size_t{bytes}));
}

int openIpc() {
  const Inherited cuda = openContext();
  CUipcMemHandle handle{};
  const std::string text = std::getenv("HANDLE");
  for (std::size_t i = 0; i < sizeof handle.reserved; ++i) {
    handle.reserved[i] = static_cast<char>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  }
  CUdeviceptr pointer = 0;
  if (cuda.call("cuIpcOpenMemHandle_v2", &pointer, handle, 1U) != CUDA_SUCCESS) return 2;
  return counted(0) == 0 && totalOf(usage(), 0).bytes == std::stoull(std::getenv("EXPECT_BYTES")) ? 0 : 3;
}

int churn() {
  const Inherited cuda = openContext();
  for (int i = 0; i < 300; ++i) {
    std::array<CUdeviceptr, 4> pointers{};
    for (CUdeviceptr& pointer : pointers)
      cuda.call("cuMemAlloc_v2", &pointer, std::size_t{(static_cast<std::size_t>(i) % 9 + 1) * kMib});
    if (containerBytes(0) > 64 * kMib) return 2;
    for (const CUdeviceptr pointer : pointers) {
      if (pointer != 0) cuda.call("cuMemFree_v2", pointer);
    }
  }
  return 0;
}

bool reportedIn() {
  bool reported = false;
  own(0, &reported);
  return reported;
}

/// Calls the driver from a library whose own dependencies come before the guard.
int aroundTheGuard() {
  void* library = ::dlopen(DEEPBIND_USER, RTLD_NOW | RTLD_DEEPBIND);
  if (library == nullptr) return 2;
  const auto use = reinterpret_cast<int (*)()>(::dlsym(library, "useDriver"));
  if (use == nullptr || use() != 0) return 3;
  return reportedIn() ? 4 : 0;
}

int execTwice() {
  if (std::getenv("SECOND") == nullptr) {
    if (allocateHeld(2 * kMib) != 0 || counted(0) != 2 * kMib) return 2;
    ::setenv("SECOND", "1", 1);
    ::execl("/proc/self/exe", "guard_hooks_test", "exec-twice", static_cast<char*>(nullptr));
    return 3;
  }
  openContext();
  return counted(0) == 0 ? 0 : 4;
}

int exitHandler() {
  std::atexit([] {
    // The driver may have gone already, and answers so; what counts is that there is an answer.
    const CUresult late = Inherited().call("cuMemFree_v2", CUdeviceptr{1});

    ::_exit(late != CUDA_SUCCESS && late != CUDA_ERROR_NOT_FOUND ? 0 : 2);
  });
  allocateHeld(kMib);
  std::exit(1);
}

}  // namespace

int reached(const std::string& what) {
  if (what == "nothing") return 0;
  if (what == "cu-init") return static_cast<int>(Inherited().call("cuInit", 0U)) & 0xff;
  if (what == "open-ipc") return openIpc();
  if (what == "churn") return churn();
  if (what == "around-the-guard") return aroundTheGuard();
  if (what == "exec-twice") return execTwice();
  if (what == "exit-handler") return exitHandler();
  if (what == "two-mebibytes") return allocateHeld(2 * kMib);
  if (what == "two-mebibytes-held") return allocateHeld(2 * kMib) == 0 && counted(0) == 2 * kMib ? 0 : 2;
  if (what == "allocate-on-device-0") {
    return allocateHeld(kMib) == 0 &&
                   counted(static_cast<std::size_t>(std::atoi(std::getenv("EXPECT_GPU")))) == kMib
               ? 0
               : 2;
  }
  return 125;
}

}  // namespace berth::guard::testing
