// Azure IoT Edge deployment manifests: the modules of $edgeAgent. The translation is the one the appliance's
// Kubernetes runtime makes (appliance.md 6.2), as far as it means something here.
#pragma once

#include "base/error.h"
#include "manifest/node.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// True for a map with modulesContent (also inside `content`) or $edgeAgent.
bool isIotEdge(const Node& root);

/// Adds the modules to `manifest`. Errors as parse() says.
Result<void> readIotEdge(const Value& value, Manifest& manifest);

}  // namespace berth::manifest
