// One item of a Kubernetes pod's `containers`.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "manifest/value.h"
#include "manifest/volumes.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// What a container takes from its pod.
struct PodContext {
  const Workload& workload;  // Its name and name space are what fieldRef gives.
  const Volumes& volumes;
  std::optional<std::int64_t> run_as_user;
  bool best_effort = false;  // B15
};

/// Errors as parse() says.
Result<Container> readContainer(const Value& value, const PodContext& pod, std::vector<Warning>& warnings);

/// A port number, 1 to 65535.
inline constexpr std::int64_t kMaxPort = 65535;
inline constexpr std::int64_t kMaxUserId = 2147483647;

}  // namespace berth::manifest
