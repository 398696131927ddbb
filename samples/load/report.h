// What a run came to, as text and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "options.h"

namespace berth::samples {

/// One request that was finished.
struct Request {
  double done_s = 0;      // After the start of the load
  double latency_ms = 0;  // From when it was due until it was seen to be done
  double gpu_ms = 0;      // Between the events around it, waiting for other processes' slices included
};

struct RunFacts {
  std::string device;  // Name
  std::uint32_t sms = 0;
  std::uint32_t iterations = 0;
  double wall_s = 0;
  std::uint64_t late = 0;  // Requests of the open loop that were still due when the load ended
};

/// The least value that `percent` of the sorted values do not pass (nearest rank); 0 of none.
double percentile(const std::vector<double>& sorted, double percent);

struct Summary {
  std::uint64_t requests = 0;
  double throughput = 0;  // Requests a second
  double p50_ms = 0;
  double p90_ms = 0;
  double p99_ms = 0;
  double max_ms = 0;
  double mean_ms = 0;
  double gpu_s = 0;   // Sum of the requests' time on the GPU
  double work_s = 0;  // What that many kernels take on the idle GPU
  std::vector<std::uint64_t> intervals;
};

Summary summarise(const LoadOptions& options, const RunFacts& facts, const std::vector<Request>& requests);
std::string asText(const LoadOptions& options, const RunFacts& facts, const Summary& summary);
/// One object on one line, keys in camelCase.
std::string asJson(const LoadOptions& options, const RunFacts& facts, const Summary& summary);

}  // namespace berth::samples
