// Kernels that the driver computes for real, so that our samples can check their results on a simulated GPU.
// They are known by name and parameter sizes.
#pragma once

#include <cstdint>
#include <optional>

#include "driver.h"

namespace berth::sim::cu {

/// The n-body kernel's arguments: integrateBodies(new_positions, old_positions, velocities, bodies, time
/// step, damping, softening squared), as samples/nbody has it.
struct NbodyArguments {
  CUdeviceptr new_positions;
  CUdeviceptr old_positions;
  CUdeviceptr velocities;
  std::uint32_t bodies;
  float time_step;
  float damping;
  float softening_squared;
};

/// The launch's arguments when it is the n-body kernel.
std::optional<NbodyArguments> asNbody(const KernelLaunch& launch);

/// Computes one step for the bodies that the grid covers. False when it reaches memory that is not allocated,
/// which is a fault of the context.
bool runNbody(const Driver& driver, const KernelLaunch& launch, const NbodyArguments& arguments);

}  // namespace berth::sim::cu
