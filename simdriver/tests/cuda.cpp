#include "tests/cuda.h"

#include <dlfcn.h>

namespace berth::sim::testing {

using namespace cu;  // NOLINT(google-build-using-namespace): the ABI's names

const char* const kTestPtx = R"(
.version 6.0
.target sm_50
.address_size 64
.global .align 4 .b8 table[256];
// berth-cost: ns=1000000
.visible .entry spin()
{ ret; }
// berth-cost: ns=10000
.visible .entry cheap(.param .u64 pointer, .param .u32 count)
{ ret; }
)";

Cuda::Cuda()
    : box_(kCudaTestGpus),
      handle_(::dlopen((driverRoot() / "lib/libcuda.so.1").c_str(), RTLD_NOW | RTLD_LOCAL)) {
  EXPECT_NE(handle_, nullptr) << ::dlerror();
  EXPECT_EQ(call("cuInit", 0U), CUDA_SUCCESS);
}

const Cuda& Cuda::get() {
  static const Cuda cuda;
  return cuda;
}

void* Cuda::symbol(const char* name) const { return ::dlsym(handle_, name); }

void CudaTest::SetUp() {
  ASSERT_EQ(call("cuCtxCreate_v2", &context_, 0U, 0), CUDA_SUCCESS);
  free_at_start_ = freeBytes();
}

void CudaTest::TearDown() {
  if (module_ != nullptr) {
    EXPECT_EQ(call("cuModuleUnload", module_), CUDA_SUCCESS);
  }
  EXPECT_EQ(freeBytes(), free_at_start_) << "memory was left behind";
  EXPECT_EQ(call("cuCtxDestroy_v2", context_), CUDA_SUCCESS);
}

std::size_t CudaTest::freeBytes() const {
  std::size_t free_bytes = 0;
  std::size_t total = 0;
  EXPECT_EQ(call("cuMemGetInfo_v2", &free_bytes, &total), CUDA_SUCCESS);
  return free_bytes;
}

CUdeviceptr CudaTest::allocate(std::size_t bytes) const {
  CUdeviceptr pointer = 0;
  EXPECT_EQ(call("cuMemAlloc_v2", &pointer, bytes), CUDA_SUCCESS);
  return pointer;
}

CUfunction CudaTest::kernel(const char* name) {
  if (module_ == nullptr) {
    EXPECT_EQ(call("cuModuleLoadData", &module_, static_cast<const void*>(kTestPtx)), CUDA_SUCCESS);
  }
  CUfunction function = nullptr;
  EXPECT_EQ(call("cuModuleGetFunction", &function, module_, name), CUDA_SUCCESS);
  return function;
}

CUstream CudaTest::stream(unsigned flags) const {
  CUstream made = nullptr;
  EXPECT_EQ(call("cuStreamCreate", &made, flags), CUDA_SUCCESS);
  return made;
}

CUresult CudaTest::launch(CUfunction function, CUstream on, unsigned blocks) const {
  std::uint64_t pointer = 0;
  std::uint32_t count = 0;
  void* parameters[] = {&pointer, &count};
  return call("cuLaunchKernel", function, blocks, 1U, 1U, 32U, 1U, 1U, 0U, on,
              static_cast<void**>(parameters), static_cast<void**>(nullptr));
}

}  // namespace berth::sim::testing
