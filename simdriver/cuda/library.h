// cuLibrary*: kernels that belong to no context. Each context gets a module of the library on first use.
#pragma once

#include "driver.h"

namespace berth::sim::cu {

/// The function of a CUkernel in this context; CUDA_ERROR_INVALID_HANDLE for what is no kernel.
CUresult kernelFunction(Driver& driver, const std::shared_ptr<Context>& context, std::uintptr_t kernel,
                        std::uintptr_t& function);

}  // namespace berth::sim::cu
