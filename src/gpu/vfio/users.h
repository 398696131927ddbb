// Which processes use a GPU, whatever they call it: device nodes are compared by number over every process of
// the box, so that a process in a container, in another mount namespace or with a node of its own making is
// found, and one that has /dev/nvidia10 open is not taken for a user of /dev/nvidia1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/error.h"
#include "base/types.h"
#include "os/procfs.h"

namespace berth::vfio {

/// Numbers of character devices.
using DeviceNumbers = std::set<dev_t>;

struct DeviceUser {
  std::int64_t pid = 0;
  std::string executable;  // Without its folders.
  std::string container;   // An engine's 64 digits; empty: in none.
  bool operator==(const DeviceUser&) const = default;
};

/// "226:128" as the kernel writes it into a file `dev`. Corrupt: anything else.
Result<dev_t> parseDeviceNumber(std::string_view text);

/// The minor in /proc/driver/nvidia/gpus/ADDRESS/information. Corrupt: the text has none.
Result<unsigned> parseNvidiaMinor(std::string_view information);

/// The 64 digits that an engine put into a control group's path; empty: there are none.
std::string containerIn(const std::vector<os::CgroupEntry>& groups);

/// The nodes by which programs use the function: what lies below its folder in sysfs (DRM, sound, ...),
/// NVIDIA's node, and the VFIO group's. Does not block.
Result<DeviceNumbers> deviceNumbers(const PciAddress& device, const std::filesystem::path& sysfs = "/sys",
                                    const std::filesystem::path& proc = "/proc");

/// The processes that have one of the devices open or mapped, by pid. Processes that may not be looked into
/// (without root) are not among them.
Result<std::vector<DeviceUser>> usersOf(const DeviceNumbers& devices,
                                        const std::filesystem::path& proc = "/proc");

/// Refused with reason kDeviceInUse and a detail for each process; success: there are no users.
Result<void> checkUnused(const std::vector<DeviceUser>& users);

}  // namespace berth::vfio
