// How programs find the driver's functions, and what the driver says of errors.
#include <cstring>
#include <set>
#include <string>

#include "tests/cuda.h"

namespace berth::sim::testing {
namespace {

using namespace cu;  // NOLINT(google-build-using-namespace): the ABI's names

struct Found {
  CUresult result = CUDA_SUCCESS;
  void* function = nullptr;
  unsigned status = ~0U;
};

Found byName(const char* name, int version, std::uint64_t flags = 0) {
  Found found;
  found.result =
      Cuda::get().call("cuGetProcAddress_v2", name, &found.function, version, flags, &found.status);
  return found;
}

TEST(GetProcAddressTest, GivesTheFormOfTheVersionAskedFor) {
  const Cuda& cuda = Cuda::get();
  EXPECT_EQ(byName("cuMemAlloc", 12000).function, cuda.symbol("cuMemAlloc_v2"));
  EXPECT_EQ(byName("cuCtxCreate", 11030).function, cuda.symbol("cuCtxCreate_v2"));
  EXPECT_EQ(byName("cuCtxCreate", 11040).function, cuda.symbol("cuCtxCreate_v3"));
  EXPECT_EQ(byName("cuGetProcAddress", 11030).function, cuda.symbol("cuGetProcAddress"));
  EXPECT_EQ(byName("cuGetProcAddress", 12000).function, cuda.symbol("cuGetProcAddress_v2"));
}

TEST(GetProcAddressTest, GivesThePerThreadFormWhereThereIsOne) {
  const Cuda& cuda = Cuda::get();
  constexpr std::uint64_t kPerThread = kProcAddressPerThreadStream;
  EXPECT_EQ(byName("cuLaunchKernel", 12000).function, cuda.symbol("cuLaunchKernel"));
  EXPECT_EQ(byName("cuLaunchKernel", 12000, kPerThread).function, cuda.symbol("cuLaunchKernel_ptsz"));
  EXPECT_EQ(byName("cuMemcpyHtoD", 12000, kPerThread).function, cuda.symbol("cuMemcpyHtoD_v2_ptds"));
  EXPECT_EQ(byName("cuMemAlloc", 12000, kPerThread).function, cuda.symbol("cuMemAlloc_v2"));
}

TEST(GetProcAddressTest, SaysWhyThereIsNone) {
  const Found unknown = byName("cuNoSuchThing", 12000);
  EXPECT_EQ(unknown.result, CUDA_SUCCESS);
  EXPECT_EQ(unknown.function, nullptr);
  EXPECT_EQ(unknown.status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  const Found too_old = byName("cuLibraryLoadData", 11080);
  EXPECT_EQ(too_old.function, nullptr);
  EXPECT_EQ(too_old.status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
}

TEST(GetProcAddressTest, TheFirstFormSaysNotFoundByItsResult) {
  void* function = &function;
  const Cuda& cuda = Cuda::get();
  EXPECT_EQ(cuda.call("cuGetProcAddress", "cuNoSuchThing", &function, 11030, std::uint64_t{0}),
            CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(function, nullptr);
  EXPECT_EQ(cuda.call("cuGetProcAddress", "cuInit", &function, 11030, std::uint64_t{0}), CUDA_SUCCESS);
  EXPECT_EQ(function, cuda.symbol("cuInit"));
}

TEST(GetProcAddressTest, RefusesMalformedQuestions) {
  EXPECT_EQ(byName(nullptr, 12000).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(byName("", 12000).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(byName("cuInit", 0).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(byName("cuInit", 99000).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(byName("cuInit", 12000, 64).result, CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(Cuda::get().call("cuGetProcAddress_v2", "cuInit", static_cast<void**>(nullptr), 12000,
                             std::uint64_t{0}, static_cast<unsigned*>(nullptr)),
            CUDA_ERROR_INVALID_VALUE);
}

TEST(GetExportTableTest, KnowsNone) {
  const CUuuid id{};
  const void* table = &id;
  EXPECT_EQ(Cuda::get().call("cuGetExportTable", &table, &id), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(table, nullptr);
  EXPECT_EQ(Cuda::get().call("cuGetExportTable", static_cast<const void**>(nullptr), &id),
            CUDA_ERROR_INVALID_VALUE);
}

TEST(ErrorNamesTest, EveryCodeHasANameAndASentenceOfItsOwnKind) {
  const Cuda& cuda = Cuda::get();
  std::set<std::string> names;
  for (unsigned code = 0; code < 1000; ++code) {
    const char* name = nullptr;
    const char* text = nullptr;
    const CUresult result = cuda.call("cuGetErrorName", code, &name);
    EXPECT_EQ(cuda.call("cuGetErrorString", code, &text), result) << code;
    EXPECT_EQ(result == CUDA_SUCCESS, name != nullptr && text != nullptr) << code;
    if (name == nullptr) continue;
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(std::strncmp(name, "CUDA_", 5), 0) << name;
  }
  EXPECT_EQ(names.size(), 98U);  // Of CUDA 12.4
  EXPECT_TRUE(names.contains("CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"));
}

}  // namespace
}  // namespace berth::sim::testing
