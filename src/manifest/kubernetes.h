// Kubernetes objects: v1 Pod, v1 List, batch/v1 Job, apps/v1 Deployment.
#pragma once

#include "base/error.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// Adds what `value` describes to `manifest`. Errors as parse() says.
Result<void> readKubernetes(const Value& value, Manifest& manifest);

}  // namespace berth::manifest
