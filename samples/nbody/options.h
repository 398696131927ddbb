// The command line of the n-body sample: the options that users of NVIDIA's sample know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::samples {

inline constexpr std::uint32_t kMaxBodies = 1U << 24;
inline constexpr std::uint32_t kMaxIterations = 1'000'000'000;

struct NbodyOptions {
  bool help = false;
  bool benchmark = false;
  bool compare = false;
  std::uint32_t iterations = 10;
  std::uint32_t bodies = 0;  // 0: 1024 for each SM
  int device = 0;
  std::string error;  // Why the line is wrong; empty when it is not
};

/// Reads `-name` or `-name=value`, with one or two dashes. The first mistake is in `error`.
NbodyOptions parseOptions(const std::vector<std::string>& arguments);

extern const char* const kNbodyUsage;

}  // namespace berth::samples
