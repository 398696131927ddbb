// Contexts, streams, events, modules and libraries: order, time, and every wrong handle an error.
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda.h"

namespace berth::sim::testing {
namespace {

using namespace cu;  // NOLINT(google-build-using-namespace): the ABI's names

class ContextTest : public CudaTest {};

TEST_F(ContextTest, EachContextCostsWhatTheProfileSaysUntilItIsDestroyed) {
  const std::size_t before = freeBytes();
  CUcontext second = nullptr;
  EXPECT_EQ(call("cuCtxCreate_v2", &second, 0U, 0), CUDA_SUCCESS);
  EXPECT_EQ(before - freeBytes(), 109696U * 1024);  // profiles.txt, t4
  EXPECT_EQ(call("cuCtxDestroy_v2", second), CUDA_SUCCESS);
  EXPECT_EQ(freeBytes(), before);
}

TEST_F(ContextTest, TheStackOfAThreadIsItsOwn) {
  CUcontext second = nullptr;
  CUcontext current = nullptr;
  EXPECT_EQ(call("cuCtxCreate_v3", &second, static_cast<void*>(nullptr), 0, 0U, 1), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxGetCurrent", &current), CUDA_SUCCESS);
  EXPECT_EQ(current, second);
  std::thread([&] {
    EXPECT_EQ(call("cuCtxGetCurrent", &current), CUDA_SUCCESS);
    EXPECT_EQ(current, nullptr);
    CUdeviceptr pointer = 0;
    EXPECT_EQ(call("cuMemAlloc_v2", &pointer, std::size_t{16}), CUDA_ERROR_INVALID_CONTEXT);
    EXPECT_EQ(call("cuCtxPopCurrent_v2", &current), CUDA_ERROR_INVALID_CONTEXT);
  }).join();
  EXPECT_EQ(call("cuCtxPopCurrent_v2", &current), CUDA_SUCCESS);
  EXPECT_EQ(current, second);
  EXPECT_EQ(call("cuCtxGetCurrent", &current), CUDA_SUCCESS);
  EXPECT_EQ(current, context_);
  EXPECT_EQ(call("cuCtxDestroy_v2", second), CUDA_SUCCESS);
}

TEST_F(ContextTest, WhatBelongsToADestroyedContextIsGone) {
  CUcontext second = nullptr;
  EXPECT_EQ(call("cuCtxCreate_v2", &second, 0U, 0), CUDA_SUCCESS);
  const CUstream s = stream();
  const CUdeviceptr pointer = allocate(4096);
  CUevent event = nullptr;
  EXPECT_EQ(call("cuEventCreate", &event, 0U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxPushCurrent_v2", second), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxDestroy_v2", second), CUDA_SUCCESS);
  // The stack still names it once, below what the destruction popped.
  CUdevice device = 0;
  EXPECT_EQ(call("cuCtxGetDevice", &device), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CUcontext popped = nullptr;
  EXPECT_EQ(call("cuCtxPopCurrent_v2", &popped), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamSynchronize", s), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuEventQuery", event), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuMemFree_v2", pointer), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuCtxDestroy_v2", second), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(call("cuCtxSetCurrent", second), CUDA_ERROR_INVALID_CONTEXT);
}

TEST_F(ContextTest, LimitsAreKeptAndUnknownOnesRefused) {
  std::size_t value = 0;
  EXPECT_EQ(call("cuCtxSetLimit", unsigned{CU_LIMIT_STACK_SIZE}, std::size_t{4096}), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxGetLimit", &value, unsigned{CU_LIMIT_STACK_SIZE}), CUDA_SUCCESS);
  EXPECT_EQ(value, 4096U);
  EXPECT_EQ(call("cuCtxGetLimit", &value, 77U), CUDA_ERROR_UNSUPPORTED_LIMIT);
  EXPECT_EQ(call("cuCtxSetCacheConfig", 9U), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(ContextTest, ThePrimaryContextLivesWhileItIsRetained) {
  CUcontext first = nullptr;
  CUcontext second = nullptr;
  EXPECT_EQ(call("cuDevicePrimaryCtxRetain", &first, 1), CUDA_SUCCESS);
  EXPECT_EQ(call("cuDevicePrimaryCtxRetain", &second, 1), CUDA_SUCCESS);
  EXPECT_EQ(first, second);
  unsigned flags = 0;
  int active = 0;
  EXPECT_EQ(call("cuCtxDestroy_v2", first), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(call("cuDevicePrimaryCtxRelease_v2", 1), CUDA_SUCCESS);
  EXPECT_EQ(call("cuDevicePrimaryCtxGetState", 1, &flags, &active), CUDA_SUCCESS);
  EXPECT_EQ(active, 1);
  EXPECT_EQ(call("cuDevicePrimaryCtxRelease_v2", 1), CUDA_SUCCESS);
  EXPECT_EQ(call("cuDevicePrimaryCtxRelease_v2", 1), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(call("cuDevicePrimaryCtxRetain", &first, 5), CUDA_ERROR_INVALID_DEVICE);
}

class StreamTest : public CudaTest {
 protected:
  CUevent event() const {
    CUevent made = nullptr;
    EXPECT_EQ(call("cuEventCreate", &made, 0U), CUDA_SUCCESS);
    return made;
  }
  CUevent recorded(CUstream on) const {
    const CUevent made = event();
    EXPECT_EQ(call("cuEventRecord", made, on), CUDA_SUCCESS);
    return made;
  }
  float between(CUevent start, CUevent stop) const {
    float milliseconds = -1;
    EXPECT_EQ(call("cuEventSynchronize", stop), CUDA_SUCCESS);
    EXPECT_EQ(call("cuEventElapsedTime", &milliseconds, start, stop), CUDA_SUCCESS);
    return milliseconds;
  }
};

TEST_F(StreamTest, EventsMeasureDeviceTime) {
  const CUstream s = stream();
  const CUevent start = recorded(s);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  // One SM each, one after the other: five milliseconds, and switches only if somebody else is there.
  EXPECT_NEAR(between(start, recorded(s)), 5.0F, 0.5F);
}

TEST_F(StreamTest, StreamsRunSideBySideAndWaitForEventsWhenAsked) {
  const CUstream a = stream();
  const CUstream b = stream();
  const CUevent start = recorded(a);
  EXPECT_EQ(launch(kernel("spin"), a), CUDA_SUCCESS);
  const CUevent after_a = recorded(a);
  EXPECT_EQ(call("cuStreamWaitEvent", b, after_a, 0U), CUDA_SUCCESS);
  EXPECT_EQ(launch(kernel("spin"), b), CUDA_SUCCESS);
  const CUevent after_b = recorded(b);
  EXPECT_GE(between(start, after_b), 1.99F);
  EXPECT_GE(between(after_a, after_b), 0.99F);
}

TEST_F(StreamTest, TheDefaultStreamWaitsForBlockingStreamsAndNotForOthers) {
  const CUstream blocking = stream(0);
  const CUevent start = recorded(blocking);
  EXPECT_EQ(launch(kernel("spin"), blocking), CUDA_SUCCESS);
  EXPECT_EQ(launch(kernel("spin"), nullptr), CUDA_SUCCESS);
  EXPECT_GE(between(start, recorded(nullptr)), 1.99F);
}

TEST_F(StreamTest, HostFunctionsRunInTheirTurn) {
  const CUstream s = stream();
  std::atomic<int> calls{0};
  const CUhostFn count = [](void* at) { static_cast<std::atomic<int>*>(at)->fetch_add(1); };
  EXPECT_EQ(launch(kernel("spin"), s), CUDA_SUCCESS);
  EXPECT_EQ(call("cuLaunchHostFunc", s, count, static_cast<void*>(&calls)), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamSynchronize", s), CUDA_SUCCESS);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(call("cuLaunchHostFunc", s, CUhostFn{nullptr}, static_cast<void*>(nullptr)),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(StreamTest, CallsFromAHostFunctionAreNotPermitted) {
  static std::atomic<unsigned> seen{0};
  const CUhostFn ask = [](void*) {
    Cuda::get().call("cuCtxSetCurrent", static_cast<CUcontext>(nullptr));
    CUdeviceptr pointer = 0;
    seen = Cuda::get().call("cuMemAlloc_v2", &pointer, std::size_t{16});
  };
  EXPECT_EQ(call("cuLaunchHostFunc", CUstream{nullptr}, ask, static_cast<void*>(nullptr)), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxSynchronize"), CUDA_SUCCESS);
  EXPECT_NE(seen, CUDA_SUCCESS);
}

TEST_F(StreamTest, PrioritiesAreBroughtIntoTheDevicesRange) {
  int least = 1;
  int greatest = 1;
  EXPECT_EQ(call("cuCtxGetStreamPriorityRange", &least, &greatest), CUDA_SUCCESS);
  EXPECT_LT(greatest, least);
  CUstream s = nullptr;
  int priority = 0;
  EXPECT_EQ(call("cuStreamCreateWithPriority", &s, 1U, -1000), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamGetPriority", s, &priority), CUDA_SUCCESS);
  EXPECT_EQ(priority, greatest);
}

TEST_F(StreamTest, ValuesAreWrittenAndAwaitedWhereTheyAreAlready) {
  const CUdeviceptr at = allocate(4096);
  const CUstream s = stream();
  EXPECT_EQ(call("cuStreamWriteValue32_v2", s, at, std::uint32_t{7}, 0U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamWaitValue32_v2", s, at, std::uint32_t{7}, kWaitValueEqual), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamWaitValue32_v2", s, at, std::uint32_t{5}, kWaitValueGreaterOrEqual), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamWaitValue32_v2", s, at, std::uint32_t{8}, kWaitValueEqual),
            CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(call("cuStreamWriteValue64_v2", s, at, std::uint64_t{1} << 40, 0U), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamWaitValue64_v2", s, at, std::uint64_t{1} << 40, kWaitValueEqual), CUDA_SUCCESS);
  EXPECT_EQ(call("cuStreamWriteValue32_v2", s, at + 1, std::uint32_t{7}, 0U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuMemFree_v2", at), CUDA_SUCCESS);
}

TEST_F(StreamTest, WrongHandlesAndFlagsAreErrors) {
  const auto bad_stream = reinterpret_cast<CUstream>(0x999);
  const auto bad_event = reinterpret_cast<CUevent>(0x999);
  CUstream s = nullptr;
  EXPECT_EQ(call("cuStreamCreate", static_cast<CUstream*>(nullptr), 0U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuStreamCreate", &s, 8U), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuStreamSynchronize", bad_stream), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuStreamDestroy_v2", bad_stream), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuStreamWaitEvent", CUstream{nullptr}, bad_event, 0U), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuEventRecord", bad_event, CUstream{nullptr}), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuEventDestroy_v2", bad_event), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuEventCreate", static_cast<CUevent*>(nullptr), 0U), CUDA_ERROR_INVALID_VALUE);
  float milliseconds = 0;
  const CUevent never = event();
  EXPECT_EQ(call("cuEventElapsedTime", &milliseconds, never, never), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(call("cuEventQuery", never), CUDA_SUCCESS) << "never recorded is done";
}

class ModuleTest : public CudaTest {};

TEST_F(ModuleTest, KernelsAndVariablesAreFoundByName) {
  const CUfunction cheap = kernel("cheap");
  const char* name = nullptr;
  std::size_t offset = 0;
  std::size_t bytes = 0;
  unsigned count = 0;
  EXPECT_EQ(call("cuFuncGetName", &name, cheap), CUDA_SUCCESS);
  EXPECT_STREQ(name, "cheap");
  EXPECT_EQ(call("cuFuncGetParamInfo", cheap, std::size_t{1}, &offset, &bytes), CUDA_SUCCESS);
  EXPECT_EQ(offset, 8U);
  EXPECT_EQ(bytes, 4U);
  EXPECT_EQ(call("cuFuncGetParamInfo", cheap, std::size_t{2}, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(call("cuModuleGetFunctionCount", &count, module_), CUDA_SUCCESS);
  EXPECT_EQ(count, 2U);
  CUdeviceptr table = 0;
  EXPECT_EQ(call("cuModuleGetGlobal_v2", &table, &bytes, module_, "table"), CUDA_SUCCESS);
  EXPECT_EQ(bytes, 256U);
  CUfunction function = nullptr;
  EXPECT_EQ(call("cuModuleGetFunction", &function, module_, "nothing"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(call("cuModuleGetFunction", &function, module_, static_cast<const char*>(nullptr)),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(ModuleTest, ImagesThatAreNoneAreRefused) {
  CUmodule module = nullptr;
  const auto load = [&](const char* image) {
    return call("cuModuleLoadData", &module, static_cast<const void*>(image));
  };
  EXPECT_EQ(load(nullptr), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(load("this is not PTX"), CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(load("\x7f"
                 "ELF"),
            CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(load(".version 7.0\n.target sm_90\n"), CUDA_ERROR_NO_BINARY_FOR_GPU) << "a T4 is 7.5";
  EXPECT_EQ(call("cuModuleLoad", &module, "/no/such/file"), CUDA_ERROR_FILE_NOT_FOUND);
  EXPECT_EQ(call("cuModuleUnload", reinterpret_cast<CUmodule>(0x999)), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(ModuleTest, ALibrarysKernelIsLaunchedInEveryContext) {
  CUlibrary library = nullptr;
  CUkernel spin = nullptr;
  EXPECT_EQ(call("cuLibraryLoadData", &library, static_cast<const void*>(kTestPtx),
                 static_cast<unsigned*>(nullptr), static_cast<void**>(nullptr), 0U,
                 static_cast<unsigned*>(nullptr), static_cast<void**>(nullptr), 0U),
            CUDA_SUCCESS);
  EXPECT_EQ(call("cuLibraryGetKernel", &spin, library, "spin"), CUDA_SUCCESS);
  unsigned count = 0;
  std::array<CUkernel, 2> kernels{};
  EXPECT_EQ(call("cuLibraryGetKernelCount", &count, library), CUDA_SUCCESS);
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(call("cuLibraryEnumerateKernels", kernels.data(), 2U, library), CUDA_SUCCESS);
  EXPECT_EQ(kernels[0], spin);
  EXPECT_EQ(launch(reinterpret_cast<CUfunction>(spin), nullptr), CUDA_SUCCESS);
  CUcontext second = nullptr;
  EXPECT_EQ(call("cuCtxCreate_v2", &second, 0U, 1), CUDA_SUCCESS);
  EXPECT_EQ(launch(reinterpret_cast<CUfunction>(spin), nullptr), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxDestroy_v2", second), CUDA_SUCCESS);
  EXPECT_EQ(call("cuCtxSynchronize"), CUDA_SUCCESS);
  EXPECT_EQ(call("cuLibraryUnload", library), CUDA_SUCCESS);
  EXPECT_EQ(launch(reinterpret_cast<CUfunction>(spin), nullptr), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(ModuleTest, LinkedTextIsAnImage) {
  CUlinkState link = nullptr;
  void* image = nullptr;
  std::size_t bytes = 0;
  EXPECT_EQ(call("cuLinkCreate_v2", 0U, static_cast<unsigned*>(nullptr), static_cast<void**>(nullptr), &link),
            CUDA_SUCCESS);
  std::string text = kTestPtx;
  EXPECT_EQ(call("cuLinkAddData_v2", link, 1U, static_cast<void*>(text.data()), text.size(),
                 static_cast<const char*>(nullptr), 0U, static_cast<unsigned*>(nullptr),
                 static_cast<void**>(nullptr)),
            CUDA_SUCCESS);
  EXPECT_EQ(call("cuLinkComplete", link, &image, &bytes), CUDA_SUCCESS);
  CUmodule module = nullptr;
  EXPECT_EQ(call("cuModuleLoadData", &module, static_cast<const void*>(image)), CUDA_SUCCESS);
  EXPECT_EQ(call("cuModuleUnload", module), CUDA_SUCCESS);
  EXPECT_EQ(call("cuLinkDestroy", link), CUDA_SUCCESS);
}

TEST_F(ModuleTest, WhatIsNotSimulatedSaysSo) {
  for (const char* name : {"cuTexObjectCreate", "cuSurfObjectCreate", "cuGraphicsMapResources",
                           "cuMulticastCreate", "cuImportExternalSemaphore", "cuTensorMapEncodeTiled"}) {
    EXPECT_EQ(call(name), CUDA_ERROR_NOT_SUPPORTED) << name;
  }
}

TEST(DriverTest, NothingWorksBeforeInitialisationOrInAForkedChild) {
  Cuda::get();
  const pid_t child = ::fork();
  if (child == 0) {
    int count = 0;
    const bool refused = Cuda::get().call("cuDeviceGetCount", &count) == CUDA_ERROR_NOT_INITIALIZED;
    const bool again = Cuda::get().call("cuInit", 0U) == CUDA_SUCCESS &&
                       Cuda::get().call("cuDeviceGetCount", &count) == CUDA_SUCCESS && count == 2;
    ::_exit(refused && again ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(Cuda::get().call("cuInit", 1U), CUDA_ERROR_INVALID_VALUE);
}

TEST(DriverTest, DamagedStateFilesAreNoDevices) {
  const std::string folder = Cuda::get().box().folder();
  {
    const Box damaged("t4:3");
    std::filesystem::resize_file(damaged.stateFile(0), 1000);
    std::fstream file(damaged.stateFile(1), std::ios::in | std::ios::out | std::ios::binary);
    file.write("NOTAGPU!", 8);
    file.close();
    std::ofstream(damaged.folder() / "gpu-of-nothing.state") << "text";
    const pid_t child = ::fork();
    if (child == 0) {
      int count = 0;
      const bool good = Cuda::get().call("cuInit", 0U) == CUDA_SUCCESS &&
                        Cuda::get().call("cuDeviceGetCount", &count) == CUDA_SUCCESS && count == 1;
      ::_exit(good ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  ::setenv("BERTH_SIM_DIR", folder.c_str(), 1);
}

}  // namespace
}  // namespace berth::sim::testing
