// Modules: PTX text into kernels and variables.
#pragma once

#include <string>
#include <string_view>

#include "driver.h"

namespace berth::sim::cu {

/// Makes a module of the text in the context, with memory for its variables.
CUresult loadModule(Driver& driver, const std::shared_ptr<Context>& context, const PtxModule& ptx,
                    std::uintptr_t& handle);
/// Takes it out of the tables with its functions and variables.
CUresult unloadModule(Driver& driver, std::uintptr_t handle);
/// Reads an image in memory whose length the ABI does not tell: PTX text, ended by a zero byte.
CUresult parseImage(const void* image, PtxModule& ptx);
/// The bytes of an image file, with a limit on their number.
CUresult readImageFile(const char* path, std::string& bytes);
/// parseImage() of a file.
CUresult parseImageFile(const char* path, PtxModule& ptx);
/// The handle of a kernel in a module, made on first use; CUDA_ERROR_NOT_FOUND.
CUresult functionOf(Driver& driver, const std::shared_ptr<Module>& module, std::string_view name,
                    std::uintptr_t& handle);

/// The function behind a CUfunction, or behind a CUkernel given in its place, which CUDA 12 allows.
std::shared_ptr<Function> findFunction(Driver& driver, const std::shared_ptr<Context>& context,
                                       CUfunction handle);

}  // namespace berth::sim::cu
