// The driver that the simulation says it is.
#pragma once

namespace berth::sim {

inline constexpr const char* kDriverVersion = "550.54.15";
inline constexpr const char* kNvmlVersion = "12.550.54.15";
inline constexpr int kCudaDriverVersion = 12040;  // CUDA 12.4, what that driver brings

}  // namespace berth::sim
