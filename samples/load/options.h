// The command line of the load generator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::samples {

enum class Arrival : std::uint8_t {
  Closed,   // Each stream sends its next request when the last is done
  Fixed,    // At a rate, evenly
  Poisson,  // At a rate, at random
};
enum class Launch : std::uint8_t { Plain, Graph, Cooperative };

struct LoadOptions {
  bool help = false;
  bool json = false;
  int device = 0;
  double duration_s = 10;
  double warmup_s = 0;
  std::uint64_t requests = 0;  // End after so many; 0: when the time is over
  Arrival arrival = Arrival::Closed;
  double rate = 0;    // Requests a second, of all streams together
  double on_ms = 0;   // Bursts: requests come for this long ...
  double off_ms = 0;  // ... and then not for this long; both 0: always
  std::uint32_t streams = 1;
  Launch launch = Launch::Plain;
  std::uint32_t kernels = 1;     // Of one request
  double kernel_us = 1000;       // Duration of one kernel on the idle GPU
  std::uint32_t sms = 0;         // SMs it fills; 0: all
  std::uint32_t iterations = 0;  // Of the kernel's loop; 0: measured to fit kernel_us
  std::uint64_t memory_mib = 0;  // Working set
  double interval_ms = 0;        // Length of the intervals whose requests are counted; 0: none
  std::uint64_t seed = 1;
  std::string name;   // To tell reports apart
  std::string error;  // Why the line is wrong; empty when it is not
};

/// Reads `--name=value` and `--flag`. The first mistake is in `error`.
LoadOptions parseLoadOptions(const std::vector<std::string>& arguments);

const char* wordOf(Arrival arrival);
const char* wordOf(Launch launch);

extern const char* const kLoadUsage;

}  // namespace berth::samples
