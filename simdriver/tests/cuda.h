// libcuda.so.1 as a program finds it, for the tests: by dlopen, on a GPU of the test program's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "cuda/cuda_abi.h"
#include "tests/support.h"

namespace berth::sim::testing {

/// The driver of this process, initialised over a folder with the GPUs of `kCudaTestGpus`; made on first use
/// and kept, because a driver is one per process.
class Cuda {
 public:
  static const Cuda& get();

  /// Calls `name` with arguments of exactly the types its ABI has. A function that is missing is a failed
  /// test and CUDA_ERROR_NOT_FOUND.
  template <typename... Args>
  cu::CUresult call(const char* name, Args... args) const {
    void* found = symbol(name);
    if (found == nullptr) {
      ADD_FAILURE() << "libcuda.so.1 has no " << name;
      return cu::CUDA_ERROR_NOT_FOUND;
    }
    return reinterpret_cast<cu::CUresult (*)(Args...)>(found)(args...);
  }
  void* symbol(const char* name) const;
  const Box& box() const { return box_; }

 private:
  Cuda();
  Box box_;
  void* handle_;
};

inline constexpr const char* kCudaTestGpus = "t4:2";

/// Kernels of the tests: `spin` takes a millisecond on up to 40 SMs, `cheap` has two parameters (8 and 4
/// bytes) and a hint of 10 microseconds.
extern const char* const kTestPtx;

/// A test with a context of its own on device 0, which must leave no memory behind.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  template <typename... Args>
  cu::CUresult call(const char* name, Args... args) const {
    return Cuda::get().call(name, args...);
  }
  std::size_t freeBytes() const;
  cu::CUdeviceptr allocate(std::size_t bytes) const;
  cu::CUfunction kernel(const char* name);
  cu::CUstream stream(unsigned flags = cu::kStreamNonBlocking) const;
  /// cuLaunchKernel with one block of 32 threads and no parameters to speak of.
  cu::CUresult launch(cu::CUfunction function, cu::CUstream on, unsigned blocks = 1) const;

  cu::CUcontext context_ = nullptr;
  cu::CUmodule module_ = nullptr;

 private:
  std::size_t free_at_start_ = 0;
};

}  // namespace berth::sim::testing
