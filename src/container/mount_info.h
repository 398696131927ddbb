// What is mounted in a process's view: /proc/PID/mountinfo (proc_pid_mountinfo(5)).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::container {

struct MountPoint {
  std::string root;    // Of the mount, within its file system.
  std::string target;  // As the process sees it.
  bool read_only = false;
  bool operator==(const MountPoint&) const = default;
};

/// All mounts, in the file's order, names unescaped. Corrupt: a line that is no such line, with its number.
Result<std::vector<MountPoint>> parseMountInfo(std::string_view text);

}  // namespace berth::container
