// What calls of the driver cost as a program makes them, through whatever is preloaded: prints one line for
// each kind, "NAME NANOSECONDS", the least of many short rounds, so that a busy machine does not count.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include <dlfcn.h>

#include "simdriver/cuda/cuda_abi.h"

namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): the ABI's own names

constexpr int kRounds = 400;
constexpr int kCalls = 2000;
constexpr std::size_t kBytes = 4096;

void* g_driver;

template <typename Fn>
Fn function(const char* name) {
  void* found = ::dlsym(g_driver, name);
  if (found == nullptr) {
    std::fprintf(stderr, "calls: no %s\n", name);
    std::exit(1);
  }
  return reinterpret_cast<Fn>(found);
}

void must(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "calls: %s answers %u\n", what, result);
  std::exit(1);
}

/// The least time of one call of `work`, which makes kCalls of them.
template <typename Work>
double leastTime(Work work) {
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < kRounds; ++i) {
    const auto began = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    least = std::min(least, took.count() / kCalls);
  }
  return least;
}

double launches() {
  const auto launch = function<CUresult (*)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned,
                                            unsigned, unsigned, CUstream, void**, void**)>("cuLaunchKernel");
  const auto get = function<CUresult (*)(CUfunction*, CUmodule, const char*)>("cuModuleGetFunction");
  CUfunction kernel = nullptr;
  must(get(&kernel, nullptr, "kernel"), "cuModuleGetFunction");
  return leastTime([&] {
    for (int i = 0; i < kCalls; ++i) launch(kernel, 64, 1, 1, 256, 1, 1, 0, nullptr, nullptr, nullptr);
  });
}

/// Pairs of allocating and freeing while `live` other buffers are held.
double pairs(std::size_t live) {
  const auto allocate = function<CUresult (*)(CUdeviceptr*, std::size_t)>("cuMemAlloc_v2");
  const auto free = function<CUresult (*)(CUdeviceptr)>("cuMemFree_v2");
  std::vector<CUdeviceptr> held(live);
  for (CUdeviceptr& pointer : held) must(allocate(&pointer, kBytes), "cuMemAlloc_v2");
  const double least = leastTime([&] {
    for (int i = 0; i < kCalls; ++i) {
      CUdeviceptr pointer = 0;
      allocate(&pointer, kBytes);
      free(pointer);
    }
  });
  for (const CUdeviceptr pointer : held) must(free(pointer), "cuMemFree_v2");
  return least;
}

double queries() {
  const auto ask = function<CUresult (*)(std::size_t*, std::size_t*)>("cuMemGetInfo_v2");
  return leastTime([&] {
    for (int i = 0; i < kCalls; ++i) {
      std::size_t free = 0;
      std::size_t total = 0;
      ask(&free, &total);
    }
  });
}

}  // namespace

int main() {
  g_driver = ::dlopen("libcuda.so.1", RTLD_NOW);
  if (g_driver == nullptr) {
    std::fprintf(stderr, "calls: %s\n", ::dlerror());
    return 1;
  }
  CUcontext context = nullptr;
  must(function<CUresult (*)(unsigned)>("cuInit")(0), "cuInit");
  must(function<CUresult (*)(CUcontext*, CUdevice)>("cuDevicePrimaryCtxRetain")(&context, 0), "the context");
  must(function<CUresult (*)(CUcontext)>("cuCtxSetCurrent")(context), "cuCtxSetCurrent");
  std::printf("launch %.2f\n", launches());
  std::printf("pair-10 %.2f\n", pairs(10));
  std::printf("pair-10000 %.2f\n", pairs(10'000));
  std::printf("pair-100000 %.2f\n", pairs(100'000));
  std::printf("query %.2f\n", queries());
  return 0;
}
