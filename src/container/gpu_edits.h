// How a berth's GPU gets into a container, described once. The same edits are given to an engine as plain
// mounts, devices and environment, or written as a CDI specification for those that take CDI names (kubelet,
// Podman's command). Whichever way, what arrived is checked in the running container: one without its GPU
// edits must not run. CDI: https://github.com/cncf-tags/container-device-interface, SPEC.md, version 0.5.0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "container/engine.h"
#include "container/gpu_files.h"
#include "container/mount_info.h"

namespace berth::container {

struct GpuInContainer {
  GpuUuid uuid;
  int minor_number = 0;    // N of /dev/nvidiaN; the real driver's only.
  std::string state_file;  // The simulated driver's only: absolute path of the GPU's state.
};

/// A client of the GPU's MPS control daemon.
struct MpsClient {
  std::string pipe_directory;
  std::string shm_directory =
      "/dev/shm";             // The control daemon's; bound to /dev/shm unless IPC is the host's.
  Percent thread_percentage;  // 0: not limited.
  MiB pinned_memory;          // 0: not limited.
};

/// The guard of a container with limits: the region's files and what loads the library into every program
/// (docs/formats/guard-region.md). Paths on the host; empty where the container has no guard.
struct GuardInContainer {
  std::string library;
  std::string preload;  // Becomes /etc/ld.so.preload, in place of one the image may have.
  std::string limits;
  std::string usage;
};

struct GpuEditRequest {
  std::vector<GpuInContainer> gpus;  // One at least.
  std::optional<MpsClient> mps;      // With one GPU only: a control daemon serves one.
  bool host_ipc = false;
  std::optional<GuardInContainer> guard{};
};

struct GpuEdits {
  std::vector<Bind> binds;
  std::vector<std::string> devices;
  std::vector<std::pair<std::string, std::string>> env;
  bool operator==(const GpuEdits&) const = default;
};

/// The edits for these GPUs. Libraries go where both families of distributions look without ldconfig:
/// /usr/lib/<triplet> and /usr/lib64. InvalidArgument: no GPU, MPS with several, or a simulated GPU without
/// an absolute state file (or in another folder than the first).
Result<GpuEdits> gpuEdits(const DriverFiles& files, const GpuEditRequest& request);

/// Adds the edits; a variable the container sets itself gives way to the edits'. InvalidArgument when the
/// container mounts something of its own at one of their targets.
Result<void> applyEdits(const GpuEdits& edits, ContainerConfig& config);

/// One device of a CDI specification.
struct CdiDevice {
  std::string name;  // "b12": what comes after "berth.dev/gpu=".
  GpuEdits edits;
};
inline constexpr std::string_view kCdiKind = "berth.dev/gpu";

/// The specification as JSON. InvalidArgument: no device, a name that CDI does not allow, or one used twice.
Result<std::string> cdiSpec(const std::vector<CdiDevice>& devices);

/// The binds that `mounts` does not show at their target, in the way they were asked for; the last mount at a
/// target is the one that counts.
std::vector<Bind> missingBinds(const std::vector<MountPoint>& mounts, const std::vector<Bind>& binds);

/// Looks into the running process `pid` whether every bind is mounted and is the file it should be, and
/// whether every device is the host's. NotFound: the process is gone. Io with the reason
/// "GpuEditsMissing" and a detail each: something is missing, stop the container. Denied: needs root. Blocks
/// on /proc only.
Result<void> verifyEdits(std::int64_t pid, const GpuEdits& edits);

}  // namespace berth::container
