// A module's createOptions: the body of Docker's "create container" as far as the appliance translates it,
// and its k8s-experimental section. Keys may have any case, as they may for the real runtime.
#pragma once

#include <vector>

#include "base/error.h"
#include "manifest/environment.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// Reads `value` (a map) into the module and its only container; its Env is added to `environment`.
Result<void> readCreateOptions(const Value& value, Workload& module, Container& container,
                               Environment& environment, std::vector<Warning>& warnings);

}  // namespace berth::manifest
