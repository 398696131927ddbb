// Starting programs: short ones whose output is wanted, and long-lived ones that are supervised.
//
// Children are made by posix_spawn (no code of ours runs between fork and exec), in a session of their own so
// that a whole family can be killed, with no signal blocked and no descriptor but stdin, stdout and stderr.
// They outlive this process: the kernel's parent-death signal follows the thread that started a child, not
// the process, and MPS daemons must survive ours (rule B8).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/guarded.h"
#include "os/pidfd.h"
#include "os/procfs.h"

namespace berth::os {

inline constexpr std::size_t kDefaultOutputLimit = std::size_t{1} << 20;

struct ProcessSpec {
  std::vector<std::string> argv;                         // A program without '/' is looked for in PATH.
  std::vector<std::pair<std::string, std::string>> env;  // Set on top of our own environment.
  std::vector<std::string> unset_env;                    // Taken out of it before that.
  std::string input;                                     // What run() gives it on stdin.
  std::filesystem::path working_directory;               // Empty: ours.
  std::size_t output_limit = kDefaultOutputLimit;        // Of each of stdout and stderr.
};

/// How a program ended: `signal` is 0 for one that exited by itself.
struct ExitStatus {
  int code = 0;
  int signal = 0;
  bool success() const { return code == 0 && signal == 0; }
  bool operator==(const ExitStatus&) const = default;
};

/// "exited with status 1", "was killed by signal 9".
std::string describe(const ExitStatus& status);

struct ProcessResult {
  ExitStatus status;
  std::string output;
  std::string errors;
  bool truncated = false;  // Something was said past the limit and dropped.
};

/// A supervised process: one we spawned, or one an earlier run of ours left behind. Destroying this leaves
/// the process alone. One thread at a time, except signal().
class Process {
 public:
  virtual ~Process() = default;
  virtual const ProcessId& id() const = 0;
  virtual bool exited() = 0;
  /// Blocks until it has ended. Timeout: it has not by the deadline.
  virtual Result<void> waitExit(std::chrono::steady_clock::time_point deadline) = 0;
  /// Signals the process, and the processes of its group when it leads one. Succeeds when it has ended.
  virtual Result<void> signal(int number) = 0;
};

/// Safe from several threads. Worker threads only.
class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;

  /// Runs a program to its end and returns what it said; any exit status is a success of this call.
  /// NotFound: no such program. Timeout: the deadline passed; every process of its session's first group got
  /// SIGKILL. Returns soon after the deadline even when the kernel does not let the process die.
  virtual Result<ProcessResult> run(const ProcessSpec& spec,
                                    std::chrono::steady_clock::time_point deadline) = 0;

  /// Starts a program that stays, with stdin from /dev/null and both outputs appended to `log_file` (made
  /// with mode 0640). `spec.input` must be empty.
  virtual Result<std::unique_ptr<Process>> spawn(const ProcessSpec& spec,
                                                 const std::filesystem::path& log_file) = 0;

  /// Takes up a process that was started earlier. NotFound: it has ended (a process that has its pid now is
  /// another one).
  virtual Result<std::unique_ptr<Process>> adopt(const ProcessId& id) = 0;
};

/// The real one. A child that cannot be reaped in time (stuck in the kernel) is remembered and reaped by a
/// later call.
class PosixProcessRunner final : public ProcessRunner {
 public:
  Result<ProcessResult> run(const ProcessSpec& spec, std::chrono::steady_clock::time_point deadline) override;
  Result<std::unique_ptr<Process>> spawn(const ProcessSpec& spec,
                                         const std::filesystem::path& log_file) override;
  Result<std::unique_ptr<Process>> adopt(const ProcessId& id) override;

 private:
  void reapLeftOver();

  Guarded<std::vector<pid_t>> left_over_;
};

/// `base` ("NAME=value" entries) without `unset` and with `set` on top. Pure; what a child's environment is
/// made with.
std::vector<std::string> mergeEnvironment(const std::vector<std::string>& base,
                                          const std::vector<std::string>& unset,
                                          const std::vector<std::pair<std::string, std::string>>& set);

}  // namespace berth::os
