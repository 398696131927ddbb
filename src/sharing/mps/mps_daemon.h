// One generation of one GPU's MPS: the control daemon, its server and its folders, from launch to shut-down.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/types.h"
#include "gpu/driver.h"
#include "os/process.h"
#include "sharing/mps/mps_answers.h"
#include "sharing/mps/mps_control.h"
#include "sharing/mps/mps_folders.h"
#include "sharing/mps/mps_plan.h"

namespace berth::sharing {

struct MpsConfig {
  std::filesystem::path driver_root;    // Whose bin/ or usr/bin/ has nvidia-cuda-mps-control.
  std::filesystem::path run_directory;  // Emptied by a reboot, as /run/berth is, or not.
  std::string boot_id;                  // Of this boot (os::Procfs).
  std::chrono::milliseconds start_timeout{20000};
  std::chrono::milliseconds command_timeout{5000};
  std::chrono::seconds quit_grace{5};
  std::chrono::milliseconds signal_grace{2000};  // After SIGTERM, and again after SIGKILL.
  std::chrono::milliseconds poll_interval{50};   // While something is starting.
};

/// What a daemon works with; everything outlives it. `pause` waits: a sleep, or a step of a test's clock.
struct MpsWorld {
  MpsConfig config;
  os::ProcessRunner& runner;
  gpu::GpuDriver& driver;
  const Clock& clock;
  std::function<void(std::chrono::milliseconds)> pause;
  os::Procfs procfs;
};

/// Gives a GPU its default compute mode back. A GPU that is gone has none: that is a success, and whoever
/// sees it come back calls this again.
Result<void> giveBack(MpsWorld& world, const GpuUuid& gpu);

/// One thread at a time. Everything but the getters blocks: worker threads only.
class MpsDaemon {
 public:
  /// Sets the GPU to exclusive-process mode, starts a control daemon in new folders, sets the limits and
  /// starts the server, so that no program can slip in without MPS. On a failure everything is undone, last
  /// first, and the first error is returned. Unavailable, Timeout, NotFound (no such GPU or program).
  static Result<std::unique_ptr<MpsDaemon>> launch(MpsWorld& world, const GpuUuid& gpu,
                                                   const MpsLimits& limits);
  /// Takes up the daemon an earlier run of Berth left, clients and all. NotFound: none is noted, or it has
  /// ended. Unavailable: it lives but does not answer.
  static Result<std::unique_ptr<MpsDaemon>> adopt(MpsWorld& world, const GpuUuid& gpu);
  /// Kills every MPS program of this GPU that an earlier run left, noted or not, and clears its folders.
  static Result<void> clearLeftover(MpsWorld& world, const GpuUuid& gpu);

  /// Kills MPS programs of this GPU that belong to no generation we know: a run that was killed between
  /// starting one and noting it.
  Result<void> endStrays();

  MpsObservation observe();
  Result<void> startServer();
  /// The most that clients which connect from now on can get, whatever their environment says. Those that are
  /// connected keep what they have.
  Result<void> capNewClients(Percent threads);
  /// Ends clients, server and daemon, by force where asking does not help, gives the GPU its default mode
  /// back and removes the folders. Does as much as it can and returns the first error.
  Result<void> shutDown();

  std::int64_t generation() const { return folder_.number; }
  const os::ProcessId& process() const { return process_->id(); }
  const MpsLimits& limits() const { return limits_; }
  /// What clients need as CUDA_MPS_PIPE_DIRECTORY.
  std::filesystem::path pipeDirectory() const { return folder_.pipe(); }

 private:
  MpsDaemon(MpsWorld& world, GpuUuid gpu, const MpsLimits& limits, MpsFolders folders, MpsGeneration folder,
            std::unique_ptr<os::Process> process);
  Result<void> bringUp();
  Result<void> waitForAnswer();
  Result<void> waitForServer();
  Result<void> applyLimits();
  void terminateClients();
  Result<void> endProcess();
  std::string lastWords() const;

  MpsWorld& world_;
  GpuUuid gpu_;
  MpsLimits limits_;
  MpsFolders folders_;
  MpsGeneration folder_;
  std::unique_ptr<os::Process> process_;
  MpsControl control_;
  Percent cap_;  // Of new clients, as far as we set it; 0: not yet.
};

}  // namespace berth::sharing
