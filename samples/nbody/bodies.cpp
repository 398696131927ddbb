#include "bodies.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace berth::samples {

System makeSystem(std::uint32_t bodies) {
  std::mt19937 random(20210517);  // NOLINT(bugprone-random-generator-seed): the same start each time
  // The standard's distributions differ between libraries; this is the same everywhere.
  const auto between = [&](float low, float high) {
    return low + (high - low) * (static_cast<float>(random() >> 8) / 16777216.0F);
  };
  System system;
  system.positions.reserve(bodies);
  system.velocities.reserve(bodies);
  while (system.positions.size() < bodies) {
    const Body at{between(-1, 1), between(-1, 1), between(-1, 1), 1.0F / static_cast<float>(bodies)};
    if (at.x * at.x + at.y * at.y + at.z * at.z > 1.0F) continue;
    system.positions.push_back(at);
    system.velocities.push_back({between(-0.1F, 0.1F), between(-0.1F, 0.1F), between(-0.1F, 0.1F), 0});
  }
  return system;
}

void step(System& system, const StepConstants& constants) {
  std::vector<Body> moved(system.positions.size());
  for (std::size_t i = 0; i < moved.size(); ++i) {
    const Body& self = system.positions[i];
    float ax = 0;
    float ay = 0;
    float az = 0;
    for (const Body& other : system.positions) {
      const float dx = other.x - self.x;
      const float dy = other.y - self.y;
      const float dz = other.z - self.z;
      const float inverse = 1.0F / std::sqrt(dx * dx + dy * dy + dz * dz + constants.softening_squared);
      const float strength = other.w * inverse * inverse * inverse;
      ax += dx * strength;
      ay += dy * strength;
      az += dz * strength;
    }
    Body& velocity = system.velocities[i];
    velocity.x = (velocity.x + ax * constants.time_step) * constants.damping;
    velocity.y = (velocity.y + ay * constants.time_step) * constants.damping;
    velocity.z = (velocity.z + az * constants.time_step) * constants.damping;
    moved[i] = {self.x + velocity.x * constants.time_step, self.y + velocity.y * constants.time_step,
                self.z + velocity.z * constants.time_step, self.w};
  }
  system.positions = std::move(moved);
}

double largestDifference(const std::vector<Body>& left, const std::vector<Body>& right) {
  double largest = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const double here = std::max({std::fabs(double{left[i].x} - double{right[i].x}),
                                  std::fabs(double{left[i].y} - double{right[i].y}),
                                  std::fabs(double{left[i].z} - double{right[i].z})});
    if (!std::isfinite(here)) return std::numeric_limits<double>::quiet_NaN();
    largest = std::max(largest, here);
  }
  return largest;
}

}  // namespace berth::samples
