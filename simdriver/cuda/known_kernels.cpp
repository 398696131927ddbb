#include "known_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "entry.h"

namespace berth::sim::cu {
namespace {

struct Vector4 {
  float x, y, z, w;
};

/// What body `self` feels from all of them: the loop of the PTX kernel, operation by operation.
Vector4 acceleration(const Vector4* positions, std::uint32_t bodies, const Vector4& self, float softening) {
  Vector4 sum{0, 0, 0, 0};
  for (std::uint32_t j = 0; j < bodies; ++j) {
    const float dx = positions[j].x - self.x;
    const float dy = positions[j].y - self.y;
    const float dz = positions[j].z - self.z;
    const float distance = dx * dx + dy * dy + dz * dz + softening;
    const float inverse = 1.0F / std::sqrt(distance);
    const float strength = positions[j].w * inverse * inverse * inverse;
    sum.x += dx * strength;
    sum.y += dy * strength;
    sum.z += dz * strength;
  }
  return sum;
}

}  // namespace

std::optional<NbodyArguments> asNbody(const KernelLaunch& launch) {
  constexpr std::size_t kSizes[] = {8, 8, 8, 4, 4, 4, 4};
  const PtxKernel& kernel = launch.function->kernel;
  if (kernel.name != "integrateBodies" || kernel.parameters.size() != std::size(kSizes)) return std::nullopt;
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    if (kernel.parameters[i].bytes != kSizes[i]) return std::nullopt;
  }
  NbodyArguments arguments{};
  if (launch.arguments.size() < sizeof(arguments)) return std::nullopt;
  std::memcpy(&arguments, launch.arguments.data(), sizeof(arguments));
  return arguments;
}

bool runNbody(const Driver& driver, const KernelLaunch& launch, const NbodyArguments& arguments) {
  const std::size_t bytes = std::size_t{arguments.bodies} * sizeof(Vector4);
  for (const CUdeviceptr pointer : {arguments.new_positions, arguments.old_positions, arguments.velocities}) {
    if (pointer % alignof(Vector4) != 0 || !driver.addresses.covers(addressOf(pointer), bytes)) return false;
  }
  auto* moved = reinterpret_cast<Vector4*>(addressOf(arguments.new_positions));
  const auto* positions = reinterpret_cast<const Vector4*>(addressOf(arguments.old_positions));
  auto* velocities = reinterpret_cast<Vector4*>(addressOf(arguments.velocities));
  const std::uint64_t threads = std::uint64_t{launch.grid[0]} * launch.block[0];
  const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(threads, arguments.bodies));
  for (std::uint32_t i = 0; i < count; ++i) {
    const Vector4 pull = acceleration(positions, arguments.bodies, positions[i], arguments.softening_squared);
    Vector4& velocity = velocities[i];
    velocity.x = (velocity.x + pull.x * arguments.time_step) * arguments.damping;
    velocity.y = (velocity.y + pull.y * arguments.time_step) * arguments.damping;
    velocity.z = (velocity.z + pull.z * arguments.time_step) * arguments.damping;
    moved[i] = {positions[i].x + velocity.x * arguments.time_step,
                positions[i].y + velocity.y * arguments.time_step,
                positions[i].z + velocity.z * arguments.time_step, positions[i].w};
  }
  return true;
}

}  // namespace berth::sim::cu
