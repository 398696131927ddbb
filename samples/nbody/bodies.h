// Bodies of the n-body sample and the step on the CPU that the GPU's is compared with.
#pragma once

#include <cstdint>
#include <vector>

namespace berth::samples {

struct alignas(16) Body {
  float x, y, z, w;
};

struct StepConstants {
  float time_step = 0.016F;
  float damping = 1.0F;
  float softening_squared = 0.01F;
};

struct System {
  std::vector<Body> positions;   // w is the mass
  std::vector<Body> velocities;  // w is unused
};

/// A ball of bodies with the same start each time.
System makeSystem(std::uint32_t bodies);
/// One step for all bodies.
void step(System& system, const StepConstants& constants);
/// The largest difference of two positions, against the size of the system; NaN when a value is not finite.
double largestDifference(const std::vector<Body>& left, const std::vector<Body>& right);

}  // namespace berth::samples
