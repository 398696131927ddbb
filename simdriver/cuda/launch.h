// Launches: a kernel's arguments and geometry, checked and packed.
#pragma once

#include "driver.h"

namespace berth::sim::cu {

struct LaunchRequest {
  CUfunction function = nullptr;
  Extent grid{};
  Extent block{};
  unsigned shared_bytes = 0;
  void** parameters = nullptr;
  void** extra = nullptr;
  bool cooperative = false;
};

/// Checks the request against the kernel and the device, and copies its arguments.
CUresult makeLaunch(Driver& driver, const std::shared_ptr<Context>& context, const LaunchRequest& request,
                    KernelLaunch& launch);

/// Blocks of the kernel that fit on one SM at a time.
int blocksPerSm(const Profile& profile, const PtxKernel& kernel, int threads, std::size_t dynamic_shared);

}  // namespace berth::sim::cu
