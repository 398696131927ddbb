// Carries out what the supervisor decides: makes, starts, watches, stops and removes containers.
//
// Every step follows the same order: the intent is committed, the engine is asked, the outcome is committed.
// A step that was cut off between is found as phase `starting` or as a container the ledger does not know,
// and is taken up by asking the supervisor again (tend) or by removing the leftover.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "base/guarded.h"
#include "container/engine.h"
#include "container/gpu_edits.h"
#include "os/pidfd.h"
#include "service/desk.h"

namespace berth::service {

/// What a container's GPUs come to: how they are shared now, and what puts them into a container. Implemented
/// over the MPS manager and the driver root; a fake in tests. Safe from several threads.
class GpuAccess {
 public:
  virtual ~GpuAccess() = default;
  /// How the GPUs of these berths are shared and whether that is in force (all of them have the same mode).
  virtual Sharing sharing(const ledger::State& state, const std::vector<ledger::Berth>& berths) = 0;
  /// What puts the GPUs of these berths into a container.
  virtual Result<container::GpuEdits> edits(const ledger::State& state,
                                            const std::vector<ledger::Berth>& berths, bool host_ipc) = 0;
  /// Whether the container of process `pid` has them.
  virtual Result<void> verify(std::int64_t pid, const container::GpuEdits& edits) = 0;
};

class WorkloadRunner {
 public:
  struct Parts {
    Desk& desk;
    container::Engine& engine;
    os::ProcessWatcher& watcher;
    GpuAccess& gpus;
    /// Asks for tend(name) to be called again, at once or later.
    std::function<void(const std::string& name, std::chrono::steady_clock::time_point when)> again;
    /// Which daemon's containers are ours: a label on each.
    std::string instance;
  };

  explicit WorkloadRunner(Parts parts) : parts_(std::move(parts)) {}
  ~WorkloadRunner();

  /// Brings one workload as far as it can be brought now. Blocks for the engine; one call per name at a time.
  void tend(const std::string& name);

  /// Removes containers and volumes with our label that no workload knows: what a crash left. Unavailable:
  /// engine away.
  Result<void> removeOrphans();

 private:
  enum class Next : std::uint8_t { GoOn, Rest };

  World observe(const WorkloadRecord& workload);
  Result<Seen> look(const ContainerRecord& container);
  Result<Next> carryOut(const WorkloadRecord& workload, const Step& step);
  Result<void> start(const WorkloadRecord& workload, const std::string& name);
  Result<ContainerId> launch(const WorkloadRecord& workload, const ContainerRecord& container,
                             const std::vector<ledger::Berth>& berths, const ledger::State& state);
  Result<void> removeLeftover(const std::string& engine_name, const ContainerId& known);
  Result<void> makePodVolumes(const WorkloadRecord& workload, const ContainerRecord& container);
  Result<void> removePodVolumes(const WorkloadRecord& workload, int pod);
  Result<void> clearPod(const WorkloadRecord& workload, int pod);
  Result<void> removeOrphanVolumes();
  Result<void> stop(const WorkloadRecord& workload, const StopContainer& step);
  Result<void> forget(const WorkloadRecord& workload);
  Result<void> record(const std::string& workload, const Step& step);
  void watch(const std::string& workload, const std::string& container, std::int64_t pid);
  void unwatch(const std::string& container);

  Parts parts_;
  Guarded<std::map<std::string, os::ProcessId>> watched_;  // By container name.
};

/// The engine's name for a container: "berth-<workload>-<pod>-<container>".
std::string engineName(const ContainerRecord& container);

/// The engine's configuration of a container: pure. InvalidArgument: it mounts something where a GPU's files
/// go.
Result<container::ContainerConfig> containerConfig(const manifest::Workload& workload,
                                                   const ContainerRecord& record,
                                                   const container::GpuEdits& edits,
                                                   const std::string& instance);

}  // namespace berth::service
