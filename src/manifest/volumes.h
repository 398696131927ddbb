// Kubernetes volumes and where a container mounts them: hostPath and emptyDir, no others.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// A volume by its name, as a mount without a target.
using Volumes = std::map<std::string, Mount>;

/// Adds one volume to `volumes`. InvalidArgument for other kinds, and for a name given twice.
Result<void> readVolume(const Value& value, Volumes& volumes, std::vector<Warning>& warnings, Keys keys);

/// One item of volumeMounts, added to `container`.
Result<void> readVolumeMount(const Value& value, const Volumes& volumes, Container& container,
                             std::vector<Warning>& warnings, Keys keys);

/// True for an absolute path without a ".." in it.
bool isHostPath(std::string_view path);

}  // namespace berth::manifest
