// The linker: it collects PTX texts, and their sum is the image. There is no machine code to make.
#include <string_view>

#include "cuda_api.h"
#include "entry.h"
#include "module.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned kInputPtx = 1;
constexpr unsigned kLastInput = 5;

CUresult add(CUlinkState handle, unsigned type, std::string_view text) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Link> link = driver.links.find(numberOf(handle));
    if (!link) return CUDA_ERROR_INVALID_HANDLE;
    if (type > kLastInput) return CUDA_ERROR_INVALID_VALUE;
    if (type != kInputPtx) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (link->text.size() + text.size() > kMaxPtxBytes) return CUDA_ERROR_INVALID_VALUE;
    if (!parsePtx(text)) return CUDA_ERROR_INVALID_PTX;
    link->text.append(text).push_back('\n');
    return CUDA_SUCCESS;
  });
}

std::string_view withoutEnd(const void* data, std::size_t bytes) {
  const std::string_view text(static_cast<const char*>(data), bytes);
  return text.substr(0, text.find('\0'));
}

}  // namespace

BERTH_CUDA_API cuLinkCreate_v2(unsigned, unsigned*, void**, CUlinkState* out) {
  return inContext([&](Driver& driver, const std::shared_ptr<Context>&) -> CUresult {
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *out = handleOf<CUlinkState>(driver.links.add(std::make_shared<Link>()));
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLinkAddData_v2(CUlinkState link, unsigned type, void* data, std::size_t bytes, const char*,
                                unsigned, unsigned*, void**) {
  if (data == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return add(link, type, withoutEnd(data, bytes));
}

BERTH_CUDA_API cuLinkAddFile_v2(CUlinkState link, unsigned type, const char* path, unsigned, unsigned*,
                                void**) {
  return initialised([&](Driver&) -> CUresult {
    if (path == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::string text;
    const CUresult result = readImageFile(path, text);
    return result == CUDA_SUCCESS ? add(link, type, text) : result;
  });
}

BERTH_CUDA_API cuLinkComplete(CUlinkState handle, void** image, std::size_t* bytes) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Link> link = driver.links.find(numberOf(handle));
    if (!link) return CUDA_ERROR_INVALID_HANDLE;
    if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (link->text.empty()) return CUDA_ERROR_INVALID_IMAGE;
    *image = link->text.data();
    if (bytes != nullptr) *bytes = link->text.size();
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuLinkDestroy(CUlinkState handle) {
  return initialised([&](Driver& driver) -> CUresult {
    return driver.links.take(numberOf(handle)) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace berth::sim::cu
