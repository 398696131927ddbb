// The control program, one question or command at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/types.h"
#include "os/process.h"
#include "sharing/mps/mps_answers.h"

namespace berth::sharing {

/// Talks to the control daemon of one pipe directory. Every call runs the control program and blocks up to
/// `timeout`: worker threads only. Unavailable: the daemon is not there, refused, or gave an answer that is
/// none. Timeout: it did not answer. Runner and clock outlive this.
class MpsControl {
 public:
  MpsControl(os::ProcessRunner& runner, const Clock& clock, std::filesystem::path program,
             std::filesystem::path pipe_directory, std::chrono::milliseconds timeout)
      : runner_(runner),
        clock_(clock),
        program_(std::move(program)),
        pipe_directory_(std::move(pipe_directory)),
        timeout_(timeout) {}

  Result<std::vector<std::int64_t>> servers();
  Result<MpsServerState> serverState(std::int64_t server);
  Result<std::vector<std::int64_t>> clients(std::int64_t server);
  /// Cheap, and answered by the daemon alone: what tells that it is up.
  Result<Percent> defaultThreadPercentage();
  /// For servers started from now on.
  Result<void> setDefaultThreadPercentage(Percent threads);
  /// For clients of this server that connect from now on.
  Result<void> setThreadPercentage(std::int64_t server, Percent threads);
  Result<void> setDefaultMemoryLimit(const GpuUuid& gpu, MiB memory);
  /// Starts root's server and with it takes the GPU.
  Result<void> startServer();
  /// Takes one client's context away in an orderly way. A client that is killed instead, with work under way,
  /// leaves the server in an undefined state.
  Result<void> terminateClient(std::int64_t server, std::int64_t client);
  /// Asks the daemon to end with its servers; with force after `grace`.
  Result<void> quit(std::chrono::seconds grace);

 private:
  Result<std::string> ask(const std::string& command);

  os::ProcessRunner& runner_;
  const Clock& clock_;
  std::filesystem::path program_;
  std::filesystem::path pipe_directory_;
  std::chrono::milliseconds timeout_;
};

}  // namespace berth::sharing
