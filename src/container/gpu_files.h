// Which files of the GPU driver a container needs, found under the driver root (design 3, "one driver path").
// Real and simulated driver are looked at in the same way; only device nodes are the real one's alone. Which
// libraries: what NVIDIA's container toolkit gives for the capabilities compute, utility and video.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::container {

/// A file and the name it must have in the container.
struct DriverFile {
  std::string source;  // The file itself, no link.
  std::string name;    // "libcuda.so.1"
  bool operator==(const DriverFile&) const = default;
};

struct DriverFiles {
  bool simulated = false;
  std::vector<DriverFile> libraries;         // Under every name they have, the soname always among them.
  std::vector<DriverFile> programs;          // nvidia-smi and the MPS programs, where there are any.
  std::vector<std::string> control_devices;  // "/dev/nvidiactl"; of the real driver only.
  bool operator==(const DriverFiles&) const = default;
};

/// The libraries among a folder's files, each as {what it resolves to, its name there}, sorted by name. Where
/// a versioned file lacks its soname link (ldconfig has not run) the soname is added.
std::vector<DriverFile> selectLibraries(const std::vector<DriverFile>& folder);

/// Looks below `root` ("/" for a driver installed on the host) and, for a real driver, into `dev`.
/// Unavailable: no folder there has libcuda and libnvidia-ml, or the kernel module's control device is
/// missing. May block on the disk.
Result<DriverFiles> findDriverFiles(const std::filesystem::path& root, bool simulated,
                                    const std::filesystem::path& dev = "/dev");

/// "x86_64-linux-gnu": Debian's name for this architecture's library folder.
std::string_view architectureTriplet();

}  // namespace berth::container
