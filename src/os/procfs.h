// What the kernel says about processes in /proc (proc(5)), for telling processes apart: a pid alone is
// reused, a pid with its start time is not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::os {

/// A process for certain: the pid and when it started, in clock ticks since boot (field 22 of
/// /proc/PID/stat).
struct ProcessId {
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;
  auto operator<=>(const ProcessId&) const = default;
};

struct ProcessStat {
  ProcessId id;
  std::string command;  // Up to 15 bytes of the program's name; may hold blanks and parentheses.
  char state = '?';     // 'R', 'S', 'D', 'Z' ...
  std::int64_t parent = 0;
  bool operator==(const ProcessStat&) const = default;
};

/// One line of /proc/PID/cgroup. The unified hierarchy (v2) has number 0 and no controllers.
struct CgroupEntry {
  std::int64_t hierarchy = 0;
  std::vector<std::string> controllers;
  std::string path;  // Begins with '/'.
  bool operator==(const CgroupEntry&) const = default;
};

/// A process as it knows itself: its pid in its own PID namespace, and which one that is.
struct NamespacePid {
  std::int64_t pid = 0;
  std::uint64_t pid_namespace = 0;  // Inode of /proc/PID/ns/pid
  bool operator==(const NamespacePid&) const = default;
};

/// Parsers of untrusted text (a program chooses its own name and arguments). Corrupt: not what the kernel
/// writes.
Result<ProcessStat> parseStat(std::string_view text);
Result<std::vector<CgroupEntry>> parseCgroup(std::string_view text);
/// Arguments or variables, each ended by a NUL; a rest without one counts as the last of them.
std::vector<std::string> parseCommandLine(std::string_view bytes);

/// A process's pids from the outermost namespace that is seen to its own, out of /proc/PID/status.
Result<std::vector<std::int64_t>> parseNamespacePids(std::string_view status);
/// Whether /proc/PID/maps has a file of this inode and name mapped, in whatever folder, deleted meanwhile or
/// not. A line that is no mapping is passed over.
bool mapsFile(std::string_view maps, std::uint64_t inode, std::string_view file_name);

/// Reads a proc file system. NotFound: no such process (any more). Does not block. Safe from every thread.
class Procfs {
 public:
  explicit Procfs(std::filesystem::path root = "/proc") : root_(std::move(root)) {}

  Result<ProcessStat> stat(std::int64_t pid) const;
  /// Every process there is; one may end before it is looked at.
  Result<std::vector<std::int64_t>> processes() const;
  /// Empty for a kernel thread or a zombie.
  Result<std::vector<std::string>> commandLine(std::int64_t pid) const;
  /// "NAME=value" entries as the program was started with them; Denied for a process of another user.
  Result<std::vector<std::string>> environment(std::int64_t pid) const;
  Result<std::vector<CgroupEntry>> cgroup(std::int64_t pid) const;
  /// The file name of the program, without its folders; Denied for a process of another user.
  Result<std::string> executableName(std::int64_t pid) const;
  /// Denied for a process of another user.
  Result<NamespacePid> inOwnNamespace(std::int64_t pid) const;
  /// Whether the process has the file mapped that it sees itself at this absolute path. NotFound: it sees
  /// none, or is gone. Denied for a process of another user.
  Result<bool> hasMapped(std::int64_t pid, const std::filesystem::path& path) const;
  /// Changes with every boot; 36 characters.
  Result<std::string> bootId() const;

 private:
  Result<std::string> read(std::int64_t pid, const char* file) const;

  std::filesystem::path root_;
};

}  // namespace berth::os
